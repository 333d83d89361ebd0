"""Each rule ends what the simulator ends, on 100,000 states of which a tenth lie within 1% of a bound."""

import sys

import gymnasium
import numpy as np
import pytest
import torch

from offbench.dynamics.terminations import RULES, rule_name, rule_of
from offbench.environments.pointmaze import GOAL_RADIUS
from offbench.environments.simulator import make_simulator
from offbench.environments.single import make_environment
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
    "Humanoid-v4": {0: (1.0, 2.0)},
}
HIDDEN = {"Ant": 2, "Humanoid": 2, "InvertedPendulum": 0}  # coordinates that observations leave out, else 1


def robot(name: str) -> str:
    return name.partition("-v")[0]


def states(name: str) -> np.ndarray:
    """Coordinates and velocities as observed, about the bounds, the first NEAR of them within 1% of one."""
    rng, model = np.random.default_rng(0), gymnasium.make(name).unwrapped.model
    size = model.nq + model.nv - HIDDEN.get(robot(name), 1)
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
    if robot(name) != "InvertedPendulum":  # an observation that decides nothing and takes much of the time
        monkeypatch.setattr(environment, "_get_obs", lambda: None)
    if robot(name) == "Humanoid":  # nor does where its mass is
        monkeypatch.setattr(sys.modules[type(environment).__module__], "mass_center", lambda model, data: np.zeros(2))
    positions, skipped = environment.model.nq, HIDDEN.get(robot(name), 1)
    still, ends = np.zeros(environment.action_space.shape), []
    for observation in observations:
        environment.data.qpos[skipped:] = observation[: positions - skipped]
        environment.data.qvel[:] = observation[positions - skipped :][: environment.model.nv]
        ends.append(environment.step(still)[2])
    environment.close()
    return np.array(ends)


@pytest.mark.parametrize("name", BOUNDS)
def test_rules_are_the_simulators(name, monkeypatch) -> None:
    observations = states(name)
    ruled = RULES[robot(name)](torch.from_numpy(observations)).numpy()
    assert np.array_equal(ruled, simulators_own(name, observations, monkeypatch))
    if name != "HalfCheetah-v4":
        assert 0.05 < ruled.mean() < 0.95
        assert 0.2 < ruled[:NEAR].mean() < 0.98


@pytest.mark.parametrize("name", ["Hopper-v4", "Walker2d-v4", "Ant-v4", "Humanoid-v4"])
def test_version_5_ends_where_version_4_does(name, monkeypatch) -> None:
    near = states(name)[:NEAR:4]
    ruled = RULES[robot(name)](torch.from_numpy(near)).numpy()
    assert np.array_equal(ruled, simulators_own(f"{robot(name)}-v5", near, monkeypatch))


ENDLESS = [
    "AdroitHandDoor-v1", "AdroitHandHammer-v1", "AdroitHandPen-v1", "AdroitHandRelocate-v1", "HumanoidStandup-v5",
    "Pendulum-v1", "Pusher-v5", "Reacher-v5", "Swimmer-v5",
]  # fmt: skip


@pytest.mark.parametrize("name", ENDLESS)
def test_what_never_ends_goes_on_in_the_simulator(name) -> None:
    environment = make_environment(task("pen").model_copy(update={"environment": name, "arguments": {}}))
    environment.reset(seed=0)
    environment.action_space.seed(0)
    steps = [environment.step(environment.action_space.sample()) for _ in range(100)]
    assert not any(step[2] for step in steps)
    if name == "AdroitHandPen-v1":
        assert min(step[0][26] for step in steps) < 0.075  # it fell, where D4RL would have ended
    assert not RULES[robot(name)](torch.from_numpy(np.stack([step[0] for step in steps]))).any()
    environment.close()


@pytest.mark.parametrize("name", ["door", "hammer", "pen", "relocate"])
def test_d4rls_hands_end_where_the_pen_falls(name) -> None:
    known = task(name)
    simulator = make_simulator(known, 4)
    simulator.reset(range(4))
    rng = np.random.default_rng(0)
    ended = np.zeros(4, dtype=bool)
    for _ in range(60):
        step = simulator.step(rng.uniform(-1, 1, (4, len(simulator.action_low))))
        ruled = rule_of(rule_name(known))(torch.from_numpy(step.observations)).numpy()
        assert np.array_equal(ruled[~ended], step.terminations[~ended])
        ended |= step.terminations
    assert ended.any() == (name == "pen")
    simulator.close()


def test_arguments_that_make_another_rule_leave_none() -> None:
    other = {"terminate_when_unhealthy": False}, {"healthy_z_range": (0.5, 2.0)}
    assert [rule_name(task("hopper-v4").model_copy(update={"arguments": each})) for each in other] == ["", ""]
    assert rule_name(task("hopper-v4").model_copy(update={"arguments": {"ctrl_cost_weight": 1.0}})) == "Hopper"


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
