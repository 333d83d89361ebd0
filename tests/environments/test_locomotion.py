import gymnasium
import mujoco
import numpy as np
import pytest

from offbench.environments import mujoco_states
from offbench.environments.locomotion import LocomotionSimulator, clipped
from offbench.environments.protocol import ExactSimulator
from offbench.environments.simulator import make_simulator, make_state_simulator
from offbench.environments.single import make_environment
from offbench.environments.task import Task, task
from offbench.errors import OffbenchError

IDS = [f"{robot}-{version}" for robot in ("Hopper", "HalfCheetah", "Walker2d", "Ant") for version in ("v4", "v5")]
# Arguments that reach each branch of the formulas.
VARIANTS = [
    ("Hopper-v4", {"terminate_when_unhealthy": False, "ctrl_cost_weight": 1, "healthy_state_range": (-3.0, 3.0)}),
    ("Hopper-v5", {"terminate_when_unhealthy": False, "frame_skip": 2, "healthy_reward": 0.3}),
    ("HalfCheetah-v4", {"exclude_current_positions_from_observation": False, "forward_reward_weight": 0.7}),
    ("Walker2d-v5", {"healthy_angle_range": (-0.3, 0.2), "reset_noise_scale": 0.1, "forward_reward_weight": 2}),
    ("Ant-v4", {"use_contact_forces": True}),
    ("Ant-v4", {"use_contact_forces": True, "contact_force_range": (0.0, 0.0)}),
    ("Ant-v4", {"use_contact_forces": True, "terminate_when_unhealthy": False, "contact_force_range": (-5.0, 3.0)}),
    ("Ant-v5", {"include_cfrc_ext_in_observation": False, "main_body": 2, "contact_cost_weight": 0.01}),
    ("Ant-v5", {"exclude_current_positions_from_observation": False, "healthy_z_range": (0.3, 0.9)}),
]


def locomotion(identifier: str, arguments: dict | None = None, limit: int = 1000) -> Task:
    return task("hopper-v4").model_copy(
        update={"environment": identifier, "arguments": arguments or {}, "episode_limit": limit}
    )


def drawn_actions(simulator, steps: int, seed: int):
    """(steps, environments, action), each environment's of its own size and beyond the bounds at times."""
    generator = np.random.default_rng(seed)
    scale = np.linspace(0.1, 1.5, simulator.count)[:, None]
    shape = (steps, simulator.count, len(simulator.action_low))
    return (scale * generator.normal(size=shape)).astype(np.float32)


def gymnasium_episode(environment, seed: int, actions):
    """First observation, and per step (observation, reward, terminated, truncated) until the episode ends."""
    space = environment.action_space
    first, _ = environment.reset(seed=seed)
    steps = []
    for action in actions:
        steps.append(environment.step(np.clip(action, space.low, space.high))[:4])
        if steps[-1][2] or steps[-1][3]:
            break
    return first, steps


def assert_equal_to_gymnasium(chosen: Task, seeds, steps: int, threads: int | None = None) -> int:
    """Compares all episodes step by step; returns how many steps were compared."""
    simulator = LocomotionSimulator(chosen, len(seeds), threads)
    actions = drawn_actions(simulator, steps, seed=seeds[0])
    first = simulator.reset(seeds)
    batch = [simulator.step(action) for action in actions]
    environment, compared = make_environment(chosen), 0
    for i, seed in enumerate(seeds):
        expected, episode = gymnasium_episode(environment, seed, actions[:, i])
        np.testing.assert_array_equal(first[i], expected)
        assert first.dtype == expected.dtype
        for step, (observation, reward, terminated, truncated) in zip(batch, episode, strict=False):
            np.testing.assert_array_equal(step.observations[i], observation)
            assert step.rewards[i] == reward
            assert step.terminations[i] == terminated
            assert step.truncations[i] == (truncated and not terminated)
        for step in batch[len(episode) :]:
            np.testing.assert_array_equal(step.observations[i], observation)
            assert (step.rewards[i], step.terminations[i]) == (0, terminated)
        compared += len(episode)
    simulator.close()
    environment.close()
    return compared


@pytest.fixture(params=["compiled", "threads"])
def physics(request, monkeypatch):
    """Both ways to step states; the second is that of MuJoCo 3."""
    if request.param == "threads":
        monkeypatch.setattr(mujoco_states, "has_batch", lambda: False)
    elif not mujoco_states.has_batch():
        pytest.skip("needs mujoco.batch, which came with MuJoCo 4.0")


@pytest.mark.usefixtures("physics")
@pytest.mark.parametrize(("identifier", "arguments"), [*((name, {}) for name in IDS), *VARIANTS])
def test_equals_gymnasium_step_by_step(identifier, arguments):
    compared = assert_equal_to_gymnasium(locomotion(identifier, arguments), [3, 1000, 7, 8, 9, 10, 11, 12], steps=60)
    assert compared > 60


@pytest.mark.slow
@pytest.mark.parametrize(("identifier", "arguments"), [*((name, {}) for name in IDS), *VARIANTS])
def test_equals_gymnasium_over_a_hundred_whole_episodes(identifier, arguments):
    assert_equal_to_gymnasium(locomotion(identifier, arguments), list(range(100)), steps=1000)


