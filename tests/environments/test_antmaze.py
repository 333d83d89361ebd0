import mujoco
import numpy as np
import pytest

from offbench.environments.antmaze import AntMazeSimulator
from offbench.environments.simulator import GymnasiumSimulator, make_simulator
from offbench.environments.single import make_environment
from offbench.environments.task import Task, task
from offbench.errors import OffbenchError

UMAZE = Task.model_validate(
    {
        "name": "robotics-umaze",
        "environment": "AntMaze_UMaze-v4",
        "episode_limit": 700,
        "observation": ["achieved_goal", "observation"],
        "simulator": ["gymnasium", "gymnasium-robotics", "mujoco"],
        "arguments": {"continuing_task": False, "reset_target": False},
        "low": {"mean": 0, "policy": "none", "source": "none"},
        "high": {"mean": 1, "policy": "none", "source": "none"},
    }
)
CHOSEN = {
    "umaze": {},
    "medium": {"environment": "AntMaze_Medium-v4", "episode_limit": 30},
    "large": {
        "environment": "AntMaze_Large-v4",
        "observation": ["observation", "achieved_goal", "desired_goal"],
    },
    "continuing, dense": {"environment": "AntMaze_UMazeDense-v4", "arguments": {"continuing_task": True}},
    "open, version 5": {"environment": "AntMaze_Open_Diverse_GR-v5", "arguments": {"continuing_task": False}},
    "contact forces, version 4": {"environment": "AntMaze_UMaze-v4", "arguments": {"use_contact_forces": True}},
    "no forces, version 5": {
        "environment": "AntMaze_Medium-v5",
        "arguments": {"include_cfrc_ext_in_observation": False},
    },
}


def changed(original: Task, **fields) -> Task:
    return Task.model_validate(original.model_dump() | fields)


def ant_task(name: str) -> Task:
    return changed(UMAZE, **CHOSEN[name])


