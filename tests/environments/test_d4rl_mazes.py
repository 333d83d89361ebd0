"""Maze2D and AntMaze in D4RL's frame: geometry, starts and goals by D4RL's figures, and D4RL's recorded steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from offbench.environments import mujoco_states
from offbench.environments.d4rl_maze_simulator import D4RLMazeSimulator
from offbench.environments.simulator import GymnasiumSimulator, make_simulator, make_state_simulator
from offbench.environments.single import make_environment
from offbench.environments.task import task
from offbench.errors import OffbenchError
from offbench.formats.hdf5 import read_hdf5

MAZES = ["maze2d-umaze", "maze2d-large-dense", "antmaze-umaze", "antmaze-large"]


def simulator_of(name: str, count: int, **options: Any) -> D4RLMazeSimulator:
    made = D4RLMazeSimulator(task(name), count, **options)
    assert isinstance(make_simulator(task(name), 1), D4RLMazeSimulator)
    return made


def drawn_actions(simulator: Any, steps: int, seed: int) -> np.ndarray:
    """(steps, environments, action), held for five steps each, so that walls are met and ants fall over."""
    shape = (-(-steps // 5), simulator.count, len(simulator.action_low))
    return np.repeat(np.random.default_rng(seed).uniform(-1.3, 1.3, shape).astype(np.float32), 5, axis=0)[:steps]


# -------------------------------------------------------------------- the batch


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", MAZES)
def test_the_batch_equals_single_environments_exactly(name: str, compiled: bool, monkeypatch: Any) -> None:
    if not compiled:
        monkeypatch.setattr(mujoco_states, "has_batch", lambda: False)
    batched, single = simulator_of(name, 5), GymnasiumSimulator(task(name), 5)
    seeds = [3, 1000, 7, 8, 9]
    np.testing.assert_array_equal(batched.reset(seeds), single.reset(seeds))
    for actions in drawn_actions(batched, 100, seed=0):
        for mine, its in zip(batched.step(actions), single.step(actions), strict=True):
            np.testing.assert_array_equal(mine, its)


@pytest.mark.parametrize("name", ["maze2d-medium", "antmaze-medium"])
def test_neither_threads_nor_neighbours_change_an_episode(name: str) -> None:
    many, alone = simulator_of(name, 9, threads=2), simulator_of(name, 1, threads=1)
    np.testing.assert_array_equal(many.reset(range(9))[4:5], alone.reset([4]))
    for actions in drawn_actions(many, 40, seed=0):
        for part, lone in zip(many.step(actions), alone.step(actions[4:5]), strict=True):
            np.testing.assert_array_equal(part[4:5], lone)


@pytest.mark.parametrize("name", MAZES)
def test_an_observation_is_the_whole_state(name: str) -> None:
    simulator, again = make_state_simulator(task(name), 4), make_state_simulator(task(name), 4)
    first = simulator.reset(range(4))
    np.testing.assert_array_equal(again.set_states(first), first)
    for actions in drawn_actions(simulator, 30, seed=1):
        mine, its = simulator.step(actions), again.step(actions)
        np.testing.assert_array_equal(mine.observations, its.observations)


def test_unknown_mazes_and_other_tasks_are_refused() -> None:
    giant = task("antmaze-umaze").model_copy(update={"arguments": {"maze": "giant"}})
    with pytest.raises(OffbenchError, match="there is no maze of D4RL named 'giant'"):
        make_environment(giant)
    with pytest.raises(OffbenchError, match="none of offbench/Maze2D-v1 and offbench/AntMaze-v2"):
        D4RLMazeSimulator(task("pendulum"), 1)


def test_gymnasium_knows_them_once_they_are_registered() -> None:
    make_environment(task("maze2d-umaze")).close()
    environment: Any = gymnasium.make("offbench/AntMaze-v2", maze="umaze")
    observation, told = environment.reset(seed=1)
    assert observation.shape == (29,)
    assert told["goal"].shape == (2,)


# -------------------------------------------------------------------- Maze2D


# D4RL, d4rl/pointmaze/maze_model.py: rows and columns of the goal and of a free cell, and how many cells are free.
@pytest.mark.parametrize(
    ("name", "goal", "corner", "free"),
    [("open", (2, 3), (3, 5), 15), ("umaze", (1, 1), (3, 3), 7), ("medium", (6, 6), (2, 6), 26),
     ("large", (7, 9), (5, 10), 46)],
)  # fmt: skip
@pytest.mark.parametrize("dense", ["", "-dense"])
def test_starts_and_goals_of_maze2d_are_d4rls(name: str, goal: Any, corner: Any, free: int, dense: str) -> None:
    simulator = simulator_of(f"maze2d-{name}{dense}", 1500)
    observations = simulator.reset(range(1500))
    assert (simulator.goals == goal).all()
    positions, velocities = observations[:, :2], observations[:, 2:]
    cells = np.rint(positions)
    assert np.abs(positions - cells).max() == pytest.approx(0.1, abs=1e-3)
    found, counts = np.unique(cells, axis=0, return_counts=True)
    assert {goal, corner} <= {tuple(cell) for cell in found.astype(int).tolist()}
    assert len(found) == free == sum(cell != 1 for row in simulator.maze_map for cell in row)
    assert counts.max() < 2 * 1500 / free + 20
    assert velocities.std() == pytest.approx(0.1, rel=0.05)
    assert abs(velocities.mean()) < 0.01


def test_the_ball_of_maze2d_is_d4rls() -> None:
    environment: Any = make_environment(task("maze2d-umaze")).unwrapped
    model = environment.model
    assert model.body_mass[1] == pytest.approx(1000 * 4 / 3 * np.pi * 0.1**3)
    assert environment.dt == 0.01
    environment.set_state([3.0, 2.0], [0.0, 0.0])
    observation = environment.step(np.array([0.0, 0.5]))[0]
    # Euler's method with implicit damping of 1 N s/m.
    speed = 0.01 * 50 / (model.body_mass[1] + 0.01)
    np.testing.assert_allclose(observation, [3, 2 + 0.01 * speed, 0, speed], atol=1e-9)
    environment.set_state([3.0, 2.0], [0.0, 40.0])
    assert environment.step(np.zeros(2))[0][3] < 5


# The wall beside cell i ends at i - 0.7 and begins again at i + 0.3, because the ball's frame is 0.2 m off the walls'.
@pytest.mark.parametrize(("push", "place"), [((-1, 0), 0.4), ((0, -1), 0.4), ((0, 1), 3.2)])
def test_the_walls_of_maze2d_are_where_d4rl_has_them(push: tuple[int, int], place: float) -> None:
    environment: Any = make_environment(task("maze2d-umaze")).unwrapped
    environment.set_state([1.0, 1.0], [0.0, 0.0])
    for _ in range(300):
        observation = environment.step(np.array(push))[0]
    assert observation[int(push[1] != 0)] == pytest.approx(place, abs=0.02)


def reward_at(environment: Any, distance: float) -> float:
    """For a step from rest, along the corridor beside the goal of the U-maze."""
    environment.set_state([1.0, 1.0 + distance], [0.0, 0.0])
    _, reward, terminated, truncated, _ = environment.step(np.zeros(2))
    assert not terminated
    assert not truncated
    return float(reward)


def test_rewards_of_maze2d_are_d4rls_and_nothing_ends_an_episode() -> None:
    sparse: Any = make_environment(task("maze2d-umaze")).unwrapped
    assert [reward_at(sparse, d) for d in (0.0, 0.499, 0.501, 1.0)] == [1, 1, 0, 0]
    dense: Any = make_environment(task("maze2d-umaze-dense")).unwrapped
    assert [reward_at(dense, d) for d in (0.0, 0.6)] == pytest.approx([1, np.exp(-0.6)])
    simulator = simulator_of("maze2d-umaze", 2)
    simulator.set_states(np.array([[1.0, 1.0, 0, 0], [3.0, 3.0, 0, 0]]))
    steps = [simulator.step(np.zeros((2, 2))) for _ in range(300)]
    assert np.sum([step.rewards for step in steps], axis=0).tolist() == [300, 0]
    assert not steps[-2].truncations.any()
    assert steps[-1].truncations.all()
    assert not steps[-1].terminations.any()


# -------------------------------------------------------------------- AntMaze


# D4RL, d4rl/locomotion/maze_env.py: columns and rows from the start's cell to the goal's, of 4 m.
@pytest.mark.parametrize(("name", "away"), [("umaze", (0, 2)), ("medium", (5, 5)), ("large", (8, 6))])
def test_starts_and_goals_of_antmaze_are_d4rls(name: str, away: tuple[int, int]) -> None:
    simulator = simulator_of(f"antmaze-{name}", 400)
    observations = simulator.reset(range(400))
    assert observations.shape == (400, 29)
    noise = simulator.goals - 4 * np.array(away)
    assert noise.min() > 0
    assert noise.max() == pytest.approx(1.5, abs=0.1)
    assert noise.mean() == pytest.approx(0.75, abs=0.05)
    places = observations[:, :3] - [0, 0, 0.75]
    assert np.abs(places).max() == pytest.approx(0.1, abs=0.002)
    np.testing.assert_allclose(np.linalg.norm(observations[:, 3:7], axis=1), 1, rtol=1e-12)
    assert np.abs(observations[:, 7:15]).max() == pytest.approx(0.1, abs=0.002)
    assert observations[:, 15:].std() == pytest.approx(0.1, rel=0.05)


def test_an_ant_at_the_goal_has_succeeded_and_is_done() -> None:
    simulator = simulator_of("antmaze-umaze", 2)
    states = simulator.reset([0, 1])
    # Put there from rest, ants do not come far in three steps.
    states[:, :2] = simulator.goals + np.array([[0.3, 0.0], [0.7, 0.0]])
    states[:, 15:] = 0
    simulator.set_states(states)
    steps = [simulator.step(np.zeros((2, 8))) for _ in range(3)]
    assert [step.rewards.tolist() for step in steps] == [[1, 0], [0, 0], [0, 0]]
    assert [step.terminations.tolist() for step in steps] == [[True, False]] * 3
    assert simulator.episode_limit == 700


def test_the_walls_of_antmaze_are_where_d4rl_has_them() -> None:
    model: Any = make_environment(task("antmaze-umaze")).unwrapped.model  # type: ignore[attr-defined]
    boxes = model.geom_type == 6
    assert boxes.sum() == 18
    assert (model.geom_size[boxes] == [2, 2, 1]).all()
    # The start's cell is [-2, 2] wide; walls are west, north and south of it, and the way is east.
    centres = {tuple(place) for place in model.geom_pos[boxes].tolist()}
    assert {(-4, 0, 1), (0, -4, 1), (0, 4, 1)} <= centres
    assert (4, 0, 1) not in centres


@pytest.mark.parametrize(
    ("slice_name", "name", "median"), [("umaze", "antmaze-umaze", 1e-5), ("large-play", "antmaze-large", 1e-4)]
)
def test_d4rls_recorded_steps_of_the_ant_are_met(slice_name: str, name: str, median: float, shared: Path) -> None:
    """An observation is the state, so that each step can be replayed by itself; what differs is the onset of contacts.

    Left out are the last step of an episode, and the one of antmaze-large-play that D4RL's file lacks a reset at.
    """
    data = read_hdf5(shared / "real" / "d4rl_slices" / f"antmaze-{slice_name}-v0.hdf5")
    actions = np.concatenate([episode.actions[:-1] for episode in data])
    before, after = (
        np.concatenate([episode.observations[rows] for episode in data]) for rows in (np.s_[:-2], np.s_[1:-1])
    )
    simulator = make_state_simulator(task(name), len(actions))
    simulator.set_states(before)
    errors = np.abs(simulator.step(actions).observations - after)
    kept = np.linalg.norm((after - before)[:, :2], axis=1) < 1
    assert (~kept).sum() == (slice_name == "large-play")
    errors = errors[kept]
    worst = errors.max(axis=1)
    assert np.median(worst) < median
    assert np.quantile(worst, 0.95) < 1e-3
    assert worst.max() < 1.5  # rad/s, of a leg that hits the floor
    assert errors[:, :2].max() < 0.005  # metres
    # Motors 10% weaker would have been noticed.
    simulator.set_states(before)
    weaker = np.abs(simulator.step(0.9 * actions).observations - after).max(axis=1)
    assert np.median(weaker) > 0.1