@pytest.mark.usefixtures("physics")
@pytest.mark.parametrize("identifier", ["Hopper-v4", "HalfCheetah-v5", "Ant-v5"])
def test_neither_threads_nor_neighbours_change_an_episode(identifier):
    chosen = locomotion(identifier)
    many = LocomotionSimulator(chosen, 16, threads=3)
    actions = drawn_actions(many, 40, seed=1)
    alone = LocomotionSimulator(chosen, 1, threads=1)
    np.testing.assert_array_equal(many.reset(range(16))[5:6], alone.reset([5]))
    for action in actions:
        for part, lone in zip(many.step(action), alone.step(action[5:6]), strict=True):
            np.testing.assert_array_equal(part[5:6], lone)


def test_an_episode_begins_anew_whatever_came_before():
    simulator = make_simulator(locomotion("HalfCheetah-v4"), 3)
    actions = drawn_actions(simulator, 30, seed=0)
    first = simulator.reset([4, 5, 6]), [simulator.step(action) for action in actions]
    second = simulator.reset([4, 5, 6]), [simulator.step(action) for action in actions]
    np.testing.assert_array_equal(first[0], second[0])
    for one, two in zip(first[1], second[1], strict=True):
        np.testing.assert_array_equal(one.observations, two.observations)
        np.testing.assert_array_equal(one.rewards, two.rewards)


def test_the_episode_limit_truncates_and_termination_wins():
    simulator = make_simulator(locomotion("Hopper-v4", {"healthy_z_range": (1.3, 9.0)}, limit=1), 2)
    simulator.reset([0, 1])
    step = simulator.step(np.zeros((2, 3)))
    assert step.terminations.all()
    assert not step.truncations.any()
    simulator = make_simulator(locomotion("Hopper-v4", limit=2), 2)
    simulator.reset([0, 1])
    assert [simulator.step(np.zeros((2, 3))).truncations.all() for _ in range(3)] == [False, True, True]


def test_the_returned_arrays_are_the_callers():
    simulator = make_simulator(locomotion("Walker2d-v4"), 2)
    first = simulator.reset([0, 1])
    kept = first.copy()
    step = simulator.step(np.ones((2, 6)))
    after = [part.copy() for part in step]
    simulator.step(np.ones((2, 6)))
    np.testing.assert_array_equal(first, kept)
    for part, copy in zip(step, after, strict=True):
        np.testing.assert_array_equal(part, copy)


def states_met(chosen: Task, count: int):
    """Observations (count, observation) after 20 random steps, and the MuJoCo states (count, ...) they show."""
    simulator = LocomotionSimulator(chosen, count)
    simulator.reset(range(count))
    for action in drawn_actions(simulator, 20, seed=2):
        step = simulator.step(action)
    return step.observations, simulator._states.values["qpos"], simulator._states.values["qvel"]


@pytest.mark.parametrize("identifier", IDS)
def test_a_step_from_a_set_state_equals_gymnasiums(identifier):
    chosen = locomotion(identifier, {"terminate_when_unhealthy": False} if "Cheetah" not in identifier else {})
    observations, positions, velocities = states_met(chosen, 6)
    hidden = 2 if "Ant" in identifier else 1
    simulator = make_state_simulator(chosen, 6)
    actions = drawn_actions(simulator, 3, seed=3)
    first = simulator.set_states(observations)
    steps = [simulator.step(action) for action in actions]
    environment = make_environment(chosen)
    inner = environment.unwrapped
    for i in range(6):
        environment.reset()
        mujoco.mj_resetData(inner.model, inner.data)
        bounded = np.clip(velocities[i], -10, 10) if identifier[:3] in ("Hop", "Wal") else velocities[i]
        inner.set_state(np.concatenate([np.zeros(hidden), positions[i, hidden:]]), bounded)
        np.testing.assert_array_equal(first[i], inner._get_obs())
        for step, action in zip(steps, actions, strict=True):
            low, high = inner.action_space.low, inner.action_space.high
            observation, reward, terminated, _, _ = environment.step(np.clip(action[i], low, high))
            np.testing.assert_array_equal(step.observations[i], observation)
            assert (step.rewards[i], step.terminations[i]) == (reward, terminated)


def test_a_set_state_goes_on_as_the_episode_did():
    # What is lost is the warm start, hence the tolerance.
    chosen = locomotion("HalfCheetah-v4")
    observations, _, _ = states_met(chosen, 4)
    going_on = LocomotionSimulator(chosen, 4)
    going_on.reset(range(4))
    for action in drawn_actions(going_on, 20, seed=2):
        going_on.step(action)
    simulator = make_state_simulator(chosen, 4)
    np.testing.assert_array_equal(simulator.set_states(observations), observations)
    ahead, expected = simulator.step(np.zeros((4, 6))), going_on.step(np.zeros((4, 6)))
    np.testing.assert_allclose(ahead.observations, expected.observations, atol=1e-6)
    np.testing.assert_allclose(ahead.rewards, expected.rewards, atol=1e-6)


