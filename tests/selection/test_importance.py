"""Importance sampling against closed forms."""

import itertools

import numpy as np
import pytest

from offbench.selection.importance import doubly_robust, estimates

# Two steps, actions 0 and 1 with reward a; the data choose evenly, the policy takes 1 with probability 0.9: V = 1.8.
EPISODES = np.array(list(itertools.product((0, 1), repeat=2)), float)
RATIOS = np.log(np.where(EPISODES == 1, 0.9, 0.1) / 0.5)


def test_all_four_ways_of_the_two_step_bandit():
    found = estimates(RATIOS, EPISODES, 1.0)
    assert found.trajectory == pytest.approx(1.8)  # every episode once is the expectation itself
    assert found.per_decision == pytest.approx(1.8)
    assert found.weighted_trajectory == pytest.approx(1.8)
    assert found.weighted_per_decision == pytest.approx(1.8)
    assert found.effective == pytest.approx(0.3718, abs=1e-4)


def test_variances_of_the_two_step_bandit():
    whole = np.array([estimates(r[None], e[None], 1.0).trajectory for r, e in zip(RATIOS, EPISODES, strict=True)])
    steps = np.array([estimates(r[None], e[None], 1.0).per_decision for r, e in zip(RATIOS, EPISODES, strict=True)])
    assert (whole**2).mean() - 1.8**2 == pytest.approx(7.3224)
    assert (steps**2).mean() - 1.8**2 == pytest.approx(3.9528)


def test_the_data_s_own_policy_has_their_mean_return():
    rewards = np.random.default_rng(0).standard_normal((7, 5))
    mean = (rewards @ 0.9 ** np.arange(5)).mean()
    found = estimates(np.zeros((7, 5)), rewards, 0.9)
    assert found[:4] == pytest.approx((mean,) * 4)
    assert found.effective == 1


def test_doubly_robust_with_the_true_values_is_the_value_whatever_was_drawn():
    q, v = EPISODES + np.array([0.9, 0.0]), np.tile([1.8, 0.9, 0.0], (4, 1))
    for rows in ([0], [1, 2], [3, 3, 0]):
        assert doubly_robust(RATIOS[rows], EPISODES[rows], q[rows], v[rows], 1.0, False) == pytest.approx(1.8)


def test_doubly_robust_without_values_is_importance_sampling_per_decision():
    nothing = np.zeros((4, 2)), np.zeros((4, 3))
    rows, rng = [0, 3, 3, 1], np.random.default_rng(1)
    rewards = rng.standard_normal((4, 2))
    plain = estimates(RATIOS[rows], rewards, 0.9)
    assert doubly_robust(RATIOS[rows], rewards, *nothing, 0.9, False) == pytest.approx(plain.per_decision)
    assert doubly_robust(RATIOS[rows], rewards, *nothing, 0.9) == pytest.approx(plain.weighted_per_decision)


@pytest.mark.parametrize("size", [2.0, -6.0])
def test_weights_of_a_thousand_steps_neither_overflow_nor_vanish(size):
    generator = np.random.default_rng(0)
    rewards = generator.standard_normal((5, 1000))
    own = generator.uniform(-0.01, 0.01, (5, 1000))
    plain, moved = (estimates(own + shift, rewards, 0.99) for shift in (0.0, size))
    # What all episodes have in common changes no share of theirs.
    assert moved.weighted_trajectory == pytest.approx(plain.weighted_trajectory)
    assert moved.weighted_per_decision == pytest.approx(plain.weighted_per_decision)
    assert moved.effective == pytest.approx(plain.effective)
    values = doubly_robust(own + size, rewards, rewards * 0, np.zeros((5, 1001)), 0.99)
    assert values == pytest.approx(plain.weighted_per_decision)