def drawn_actions(simulator, steps: int, seed: int):
    """(steps, environments, 8), held for five steps each, so that ants walk into walls and fall over."""
    generator = np.random.default_rng(seed)
    drawn = generator.uniform(-1.3, 1.3, (-(-steps // 5), simulator.count, 8)).astype(np.float32)
    return np.repeat(drawn, 5, axis=0)[:steps]


def flat(chosen: Task, observation):
    return np.concatenate([observation[key] for key in chosen.observation])


def thrown(environment, place, velocity) -> tuple:
    """A state of the ant at place (2,), moving at velocity (2,)."""
    ant = environment.unwrapped.ant_env
    position, speed = ant.init_qpos.copy(), np.zeros(ant.model.nv)
    position[:2], speed[:2] = place, velocity
    return position, speed


def placed(environment, place):
    """The environment's MjData, with its ant put where ``place`` says."""
    ant = environment.unwrapped.ant_env
    mujoco.mj_resetData(ant.model, ant.data)
    ant.set_state(*place(environment))
    return ant.data


def beside_the_goal(environment) -> tuple:
    """0.5 m east of the goal, moving west."""
    return thrown(environment, environment.unwrapped.goal + np.array([0.5, 0.0]), [-2.0, 0.0])


def against_the_wall(environment) -> tuple:
    """In the cell at the left, 1.1 m from its wall, moving towards it."""
    cell = environment.unwrapped.maze.cell_rowcol_to_xy(np.array([1, 1]))
    return thrown(environment, cell - np.array([0.9, 0.0]), [-4.0, 0.5])


def assert_equal_to_gymnasium(chosen: Task, seeds, steps: int, place=None) -> list:
    """Compares all episodes step by step; gives the batch's steps."""
    simulator, environment = AntMazeSimulator(chosen, len(seeds)), make_environment(chosen)
    first = simulator.reset(seeds)
    if place:
        for i, seed in enumerate(seeds):
            environment.reset(seed=seed)
            simulator._states.copy_from(i, placed(environment, place))
    actions = drawn_actions(simulator, steps, seed=len(seeds))
    batch = [simulator.step(action) for action in actions]
    for i, seed in enumerate(seeds):
        expected, _ = environment.reset(seed=seed)
        np.testing.assert_array_equal(first[i], flat(chosen, expected))
        np.testing.assert_array_equal(simulator.goals[i], expected["desired_goal"])
        if place:
            placed(environment, place)
        ended = False
        for step, action in zip(batch, actions, strict=True):
            reward = 0.0
            if not ended:
                expected, reward, terminated, truncated, _ = environment.step(np.clip(action[i], -1, 1))
                ended = terminated or truncated
            np.testing.assert_array_equal(step.observations[i], flat(chosen, expected))
            assert step.rewards[i] == reward
            assert (step.terminations[i], step.truncations[i]) == (terminated, truncated and not terminated)
    simulator.close()
    environment.close()
    return batch


@pytest.mark.parametrize("name", CHOSEN)
def test_equals_gymnasium_step_by_step(name):
    assert_equal_to_gymnasium(ant_task(name), [3, 1000, 7, 8, 9, 10, 11, 12], steps=40)


@pytest.mark.parametrize("name", ["umaze", "continuing, dense"])
def test_reward_and_termination_at_the_goal_are_gymnasiums(name):
    chosen = ant_task(name)
    steps = assert_equal_to_gymnasium(chosen, [0, 1, 2, 3], steps=10, place=beside_the_goal)
    rewards = np.stack([step.rewards for step in steps])
    assert (rewards.max(axis=0) > 0.6).all(), "no ant met the goal"
    assert steps[-1].terminations.all() == (not chosen.arguments["continuing_task"])
    if steps[-1].terminations.all():
        assert (rewards.sum(axis=0) == 1).all(), "an ended episode was rewarded again"


def test_walls_stop_ants_as_they_do_in_gymnasium():
    chosen = ant_task("umaze")
    steps = assert_equal_to_gymnasium(chosen, [0, 1, 2], steps=30, place=against_the_wall)
    wall = make_environment(chosen).unwrapped.maze.cell_rowcol_to_xy(np.array([1, 1]))[0] - 2
    west = np.stack([step.observations[:, 0] for step in steps])
    assert (west.min(axis=0) < wall + 1).all(), "no ant came to the wall"
    assert (west > wall).all(), "an ant went through the wall"


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOSEN)
def test_equals_gymnasium_over_a_hundred_episodes(name):
    assert_equal_to_gymnasium(ant_task(name), list(range(100)), steps=1000)


def test_neither_threads_nor_neighbours_change_an_episode():
    chosen = ant_task("large")
    many, alone = AntMazeSimulator(chosen, 9, threads=2), AntMazeSimulator(chosen, 1, threads=1)
    np.testing.assert_array_equal(many.reset(range(9))[4:5], alone.reset([4]))
    for action in drawn_actions(many, 60, seed=0):
        for part, lone in zip(many.step(action), alone.step(action[4:5]), strict=True):
            np.testing.assert_array_equal(part[4:5], lone)


def test_make_simulator_chooses_it():
    simulator = make_simulator(UMAZE, 1)
    assert isinstance(simulator, AntMazeSimulator)
    assert simulator.episode_limit == 700
    assert simulator.observation_size == 29
    assert simulator.maze_map == make_environment(UMAZE).unwrapped.maze.maze_map


def test_what_it_does_not_simulate_is_left_to_gymnasium():
    moving = changed(UMAZE, arguments={"reset_target": True, "continuing_task": True})
    assert isinstance(make_simulator(moving, 1), GymnasiumSimulator)
    with pytest.raises(OffbenchError, match="no ant maze"):
        AntMazeSimulator(moving, 1)
    with pytest.raises(OffbenchError, match="no ant maze"):
        AntMazeSimulator(task("pointmaze-umaze"), 1)
