"""Each rule ends what the simulator ends, on 100,000 states of which a tenth lie within 1% of a bound."""

import gymnasium
import numpy as np
import pytest
import torch

from offbench.dynamics.terminations import RULES, rule_name, rule_of
from offbench.environments.pointmaze import GOAL_RADIUS
from offbench.environments.simulator import make_simulator
from offbench.environments.task import task
from offbench.errors import OffbenchError

COUNT, NEAR = 100_000, 10_000
# Number in the observation, and its bounds.
BOUNDS = {
    "Hopper-v4": {0: (0.7,), 1: (-0.2, 0.2), 3: (-100.0, 100.0)},
    "Walker2d-v4": {0: (0.8, 2.0), 1: (-1.0, 1.0)},
    "Ant-v4": {0: (0.2, 1.0)},
    "HalfCheetah-v4": {0: (0.0,)},
    "InvertedPendulum-v5": {1: (-0.2, 0.2)},
}


def states(name: str, size: int) -> np.ndarray:
    """Observations about the bounds, the first NEAR of them within 1% of one."""
    rng = np.random.default_rng(0)
    found = rng.normal(scale=0.3, size=(COUNT, size))
    for number, bounds in BOUNDS[name].items():
        low, high = min(bounds), max(bounds)
        found[:, number] = rng.uniform(low - 0.3 * abs(low), high + 0.3 * abs(high), COUNT)
    for row, (number, bound) in enumerate((n, b) for n, bounds in BOUNDS[name].items() for b in bounds):
        mine = slice(row, NEAR, sum(map(len, BOUNDS[name].values())))
        found[mine, number] = bound * (1 + rng.uniform(-0.01, 0.01, len(found[mine])))
    return found


def simulators_own(name: str, observations: np.ndarray, monkeypatch) -> np.ndarray:
    """What a step of the environment itself says of each state that such an observation is of, the physics left out."""
    environment = gymnasium.make(name).unwrapped
    environment.reset(seed=0)
    monkeypatch.setattr(environment, "do_simulation", lambda control, frames: None)
    positions, skipped = environment.model.nq, {"Ant-v4": 2, "InvertedPendulum-v5": 0}.get(name, 1)
    still, ends = np.zeros(environment.action_space.shape), []
    for observation in observations:
        environment.data.qpos[skipped:] = observation[: positions - skipped]
        environment.data.qvel[:] = observation[positions - skipped :][: environment.model.nv]
        ends.append(environment.step(still)[2])
    environment.close()
    return np.array(ends)


@pytest.mark.parametrize("name", BOUNDS)
def test_rules_are_the_simulators(name, monkeypatch) -> None:
    size = gymnasium.spec(name).make().observation_space.shape[0] if name != "Ant-v4" else 27
    observations = states(name, size)
    ruled = RULES[name.partition("-v")[0]](torch.from_numpy(observations)).numpy()
    assert np.array_equal(ruled, simulators_own(name, observations, monkeypatch))
    if name != "HalfCheetah-v4":
        assert 0.05 < ruled.mean() < 0.95
        assert 0.2 < ruled[:NEAR].mean() < 0.98


@pytest.mark.parametrize("name", ["pointmaze-stitch", "pointmaze-umaze", "maze2d-umaze", "maze2d-open-dense"])
def test_mazes_that_go_on_at_the_goal_never_end(name) -> None:
    chosen = task(name)
    simulator = make_simulator(chosen, 50)
    places = simulator.reset(range(50))[:, :2]
    simulator.goals[:] = places + np.linspace(-0.3, 0.3, 50)[:, None]  # reached at once
    for _ in range(3):
        step = simulator.step(np.zeros((50, 2), np.float32))
        assert (np.linalg.norm(step.observations[:, :2] - simulator.goals, axis=1) <= GOAL_RADIUS).mean() > 0.9
        assert not step.terminations.any()
        assert not rule_of(rule_name(chosen))(torch.from_numpy(step.observations)).any()
    simulator.close()


def test_a_point_maze_that_ends_at_the_goal_has_no_rule() -> None:
    stitch = task("pointmaze-stitch")
    ending = stitch.model_copy(update={"arguments": {**stitch.arguments, "continuing_task": False}})
    assert (rule_name(stitch), rule_name(ending), rule_name(task("antmaze-umaze"))) == ("PointMaze", "", "")


def test_what_is_not_finite_ends() -> None:
    for name in ("Hopper", "Ant", "InvertedPendulum"):
        observations = torch.full((4, 27), 0.5, dtype=torch.float64)
        observations[:, 0], observations[:, 1:] = 0.9, 0.0
        observations[1, 5], observations[2, 7] = torch.nan, torch.inf
        assert RULES[name](observations).tolist() == [False, True, True, False]


def test_a_task_has_the_rule_of_its_environment() -> None:
    assert [rule_name(task(name)) for name in ("hopper-d4rl", "walker2d-v5", "pendulum")] == [
        "Hopper", "Walker2d", "Pendulum",
    ]  # fmt: skip
    assert rule_name(None) == ""
    with pytest.raises(OffbenchError, match="no rule says when an episode of this task terminates"):
        rule_of("")
