import numpy as np
import pytest

from offbench.environments.simulator import make_simulator
from offbench.environments.single import make_environment
from offbench.environments.task import task
from offbench.evaluation.rollout import Evaluator, environment_seeds, returns
from offbench.generation.recording import record


class Proportional:
    """A hopper that pushes against its own motion: episodes end early and at different times."""

    def act(self, observations):
        return np.clip(-observations[:, -3:], -1, 1).astype(np.float32)

    def reset(self, mask):
        pass


def test_returns_equal_a_loop_over_single_environments():
    hopper = task("hopper-v4")
    totals, lengths = returns(make_simulator(hopper, 4), Proportional(), [3, 1, 4, 1])
    for seed, total, length in zip([3, 1, 4, 1], totals, lengths, strict=True):
        environment = make_environment(hopper)
        observation, _ = environment.reset(seed=seed)
        expected, steps, ended = 0.0, 0, False
        while not ended:
            observation, reward, terminated, truncated, _ = environment.step(Proportional().act(observation[None])[0])
            expected, steps, ended = expected + reward, steps + 1, terminated or truncated
        assert (total, length) == (pytest.approx(expected, abs=1e-9), steps)
    assert len(set(lengths)) > 1


def test_starts_are_fixed_distinct_and_fresh():
    assert environment_seeds(3, 0, 5) == environment_seeds(3, 0, 5) == environment_seeds(3, 0, 200)[:5]
    every = [s for seed in range(5) for number in range(5) for s in environment_seeds(seed, number, 20)]
    assert len(set(every)) == len(every)


def test_an_evaluation_does_not_depend_on_the_other_seeds():
    class Still:
        def act(self, observations):
            return np.zeros((len(observations), 1))

        def reset(self, mask):
            pass

    together = Evaluator(task("pendulum"), [0, 7], 3).evaluate(Still(), step=5, evaluation=2)
    (alone,) = Evaluator(task("pendulum"), [7], 3).evaluate(Still(), step=5, evaluation=2)
    assert together[1] == alone


def test_who_listens_hears_the_reward_of_every_step():
    class Listening(Proportional):
        def __init__(self):
            self.heard = []

        def observe(self, rewards):
            self.heard.append(rewards.copy())

    hopper, starts = task("hopper-v4"), [3, 1, 4]
    policy = Listening()
    totals, lengths = returns(make_simulator(hopper, 3), policy, starts)
    heard = np.array(policy.heard)
    np.testing.assert_allclose(heard.sum(0), totals)
    for environment, length in enumerate(lengths):
        assert not heard[length:, environment].any()  # an episode that has ended earns nothing more
    assert totals == returns(make_simulator(hopper, 3), Proportional(), starts)[0]  # and nobody needs to listen
    recording = Listening()
    episodes = record(make_simulator(hopper, 3), recording, starts)
    np.testing.assert_allclose(np.sum(recording.heard, 0), episodes.returns)
