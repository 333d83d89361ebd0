import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from offbench.environments.pointmaze import PointMazeSimulator
from offbench.environments.protocol import Step
from offbench.environments.simulator import GymnasiumSimulator, make_simulator
from offbench.environments.single import _quiet, make_environment
from offbench.environments.task import Task, task
from offbench.errors import OffbenchError
from offbench.generation.recording import record
from offbench.generation.references import short_route

NAMES = ["pendulum", "pointmaze-stitch", "pointmaze-umaze", "hopper-v4", "halfcheetah-v4", "walker2d-v4"]
ENDS = "pointmaze-stitch that ends at the goal"


def changed(original: Task, **fields) -> Task:
    return Task.model_validate(original.model_dump() | fields)


def chosen_task(name: str) -> Task:
    """A task by name, or pointmaze-stitch with the termination that it leaves out."""
    if name != ENDS:
        return task(name)
    stitch = task("pointmaze-stitch")
    return changed(stitch, arguments=stitch.arguments | {"continuing_task": False})


def flat(chosen: Task, observation):
    return np.concatenate([observation[key] for key in chosen.observation]) if chosen.observation else observation


def random_actions(simulator, steps: int, seed: int = 0):
    """Held for ten steps each, so that points run into walls and hoppers fall."""
    generator = np.random.default_rng(seed)
    shape = (-(-steps // 10), simulator.count, len(simulator.action_low))
    drawn = generator.uniform(simulator.action_low, simulator.action_high, shape).astype(np.float32)
    return np.repeat(drawn, 10, axis=0)[:steps]


def to_the_goal(seeds):
    """Actions (200, environments, 2) that take the point to the goal of pointmaze-stitch."""
    simulator = make_simulator(task("pointmaze-stitch"), len(seeds))
    actions = record(simulator, short_route(simulator, seeds), seeds).actions
    assert actions is not None
    return actions.reshape(len(seeds), 200, 2).swapaxes(0, 1)


@pytest.mark.parametrize("name", [*NAMES, ENDS])
def test_equals_a_hand_loop_over_gymnasium_exactly(name):
    chosen = chosen_task(name)
    seeds = [3, 1000, 7]
    simulator = make_simulator(chosen, 3)
    observations = simulator.reset(seeds)
    actions = to_the_goal(seeds) if name == ENDS else random_actions(simulator, 250)
    steps = [simulator.step(action) for action in actions]
    if name == ENDS:
        assert steps[-1].terminations.all()
    for i, seed in enumerate(seeds):
        with _quiet():  # MuJoCo would write its notice into a log file in the working folder
            environment = gymnasium.make(chosen.environment, max_episode_steps=chosen.episode_limit, **chosen.arguments)
        if leftover := getattr(environment.unwrapped, "tmp_xml_file_path", None):
            Path(leftover).unlink()
        expected, _ = environment.reset(seed=seed)
        np.testing.assert_array_equal(observations[i], flat(chosen, expected))
        assert observations.dtype == flat(chosen, expected).dtype
        ended = False
        for step, action in zip(steps, actions, strict=True):
            if ended:
                assert step.rewards[i] == 0
            else:
                expected, reward, terminated, truncated, _ = environment.step(action[i])
                assert step.rewards[i] == reward
                ended = terminated or truncated
            np.testing.assert_array_equal(step.observations[i], flat(chosen, expected))
            assert (step.terminations[i], step.truncations[i]) == (terminated, truncated)
        environment.close()


def test_the_walls_of_the_maze_were_met_in_the_comparison():
    chosen = task("pointmaze-stitch")
    actions = random_actions(make_simulator(chosen, 3), 200)
    environment, contacts = make_environment(chosen), 0
    for i, seed in enumerate([3, 1000, 7]):
        environment.reset(seed=seed)
        for action in actions:
            environment.step(action[i])
            # The ball always touches the ground, hence more than one.
            contacts += environment.unwrapped.point_env.data.ncon > 1
    assert contacts > 20


@pytest.mark.parametrize("name", ["pendulum", "pointmaze-umaze", "hopper-v4"])
def test_an_episode_depends_on_its_seed_alone(name):
    chosen = task(name)
    whole, single = make_simulator(chosen, 4), make_simulator(chosen, 1)
    actions = random_actions(whole, 60)
    first = whole.reset([5, 6, 7, 8]), [whole.step(action) for action in actions]
    again = whole.reset([8, 7, 6, 5]), [whole.step(action[::-1]) for action in actions]
    alone = single.reset([6]), [single.step(action[1:2]) for action in actions]
    np.testing.assert_array_equal(first[0], again[0][::-1])
    np.testing.assert_array_equal(first[0][1:2], alone[0])
    for one, two, three in zip(first[1], again[1], alone[1], strict=True):
        for part, reverse, lone in zip(one, two, three, strict=True):
            np.testing.assert_array_equal(part, reverse[::-1])
            np.testing.assert_array_equal(part[1:2], lone)
    assert not np.array_equal(first[0][0], first[0][1])


@pytest.mark.parametrize("kind", [make_simulator, GymnasiumSimulator])
@pytest.mark.parametrize("name", ["hopper-v4", ENDS])
def test_an_ended_environment_stays_and_is_not_stepped(name, kind, monkeypatch):
    simulator = kind(chosen_task(name), 4)
    simulator.reset([0, 1, 2, 3])
    # The point meets the goal; the hopper falls.
    actions = to_the_goal([0, 1, 2, 3]) if name == ENDS else np.ones((200, 4, 3))
    previous: Step | None = None
    ended = np.zeros(4, dtype=bool)
    for action in actions[:199]:
        step = simulator.step(action)
        if previous is not None:
            assert (step.rewards[ended] == 0).all()
            np.testing.assert_array_equal(step.observations[ended], previous.observations[ended])
            assert step.terminations[ended].all()
        ended, previous = step.terminations | step.truncations, step
    assert ended.all()
    if isinstance(simulator, GymnasiumSimulator):
        with monkeypatch.context() as patch:
            for environment in simulator._environments:
                patch.setattr(environment, "step", lambda action: pytest.fail("an ended environment was stepped"))
            simulator.step(actions[0])
    assert simulator.reset([0, 1, 2, 3]).shape == (4, simulator.observation_size)
    assert not simulator.step(0 * actions[0]).terminations.any()


@pytest.mark.parametrize("name", ["pendulum", "pointmaze-stitch", "halfcheetah-v4"])
def test_the_episode_limit_truncates(name):
    simulator = make_simulator(changed(task(name), episode_limit=7), 2)
    simulator.reset([0, 1])
    flags = [simulator.step(action) for action in random_actions(simulator, 9)]
    assert [step.truncations.all() for step in flags] == [False] * 6 + [True] * 3
    assert not any(step.terminations.any() for step in flags)
    assert (flags[-1].rewards == 0).all()


class TerminatesAtTheLimit(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2, 2), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros((2, 2), dtype=np.float32), {}

    def step(self, action):
        return np.full((2, 2), action[0]), 1.0, True, True, {}


class Discrete(TerminatesAtTheLimit):
    action_space = gymnasium.spaces.Discrete(2)


@pytest.fixture
def own_environments():
    gymnasium.register("OffbenchTestBoth-v0", TerminatesAtTheLimit)
    gymnasium.register("OffbenchTestDiscrete-v0", Discrete)
    yield
    for name in ("OffbenchTestBoth-v0", "OffbenchTestDiscrete-v0"):
        gymnasium.registry.pop(name)


@pytest.mark.usefixtures("own_environments")
def test_termination_wins_and_actions_are_clipped_and_observations_flattened():
    simulator = make_simulator(changed(task("pendulum"), environment="OffbenchTestBoth-v0"), 2)
    simulator.reset([0, 1])
    step = simulator.step(np.array([[5.0], [-0.5]]))
    assert simulator.observation_size == 4
    assert step.observations.tolist() == [[1.0] * 4, [-0.5] * 4]
    assert step.terminations.all()
    assert not step.truncations.any()


@pytest.mark.usefixtures("own_environments")
def test_what_cannot_be_made_is_said():
    pendulum, maze = task("pendulum"), task("pointmaze-stitch")
    with pytest.raises(OffbenchError, match="at least one environment, not 0"):
        make_simulator(pendulum, 0)
    with pytest.raises(OffbenchError, match="Nothing-v9 of task pendulum cannot be made"):
        make_simulator(changed(pendulum, environment="Nothing-v9"), 1)
    with pytest.raises(OffbenchError, match="unexpected keyword argument"):
        make_simulator(changed(pendulum, arguments={"gravity": 3}), 1)
    with pytest.raises(OffbenchError, match="a box of numbers is needed"):
        make_simulator(changed(pendulum, environment="OffbenchTestDiscrete-v0"), 1)
    with pytest.raises(OffbenchError, match="has \\['achieved_goal', 'desired_goal', 'observation'\\]"):
        make_simulator(changed(maze, observation=["position"]), 1)
    with pytest.raises(OffbenchError, match="takes the observation entries \\[\\]"):
        make_simulator(changed(maze, observation=[]), 1)
    with pytest.raises(OffbenchError, match="no point maze with a fixed goal"):
        PointMazeSimulator(pendulum, 1)


@pytest.mark.parametrize("name", ["pendulum", "pointmaze-stitch"])
def test_unusable_actions_and_seeds_are_named(name):
    simulator = make_simulator(task(name), 3)
    size = len(simulator.action_low)
    with pytest.raises(OffbenchError, match="before its first reset"):
        simulator.step(np.zeros((3, size)))
    with pytest.raises(OffbenchError, match="2 seeds for 3 environments"):
        simulator.reset([1, 2])
    simulator.reset([1, 2, 3])
    with pytest.raises(OffbenchError, match=r"actions have shape \(3,\)"):
        simulator.step(np.zeros(3))
    bad = np.zeros((3, size))
    bad[1] = np.nan
    with pytest.raises(OffbenchError, match="for environment 1 is not finite"):
        simulator.step(bad)


def test_moving_goals_are_left_to_gymnasium():
    maze = task("pointmaze-umaze")
    moving = changed(maze, arguments=maze.arguments | {"reset_target": True})
    assert isinstance(make_simulator(moving, 1), GymnasiumSimulator)
    assert isinstance(make_simulator(maze, 1), PointMazeSimulator)


def test_returned_arrays_are_the_callers():
    simulator = make_simulator(task("pointmaze-stitch"), 2)
    first = simulator.reset([0, 1])
    kept = first.copy()
    simulator.step(np.ones((2, 2)))
    np.testing.assert_array_equal(first, kept)


def test_making_environments_is_quiet_and_leaves_no_files(tmp_path):
    script = (
        "from offbench.environments.simulator import make_simulator\n"
        "from offbench.environments.task import task\n"
        "for name in ('halfcheetah-v4', 'pointmaze-stitch'): make_simulator(task(name), 1).reset([0])\n"
    )
    command = [sys.executable, "-W", "default::DeprecationWarning:gymnasium", "-c", script]
    root = Path(__file__).parents[2]
    environment = {"TMPDIR": str(tmp_path), "PYTHONPATH": str(root), "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert (done.stdout, done.stderr) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_every_task_can_be_made():
    from offbench.environments.task import tasks

    for each in tasks().values():
        # NeoRL-2's package is none of offbench's, and this kitchen does not suit this MuJoCo: their tasks only score.
        if each.environment == "FrankaKitchen-v1" or "neorl2" in each.simulator:
            with pytest.raises(OffbenchError, match=f"environment {each.environment} of task {each.name} cannot be"):
                make_environment(each)
            continue
        environment = make_environment(each)
        assert environment.spec is not None
        assert environment.spec.max_episode_steps == each.episode_limit


class Push:
    def act(self, observations):
        return np.full((len(observations), 3), 2.0)

    def reset(self, mask):
        assert mask.all()


def test_record_cuts_each_episode_at_its_end():
    chosen = task("hopper-v4")
    simulator = make_simulator(chosen, 3)
    episodes = record(simulator, Push(), [0, 1, 2])
    assert len(episodes) == 3
    assert len(set(episodes.lengths.tolist())) > 1
    assert episodes.terminations.sum() == 3
    assert episodes.actions is not None
    assert episodes.actions.max() == 1.0
    single = record(make_simulator(chosen, 1), Push(), [1])
    assert single.digest == episodes[1].digest
