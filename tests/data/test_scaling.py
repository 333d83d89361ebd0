from dataclasses import replace

import numpy as np
import pytest
from few_episodes import episodes, everything

from offbench.data import scaling
from offbench.data.transitions import Transitions
from offbench.errors import DataError


def test_normalised_states_have_mean_zero_and_deviation_one():
    original = episodes([50, 70], "ll", [True, True])
    stretched = replace(original, observations=original.observations * [3, 5, 0] + [1, -2, 7])
    data = Transitions(stretched, normalise_states=True)
    states, *_ = everything(data)
    np.testing.assert_allclose(states.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(states.std(0), [1, 1, 0], atol=2e-3)  # a constant column stays finite and constant
    back = states * data.scaling.std + data.scaling.mean
    rows = np.r_[0:50, 51:121]
    np.testing.assert_allclose(back, stretched.observations[rows], rtol=1e-5, atol=1e-5)
    assert data.transforms[0]["name"] == "normalise_states"


def test_reward_transforms_are_scale_and_shift_and_are_recorded():
    original = episodes([5, 9, 4], "llt", [True] * 3)
    spread = float(np.ptp(original.returns))
    scaled = Transitions(original, reward_transform="return_range")
    np.testing.assert_allclose(everything(scaled)[2], original.rewards * 1000 / spread, rtol=1e-5)
    assert scaled.transforms[-1]["scale"] == pytest.approx(1000 / spread)
    shifted = Transitions(original, reward_transform="minus_one")
    np.testing.assert_allclose(everything(shifted)[2], original.rewards - 1, rtol=1e-5, atol=1e-6)
    assert Transitions(original).transforms == []


def test_actions_are_scaled_to_the_range_and_back():
    original = episodes([6], "l", [True])
    wide = replace(original, actions=original.actions * [2, 3] + [0, 1])
    low, high = np.array([-2, -2], np.float32), np.array([2, 4], np.float32)
    data = Transitions(wide, action_range=(low, high))
    scaled = everything(data)[1]
    np.testing.assert_allclose(scaled, original.actions, atol=1e-6)
    np.testing.assert_allclose(data.scaling.to_environment(scaled), wide.actions, atol=1e-5)
    with pytest.raises(DataError, match=r"actions reach from .* outside the range -1 to 1; name the task"):
        Transitions(wide)


@pytest.mark.parametrize(("kind", "scale", "shift"), [("times_10_minus_5", 10, -5), ("times_100", 100, 0)])
def test_rewards_of_goals_are_scaled_and_shifted(kind, scale, shift):
    original = episodes([4, 5], "lt", [True, True])
    _, _, rewards, *_ = everything(Transitions(original, reward_transform=kind))
    np.testing.assert_allclose(rewards, scale * original.rewards + shift, rtol=1e-5, atol=1e-4)


def test_what_cannot_be_scaled_is_said():
    with pytest.raises(DataError, match="needs rewards, and the dataset has none"):
        Transitions(replace(episodes([2], "l", [True]), rewards=None), reward_transform="minus_one")
    with pytest.raises(DataError, match="all returns are equal"):
        Transitions(replace(episodes([2], "l", [True])), reward_transform="return_range")
    with pytest.raises(DataError, match="actions have 2 dimensions and their range 3"):
        Transitions(episodes([2], "l", [True]), action_range=(-np.ones(3, np.float32), np.ones(3, np.float32)))


def test_statistics_of_large_data_are_counted_once(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    data = episodes([5, 9, 4], "llt", [True] * 3)
    found = Transitions(data, normalise_states=True).scaling
    monkeypatch.setattr(scaling, "LARGE", 1)
    first = Transitions(data, normalise_states=True).scaling
    with monkeypatch.context() as patched:
        patched.setattr(scaling, "_statistics", None)
        again = Transitions(data, normalise_states=True).scaling
        for one in (first, again):
            assert np.array_equal(one.mean, found.mean)
            assert np.array_equal(one.std, found.std)
        with pytest.raises(TypeError):  # other steps count
            Transitions(data, normalise_states=True, next_actions=True)
