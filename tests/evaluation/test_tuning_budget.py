import numpy as np
import pytest

from offbench.errors import OffbenchError
from offbench.evaluation.tuning_budget import tuning_curve


def test_three_arms_by_hand() -> None:
    # Each arm always returns the same. One pull: any of them. Two pulls: the better of any two. Then the best.
    curve = tuning_curve([[90.0], [50.0], [10.0]], pulls=10, repetitions=4000)
    expected = [50.0, (90 + 90 + 50) / 3, *[90.0] * 8]
    np.testing.assert_allclose(curve.mean, expected, atol=2)  # 3.8 standard errors of 33 / sqrt(4,000)
    np.testing.assert_allclose(curve.mean[2:], 90.0)
    assert curve.arms == 3
    assert (curve.low[:2] < curve.mean[:2]).all()
    assert (curve.mean[:2] < curve.high[:2]).all()
    np.testing.assert_allclose(curve.low[2:], 90.0)


def test_an_arm_with_negative_scores_is_handed_in_if_it_is_the_best() -> None:
    curve = tuning_curve([[-10.0], [-50.0]], pulls=3, repetitions=100)
    assert curve.mean[0] == pytest.approx(-30, abs=8)
    assert list(curve.mean[1:]) == [-10.0, -10.0]


def test_what_counts_is_the_true_mean_and_not_the_lucky_episode() -> None:
    lottery = [0.0] * 99 + [100.0]  # mean 1
    curve = tuning_curve([lottery, [20.0, 40.0]], pulls=150, repetitions=100)
    assert set(np.round(curve.mean, 6)) <= set(np.round(np.linspace(1, 30, 5801), 6))  # mixtures of 1 and 30
    assert curve.mean[-1] > 29.5


def test_one_arm_is_its_mean_throughout_and_a_subsample_is_of_the_pool() -> None:
    np.testing.assert_allclose(tuning_curve([[1.0, 3.0]], pulls=4).mean, 2.0)
    # Of a pool of two, one at a time: the mean of both, however long it is played.
    curve = tuning_curve([[0.0], [100.0]], subsample=1, pulls=3, repetitions=4000)
    assert curve.arms == 1
    np.testing.assert_allclose(curve.mean, curve.mean[0])
    assert curve.mean[0] == pytest.approx(50, abs=3)


def test_the_same_seed_gives_the_same_curve() -> None:
    pool = np.random.default_rng(0).normal(50, 20, (5, 30))
    one, same, other = (tuning_curve(list(pool), pulls=20, repetitions=50, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.mean, same.mean)
    np.testing.assert_array_equal(one.low, same.low)
    assert not np.array_equal(one.mean, other.mean)


@pytest.mark.parametrize(
    ("policies", "settings"),
    [([], {}), ([[]], {}), ([[np.nan]], {}), ([[1.0]], {"pulls": 0}), ([[1.0]], {"scale": 0.0})],
)
def test_what_cannot_be_played_is_refused(policies, settings) -> None:
    with pytest.raises(OffbenchError):
        tuning_curve(policies, **settings)
