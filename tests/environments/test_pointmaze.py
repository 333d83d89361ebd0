import numpy as np
import pytest

from offbench.environments import mujoco_states
from offbench.environments.pointmaze import PointMazeSimulator
from offbench.environments.single import make_environment
from offbench.environments.task import Task, task

MAZES = {
    "pointmaze-umaze": {},
    "pointmaze-stitch": {"continuing_task": False},
    "pointmaze-large-dense": {},
}


def maze(name: str) -> Task:
    chosen = task(name)
    return Task.model_validate(chosen.model_dump() | {"arguments": chosen.arguments | MAZES[name]})


def drawn_actions(simulator, steps: int, seed: int):
    """(steps, environments, 2), held for ten steps each, so that points reach full speed and run into walls."""
    drawn = np.random.default_rng(seed).uniform(-1.2, 1.2, (-(-steps // 10), simulator.count, 2)).astype(np.float32)
    return np.repeat(drawn, 10, axis=0)[:steps]


def assert_equal_to_gymnasium(chosen: Task, count: int, steps: int) -> None:
    simulator, environment = PointMazeSimulator(chosen, count), make_environment(chosen)
    first = simulator.reset(range(count))
    actions = drawn_actions(simulator, steps, seed=count)
    batch = [simulator.step(action) for action in actions]
    for i in range(count):
        expected, _ = environment.reset(seed=i)
        np.testing.assert_array_equal(first[i], np.concatenate([expected[key] for key in chosen.observation]))
        for step, action in zip(batch, actions, strict=True):
            expected, reward, terminated, truncated, _ = environment.step(action[i])
            observation = np.concatenate([expected[key] for key in chosen.observation])
            np.testing.assert_array_equal(step.observations[i], observation)
            assert step.rewards[i] == reward
            assert (step.terminations[i], step.truncations[i]) == (terminated, truncated and not terminated)
            if terminated or truncated:
                break


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", MAZES)
def test_equals_gymnasium_step_by_step(name, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(mujoco_states, "has_batch", lambda: False)
    assert_equal_to_gymnasium(maze(name), 8, 100)


@pytest.mark.slow
@pytest.mark.parametrize("name", MAZES)
def test_equals_gymnasium_over_a_hundred_episodes(name):
    assert_equal_to_gymnasium(maze(name), 100, 1000)


@pytest.mark.parametrize("threads", [1, 3])
def test_neither_threads_nor_neighbours_change_an_episode(threads):
    many = PointMazeSimulator(maze("pointmaze-stitch"), 16, threads)
    alone = PointMazeSimulator(maze("pointmaze-stitch"), 1)
    np.testing.assert_array_equal(many.reset(range(16))[7:8], alone.reset([7]))
    for action in drawn_actions(many, 100, seed=0):
        for part, lone in zip(many.step(action), alone.step(action[7:8]), strict=True):
            np.testing.assert_array_equal(part[7:8], lone)