def test_setting_states_begins_episodes_and_forgets_the_ended_ones():
    simulator = make_state_simulator(locomotion("Hopper-v4", limit=3), 2)
    start = simulator.reset([0, 1])
    for _ in range(3):
        step = simulator.step(np.zeros((2, 3)))
    assert step.truncations.all()
    np.testing.assert_array_equal(simulator.set_states(start), start)
    assert not simulator.step(np.zeros((2, 3))).truncations.any()


def test_states_that_cannot_be_set_are_said():
    simulator = make_state_simulator(task("hopper-v4"), 2)
    with pytest.raises(OffbenchError, match=r"states have shape \(2, 12\); .* = \(2, 11\) is right"):
        simulator.set_states(np.zeros((2, 12)))
    with pytest.raises(OffbenchError, match="for environment 1 is not finite"):
        simulator.set_states(np.array([np.zeros(11), np.full(11, np.inf)]))
    with pytest.raises(OffbenchError, match="task pen cannot start at given states"):
        make_state_simulator(task("pen"), 1)


def test_make_simulator_chooses_it_for_d4rls_robots():
    for name in ("hopper-v4", "halfcheetah-v4", "walker2d-v4", "ant-v4"):
        assert isinstance(make_simulator(task(name), 1), LocomotionSimulator)
        spec = gymnasium.spec(task(name).environment)
        assert spec.max_episode_steps == task(name).episode_limit


def test_errors():
    with pytest.raises(OffbenchError, match="task pendulum is none of Hopper, HalfCheetah"):
        LocomotionSimulator(task("pendulum"), 1)
    with pytest.raises(OffbenchError, match="2 states on 0 threads"):
        LocomotionSimulator(task("hopper-v4"), 2, threads=0)
    with pytest.raises(OffbenchError, match="cannot be made"):
        LocomotionSimulator(locomotion("Hopper-v4", {"gravity": 3}), 1)
    simulator = make_simulator(task("hopper-v4"), 3)
    with pytest.raises(OffbenchError, match="before its first reset"):
        simulator.step(np.zeros((3, 3)))
    with pytest.raises(OffbenchError, match="2 seeds for 3 environments"):
        simulator.reset([1, 2])
    simulator.reset([1, 2, 3])
    with pytest.raises(OffbenchError, match=r"actions have shape \(3,\)"):
        simulator.step(np.zeros(3))
    with pytest.raises(OffbenchError, match="for environment 1 is not finite"):
        simulator.step(np.where(np.arange(3)[:, None] == 1, np.nan, np.zeros((3, 3))))


# -------------------------------------------------------------------- exact states


@pytest.mark.usefixtures("physics")
@pytest.mark.parametrize(("identifier", "arguments"), [*((name, {}) for name in IDS), *VARIANTS])
def test_an_episode_goes_on_bit_for_bit_from_states_that_were_read(identifier, arguments):
    chosen = locomotion(identifier, arguments)
    first, second = LocomotionSimulator(chosen, 6), LocomotionSimulator(chosen, 6)
    assert isinstance(first, ExactSimulator)
    first.reset(range(6))
    actions = drawn_actions(first, 16, seed=4)
    for action in actions[:8]:
        step = first.step(action)
    states = first.states()
    assert {name: column.shape for name, column in states.items()} == {
        name: (6, size) for name, size in second.state_sizes.items()
    }
    kept = {name: column.copy() for name, column in states.items()}
    second.restore(states)
    live = ~step.terminations
    assert live.any()
    for action in actions[8:]:
        for mine, other in zip(first.step(action), second.step(action), strict=True):
            np.testing.assert_array_equal(mine[live], other[live])
        for name, column in first.states().items():
            np.testing.assert_array_equal(column[live], second.states()[name][live])
    for name, column in states.items():
        np.testing.assert_array_equal(column, kept[name])


def test_states_that_cannot_be_restored_are_said():
    simulator = make_simulator(task("hopper-v4"), 2)
    simulator.reset([0, 1])
    states = simulator.states()
    with pytest.raises(OffbenchError, match="have no qacc_warmstart; they need qpos, qvel, qacc_warmstart"):
        simulator.restore({name: states[name] for name in ("qpos", "qvel")})
    with pytest.raises(OffbenchError, match=r"shape \(2, 5\); \(environments, qvel\) = \(2, 6\) is right"):
        simulator.restore(states | {"qvel": np.zeros((2, 5))})
    with pytest.raises(OffbenchError, match="for environment 0 is not finite"):
        simulator.restore(states | {"qpos": np.full((2, 6), np.nan)})


def test_velocities_that_observations_clip_are_told():
    shown = np.zeros((3, 17))
    shown[0, 3], shown[1, 8], shown[2, 16] = 12, 10, -10
    assert clipped(task("walker2d-d4rl"), shown).tolist() == [False, True, True]
    assert not clipped(task("halfcheetah-v4"), shown).any()
    assert clipped(task("hopper-v4"), shown[None, :, :11]).tolist() == [[False, True, False]]
