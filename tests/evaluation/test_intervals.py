import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from offbench.errors import OffbenchError
from offbench.evaluation import intervals
from offbench.evaluation.proportions import clopper_pearson, clustered, wilson
from offbench.evaluation.splits import is_split, split

ALL = [getattr(intervals, name) for name in ("student", "percentile", "bca", "bootstrap_t", "hoeffding", "anderson")]
few = st.lists(st.floats(0, 100), min_size=2, max_size=12)
SKEWED = np.array([3.0, 5.0, 4.0, 8.0, 2.5, 21.0, 6.0])


@settings(max_examples=40)
@given(few)
@example([43.032982036247475] * 3)  # whose mean, rounded, is another number
def test_intervals_hold_the_mean_and_move_with_the_scores(scores: list[float]) -> None:
    values = np.array(scores)
    for interval in ALL:
        low, high = interval(values)
        assert low <= values.mean() + 1e-6
        assert high >= values.mean() - 1e-6
    for interval in ALL[:3]:
        low, high = interval(values)
        assert interval(2 * values + 10) == pytest.approx((2 * low + 10, 2 * high + 10), abs=1e-6)


@pytest.mark.parametrize("interval", ALL)
def test_many_sets_at_once_have_the_intervals_of_each(interval) -> None:
    sets = np.random.default_rng(0).uniform(0, 100, size=(4, 2, 5))
    low, high = interval(sets)
    assert low.shape == (4, 2)
    for place in np.ndindex(4, 2):
        assert interval(sets[place]) == pytest.approx((low[place], high[place]))


@pytest.mark.parametrize("interval", ALL[:4])
def test_a_lower_level_gives_a_narrower_interval(interval) -> None:
    wide, narrow = interval(SKEWED), interval(SKEWED, level=0.8)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@pytest.mark.parametrize("interval", ALL[:4])
def test_equal_scores_leave_no_spread(interval) -> None:
    # 0.1 is no binary fraction: rounding of the draws must not be taken for spread.
    assert interval(np.full(5, 0.1)) == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize(("ours", "method"), [(intervals.percentile, "percentile"), (intervals.bca, "BCa")])
def test_bootstraps_agree_with_scipys(ours, method: str) -> None:
    theirs = stats.bootstrap(
        (SKEWED,), np.mean, n_resamples=20_000, method=method, rng=np.random.default_rng(1)
    ).confidence_interval
    # Ends of 20,000 draws have a standard error of some 0.05 here; BCa's upper one lies in a thin tail.
    assert ours(SKEWED, repetitions=20_000) == pytest.approx(tuple(theirs), abs=0.3)


def test_the_studentised_bootstrap_is_what_its_definition_says() -> None:
    weights = intervals._shares(7, 2000)
    assert (weights * 7 == np.round(weights * 7)).all()
    t = []
    for row in np.round(weights * 7).astype(int):
        drawn = np.repeat(SKEWED, row)
        t.append((drawn.mean() - SKEWED.mean()) / max(drawn.std(ddof=1) / math.sqrt(7), 1e-300))
    error = SKEWED.std(ddof=1) / math.sqrt(7)
    low, high = np.quantile(t, [0.025, 0.975])
    expected = (SKEWED.mean() - high * error, SKEWED.mean() - low * error)
    assert intervals.bootstrap_t(SKEWED) == pytest.approx(expected, rel=0.02)
    assert intervals.bootstrap_t(np.array([1.0, 2.0, 4.0])) == (-math.inf, math.inf)


def test_bounded_intervals_are_the_closed_forms() -> None:
    low, high = intervals.hoeffding(np.full(50, 50.0))
    assert (high - low) / 2 == pytest.approx(100 * math.sqrt(math.log(40) / 100))
    for seeds in (3, 5, 10):
        low, high = intervals.anderson(np.full(seeds, 100.0))
        assert (low, high) == pytest.approx((100 * (1 - stats.ksone.ppf(0.975, seeds)), 100.0))
        # What is exact for seeds of 0 and 100 alone is narrower.
        exact = 100 * float(clopper_pearson(seeds, seeds)[0])
        assert 0.8 * exact < low < exact + 1e-6
    # The integral of what lies above the upper band of the distribution, in steps.
    scores, grid = np.linspace(0, 100, 20), np.linspace(0, 100, 100_001)
    band = np.minimum(np.searchsorted(scores, grid, side="right") / 20 + stats.ksone.ppf(0.975, 20), 1)
    low, high = intervals.anderson(scores)
    assert low == pytest.approx(100 * np.mean(1 - band), abs=0.01)
    assert low + high == pytest.approx(100)
    assert intervals.anderson(np.full(4, 7.0), low=7.0, high=9.0)[0] == pytest.approx(7.0)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_bounded_intervals_cover_seeds_that_succeed_or_fail(share: float) -> None:
    sets = 100.0 * (np.random.default_rng(0).random((2000, 5)) < share)
    for interval in (intervals.hoeffding, intervals.anderson):
        low, high = interval(sets)
        assert np.mean((low <= 100 * share) & (100 * share <= high)) >= 0.95
    low, high = intervals.student(sets)
    # No more than the sets in which both kinds of seeds were drawn.
    covered, both = (low <= 100 * share) & (100 * share <= high), sets.std(axis=1) > 0
    assert not covered[~both].any()


