"""The old interface on Gymnasium's environments, wrapper by wrapper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest

from offbench.d4rl import old_gym, old_wrappers  # registers the names, too
from offbench.errors import OffbenchError


@pytest.fixture
def env() -> Iterator[Any]:
    made = old_gym.make("Pendulum-v1")
    yield made
    made.close()


def test_reset_step_and_seed_are_gymnasiums_in_the_old_form(env: Any):
    twin = gymnasium.make("Pendulum-v1")
    assert env.seed(5) == [5]
    np.testing.assert_array_equal(env.reset(), twin.reset(seed=5)[0])
    done = False
    for step in range(200):
        assert not done
        action = np.array([np.sin(step)], dtype=np.float32)
        observation, reward, done, info = env.step(action)
        expected = twin.step(action)
        np.testing.assert_array_equal(observation, expected[0])
        assert (reward, done) == (float(expected[1]), expected[2] or expected[3])
    assert done
    assert info["TimeLimit.truncated"] is True
    # A seed counts for one reset; the next episode goes on from there.
    np.testing.assert_array_equal(env.reset(), twin.reset()[0])
    assert (env._max_episode_steps, env._elapsed_steps, env.spec.id) == (200, 0, "Pendulum-v1")
    assert env.unwrapped.max_torque == 2.0


def test_an_end_in_the_task_is_no_time_limit():
    env = old_gym.make("CartPole-v1")
    env.seed(0)
    env.reset()
    done, info = False, {}
    while not done:
        _, _, done, info = env.step(1)
    assert "TimeLimit.truncated" not in info
    env.close()


def test_old_versions_are_replaced_and_that_is_said(capsys: pytest.CaptureFixture[str]):
    env = old_gym.make("Hopper-v2")
    assert env.spec.id == "Hopper-v4"
    assert env.observation_space.shape == (11,)
    assert "Hopper-v4 in its place" in capsys.readouterr().err
    with pytest.raises(gymnasium.error.Error):
        old_gym.make("NoSuchThing-v0")


def test_pictures_only(env: Any):
    offline = old_gym.make("hopper-medium-v2")
    assert offline.environment.render_mode == env.environment.render_mode == "rgb_array"
    assert offline._max_episode_steps == 1000
    offline.close()
    assert env.render() is None  # there is no window, which is said once
    with pytest.raises(OffbenchError, match="mode='rgb_array'"):
        env.render(mode="ansi")


def test_wrappers_pass_on_and_subclasses_change_one_thing(env: Any):
    class Twice(old_wrappers.ObservationWrapper):
        def observation(self, observation: Any) -> Any:
            return 2 * observation

    class Less(old_wrappers.RewardWrapper):
        def reward(self, reward: float) -> float:
            return reward - 1

    class Still(old_wrappers.ActionWrapper):
        def action(self, action: Any) -> Any:
            return 0 * action

    env.seed(1)
    plain = env.reset()
    reference = env.step(np.zeros(1, np.float32))
    wrapped = Less(Twice(Still(env)))
    wrapped.seed(1)
    np.testing.assert_array_equal(wrapped.reset(), 2 * plain)
    observation, reward, done, _ = wrapped.step(np.ones(1, np.float32))
    np.testing.assert_array_equal(observation, 2 * reference[0])
    assert (reward, done) == (reference[1] - 1, False)
    assert wrapped.unwrapped is env.unwrapped
    assert wrapped._max_episode_steps == 200
    assert wrapped.max_speed == 8
    assert str(wrapped).startswith("<Less<Twice<Still<")
    with pytest.raises(AttributeError, match="no_such"):
        _ = wrapped.no_such


def test_time_limit_counts_steps_of_an_episode(env: Any):
    limited = old_wrappers.TimeLimit(env, 3)
    for _ in range(2):
        limited.reset()
        steps = [limited.step(np.zeros(1, np.float32)) for _ in range(3)]
        assert [step[2] for step in steps] == [False, False, True]
        assert steps[-1][3]["TimeLimit.truncated"] is True
    # Further out than a limit that has struck already, it stays the clock that ended the episode.
    outer = old_wrappers.TimeLimit(limited, 3)
    outer.reset()
    assert [outer.step(np.zeros(1, np.float32))[3].get("TimeLimit.truncated") for _ in range(3)] == [None, None, True]


def test_actions_are_clipped_and_rescaled(env: Any):
    env.seed(2)
    env.reset()
    torque = env.step(np.array([1.5], np.float32))[0]
    for wrapped, action in (
        (old_wrappers.RescaleAction(env, -1, 1), 0.75),
        (old_wrappers.RescaleAction(env, 0, 4), 3.5),
        (old_wrappers.TimeLimit(old_wrappers.ClipAction(env), 9), 1.5),
    ):
        wrapped.seed(2)
        wrapped.reset()
        np.testing.assert_allclose(wrapped.step(np.array([action], np.float32))[0], torque, atol=1e-6)
    assert old_wrappers.RescaleAction(env, -1, 1).action_space.high.tolist() == [1.0]
    assert old_wrappers.ClipAction(env).action(np.array([9.0])) == 2


def test_functions_and_statistics(env: Any):
    env.seed(3)
    first = env.reset()
    counted = old_wrappers.RecordEpisodeStatistics(
        old_wrappers.TimeLimit(old_wrappers.TransformReward(env, lambda reward: 1.0), 4), deque_size=1
    )
    counted.reset()
    infos = [counted.step(np.zeros(1, np.float32))[3] for _ in range(4)]
    assert [("episode" in info) for info in infos] == [False, False, False, True]
    assert (infos[-1]["episode"]["r"], infos[-1]["episode"]["l"], list(counted.return_queue)) == (4.0, 4, [4.0])
    shown = old_wrappers.TransformObservation(env, lambda observation: observation[:1])
    shown.seed(3)
    np.testing.assert_array_equal(shown.reset(), first[:1])
    assert old_wrappers.FlattenObservation(env).observation_space.shape == (3,)
