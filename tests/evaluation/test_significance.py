import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from offbench.errors import OffbenchError
from offbench.evaluation.significance import combined_t, holm, least_p, least_pairs, sign_flip, two_sample

rng = np.random.default_rng(3)
PAIRS = rng.normal(3, 4, size=9)
OTHER = rng.normal(0, 6, size=6)


def test_the_sign_flip_test_is_scipys_exact_one() -> None:
    theirs = stats.permutation_test((PAIRS,), np.mean, permutation_type="samples", n_resamples=2**9)
    assert sign_flip([PAIRS]) == pytest.approx(theirs.pvalue)


def test_the_two_sample_test_is_scipys_exact_one() -> None:
    theirs = stats.permutation_test(
        (PAIRS, OTHER), lambda a, b: np.mean(a) - np.mean(b), permutation_type="independent", n_resamples=10_000
    )
    # scipy doubles the smaller tail; the tails of this one are counted by size.
    deals = theirs.null_distribution
    observed = abs(PAIRS.mean() - OTHER.mean())
    assert two_sample(PAIRS, OTHER) == pytest.approx(np.mean(np.abs(deals) >= observed - 1e-9))


def test_flips_over_tasks_weigh_tasks_alike() -> None:
    tasks = [np.array([1.0, 2.0]), np.array([-0.5, 4.0, 3.0])]
    observed = np.mean([values.mean() for values in tasks])
    as_large = 0
    for number in range(2**5):
        signs = [1 if number >> i & 1 else -1 for i in range(5)]
        means = [np.mean(signs[:2] * tasks[0]), np.mean(signs[2:] * tasks[1])]
        as_large += abs(np.mean(means)) >= abs(observed) - 1e-12
    assert sign_flip(tasks) == as_large / 2**5


@pytest.mark.parametrize("pairs", [1, 2, 5, 6, 10])
def test_seeds_that_all_agree_give_the_least_p(pairs: int) -> None:
    assert sign_flip([np.arange(1.0, pairs + 1)]) == 2.0 ** (1 - pairs) == least_p("sign-flip", pairs, pairs)
    a, b = np.arange(pairs) + 100.0, np.arange(pairs + 0.0)
    assert two_sample(a, b) == pytest.approx(2 / math.comb(2 * pairs, pairs)) == least_p("two-sample", pairs, pairs)
    a = a if pairs > 8 else np.append(a, 130)
    assert two_sample(a, b) == pytest.approx(least_p("two-sample", a.size, pairs))


def test_many_pairs_are_flipped_by_chance_and_agree_with_t() -> None:
    pairs = np.random.default_rng(5).normal(0.5, 1, size=25)
    p = sign_flip([pairs])
    assert p == sign_flip([pairs])
    assert p == pytest.approx(stats.ttest_1samp(pairs, 0).pvalue, abs=0.005)
    assert sign_flip([np.ones(40)]) == pytest.approx(1 / 200_001) == least_p("sign-flip", 40, 40)
    many = np.random.default_rng(6).normal(size=(2, 30))
    assert two_sample(*many) == pytest.approx(stats.ttest_ind(*many).pvalue, abs=0.01)


def test_a_true_null_is_rejected_no_more_often_than_it_says() -> None:
    differences = np.random.default_rng(7).normal(size=(400, 7)) ** 3
    rejected = np.mean([sign_flip([row]) <= 0.05 for row in differences])
    # At most 6 of 128 flips: 0.047, and three standard errors of 400 tests.
    assert rejected <= 0.047 + 3 * 0.0106


def test_combined_means_are_students_welchs_and_a_mean_over_tasks() -> None:
    one = stats.ttest_1samp(PAIRS, 0)
    interval, p = combined_t([PAIRS], [1.0])
    assert (interval, p) == (pytest.approx(tuple(one.confidence_interval())), pytest.approx(one.pvalue))
    two = stats.ttest_ind(PAIRS, OTHER, equal_var=False)
    interval, p = combined_t([PAIRS, OTHER], [1.0, -1.0])
    assert (interval, p) == (pytest.approx(tuple(two.confidence_interval())), pytest.approx(two.pvalue))
    interval, _ = combined_t([PAIRS, OTHER], [0.5, 0.5])
    assert np.mean(interval) == pytest.approx((PAIRS.mean() + OTHER.mean()) / 2)
    assert combined_t([np.zeros(3)], [1.0]) == ((0.0, 0.0), 1.0)
    assert combined_t([np.ones(3)], [1.0]) == ((1.0, 1.0), 0.0)
    with pytest.raises(OffbenchError, match="two runs"):
        combined_t([np.ones(1)], [1.0])


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holms_correction(p: list[float]) -> None:
    ours = holm(p)
    # Going down from the smallest p, what is at most alpha over the number of tests that are left is rejected.
    for alpha in (0.01, 0.05, 0.3):
        rejected: set[int] = set()
        for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
            if (len(p) - rank) * p[index] > alpha:
                break
            rejected.add(index)
        assert {index for index, adjusted in enumerate(ours) if adjusted <= alpha} == rejected
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_seeds_that_could_be_significant() -> None:
    assert [least_pairs(comparisons) for comparisons in (1, 2, 3, 10)] == [6, 7, 7, 9]
    for comparisons in (1, 2, 3, 10):
        pairs = least_pairs(comparisons)
        assert comparisons * least_p("sign-flip", pairs, pairs) <= 0.05
        assert comparisons * least_p("sign-flip", pairs - 1, pairs - 1) > 0.05