@pytest.mark.parametrize(("successes", "trials"), [(0, 5), (5, 5), (7, 10), (93, 100)])
def test_intervals_of_shares_are_scipys(successes: int, trials: int) -> None:
    theirs = stats.binomtest(successes, trials)
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        assert ours(successes, trials) == pytest.approx(tuple(theirs.proportion_ci(method=method)))


def test_the_exact_interval_covers_at_least_as_often_as_it_says() -> None:
    trials = np.full(11, 10)
    low, high = clopper_pearson(np.arange(11), trials)
    for chance in np.linspace(0.01, 0.99, 50):
        covered = stats.binom.pmf(np.arange(11), 10, chance)[(low <= chance) & (chance <= high)].sum()
        assert covered >= 0.95


def test_clustered_shares_lie_between_independent_episodes_and_seeds_as_trials() -> None:
    trials = np.full(5, 100.0)
    alike, apart = np.full(5, 70.0), np.array([100.0, 100.0, 100.0, 50.0, 0.0])
    narrow, wide = clustered(alike, trials), clustered(apart, trials)
    pooled = clopper_pearson(350, 500)
    assert wide[0] < narrow[0] < pooled[0]
    assert pooled[1] < narrow[1] < wide[1]
    # No variance between seeds: all 500 count, but for the ratio of the t quantiles.
    counted = 500 * (stats.t.ppf(0.975, 499) / stats.t.ppf(0.975, 4)) ** 2
    assert narrow == pytest.approx(clopper_pearson(0.7 * counted, counted))
    # The variance between seeds, p (1 - p) / n: n independent episodes.
    shares = apart / 100
    counted = 0.7 * 0.3 / (shares.var(ddof=1) / 5) * (stats.t.ppf(0.975, 499) / stats.t.ppf(0.975, 4)) ** 2
    assert wide == pytest.approx(clopper_pearson(0.7 * counted, counted))


def test_shares_that_cannot_be() -> None:
    for successes, trials in ((3, 2), (-1, 2), (0, 0)):
        with pytest.raises(OffbenchError, match="between 0 and the trials"):
            wilson(successes, trials)
    with pytest.raises(OffbenchError, match="at least two"):
        clustered(np.array([3.0]), np.array([5.0]))


@pytest.mark.parametrize(
    ("scores", "groups"),
    [
        ([90.0, 5.0, 92.0, 88.0, 6.0], (5.5, 90.0, 2)),
        ([90.0, 5.0], (5.0, 90.0, 1)),
        ([60.0, 20.0], (20.0, 60.0, 1)),
        ([60.0, 20.1], None),
        ([0.0, 28.0, 69.0], None),  # the lower group spans more than two thirds of the gap
        ([0.0, 26.0, 67.0], (13.0, 67.0, 2)),
        ([50.0, 50.0, 50.0], None),
        ([7.0], None),
    ],
)
def test_seeds_that_succeed_or_fail_are_told(scores: list[float], groups: tuple[float, float, int] | None) -> None:
    found = split(np.array(scores))
    assert (None if found is None else (found.low, found.high, found.lower)) == groups
    assert found is None or found.seeds == len(scores)


@settings(max_examples=40)
@given(few, st.floats(-50, 50))
def test_whether_seeds_are_split_depends_on_neither_level_order_nor_sign(scores: list[float], level: float) -> None:
    values = np.round(np.array(scores), 1)
    before = bool(is_split(values))
    assert bool(is_split(values[::-1])) == before
    gaps = np.diff(np.sort(values))
    if abs(gaps.max() - 40) > 1e-6:  # at the border rounding decides
        assert bool(is_split(100 - values)) == before or len(np.flatnonzero(gaps > gaps.max() - 1e-6)) > 1
