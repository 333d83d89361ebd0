import numpy as np
import pytest

from offbench.environments.pendulum import PendulumSimulator
from offbench.environments.simulator import make_simulator, make_state_simulator
from offbench.environments.single import make_environment
from offbench.environments.task import task
from offbench.errors import OffbenchError


def drawn_actions(steps: int, count: int, seed: int):
    """(steps, environments, 1), beyond the bounds at times and held for a while, so that the pendulum goes round."""
    drawn = np.random.default_rng(seed).normal(scale=2.0, size=(-(-steps // 10), count, 1))
    return np.repeat(drawn, 10, axis=0)[:steps].astype(np.float32)


def assert_equal_to_gymnasium(chosen, count: int) -> None:
    simulator = PendulumSimulator(chosen, count)
    actions = drawn_actions(chosen.episode_limit, count, seed=count)
    first = simulator.reset(range(count))
    batch = [simulator.step(action) for action in actions]
    assert (np.stack([step.observations for step in batch])[:, :, 0] > 0.9).any(), "no pendulum came near the top"
    environment = make_environment(chosen)
    for i in range(count):
        expected, _ = environment.reset(seed=i)
        np.testing.assert_array_equal(first[i], expected)
        assert first.dtype == expected.dtype
        for step, action in zip(batch, actions, strict=True):
            observation, reward, terminated, truncated, _ = environment.step(action[i])
            np.testing.assert_array_equal(step.observations[i], observation)
            assert step.rewards[i] == reward
            assert (step.terminations[i], step.truncations[i]) == (terminated, truncated)


@pytest.mark.parametrize("arguments", [{}, {"g": 9.81}])
def test_equals_gymnasium_step_by_step(arguments):
    assert_equal_to_gymnasium(task("pendulum").model_copy(update={"arguments": arguments}), 10)


@pytest.mark.slow
def test_equals_gymnasium_over_a_hundred_episodes():
    assert_equal_to_gymnasium(task("pendulum"), 100)


def test_neighbours_do_not_change_an_episode():
    many, alone = make_simulator(task("pendulum"), 8), make_simulator(task("pendulum"), 1)
    np.testing.assert_array_equal(many.reset(range(8))[3:4], alone.reset([3]))
    for action in drawn_actions(50, 8, seed=0):
        for part, lone in zip(many.step(action), alone.step(action[3:4]), strict=True):
            np.testing.assert_array_equal(part[3:4], lone)


def test_an_ended_pendulum_stays():
    simulator = make_simulator(task("pendulum").model_copy(update={"episode_limit": 3}), 2)
    simulator.reset([0, 1])
    last = [simulator.step(np.ones((2, 1))) for _ in range(3)][-1]
    assert last.truncations.all()
    after = simulator.step(np.ones((2, 1)))
    np.testing.assert_array_equal(after.observations, last.observations)
    assert after.truncations.all()
    assert (after.rewards == 0).all()


def test_a_step_from_a_set_state_equals_gymnasiums():
    generator = np.random.default_rng(0)
    angles, speeds = generator.uniform(-np.pi, np.pi, 20), generator.uniform(-8, 8, 20)
    simulator = make_state_simulator(task("pendulum"), 20)
    simulator.set_states(np.stack([np.cos(angles), np.sin(angles), speeds], axis=1))
    step = simulator.step(np.full((20, 1), 0.7))
    environment = make_environment(task("pendulum"))
    environment.reset(seed=0)
    for i in range(20):
        environment.unwrapped.state = np.array([np.arctan2(np.sin(angles[i]), np.cos(angles[i])), speeds[i]])
        observation, reward, *_ = environment.step(np.array([0.7], dtype=np.float32))
        np.testing.assert_array_equal(step.observations[i], observation)
        assert step.rewards[i] == reward


def test_set_states_gives_back_the_observations_of_an_episode():
    simulator = make_state_simulator(task("pendulum"), 4)
    simulator.reset(range(4))
    observations = [simulator.step(action) for action in drawn_actions(30, 4, seed=1)][-1].observations
    np.testing.assert_allclose(simulator.set_states(observations), observations, atol=3e-7)


def test_errors():
    with pytest.raises(OffbenchError, match="task hopper-v4 is not Pendulum-v1"):
        PendulumSimulator(task("hopper-v4"), 1)
    simulator = make_state_simulator(task("pendulum"), 2)
    with pytest.raises(OffbenchError, match=r"states have shape \(2, 2\)"):
        simulator.set_states(np.zeros((2, 2)))
