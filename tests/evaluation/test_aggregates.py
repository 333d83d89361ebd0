import math
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from offbench.errors import OffbenchError
from offbench.evaluation import aggregates
from offbench.evaluation.aggregates import (
    cvar,
    cvar_interval,
    improvement_interval,
    interval,
    iqm,
    mean,
    median,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    profile_band,
)

THRESHOLDS = np.linspace(-20, 120, 15)
numbers = st.floats(-1e4, 1e4, allow_subnormal=False)
ragged = st.lists(st.lists(numbers, min_size=1, max_size=6), min_size=1, max_size=4)


def rliable(module: str) -> Any:
    if int(version("arch").partition(".")[0]) >= 8:
        pytest.skip("rliable 1.2.0 works with arch < 8 only, as constraints.txt has it; another is installed")
    return pytest.importorskip(f"rliable.{module}")


def tables(case: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two balanced tables (runs, tasks); every third one has scores in steps of ten, so that there are ties."""
    generator = np.random.default_rng([17, case])
    tasks, runs = generator.integers(1, 8), generator.integers(2, 11, size=2)
    level, spread = generator.uniform(0, 100, size=tasks), generator.uniform(0, 30, size=tasks)
    a, b = (generator.normal(level, spread, size=(count, tasks)) for count in runs)
    return (np.round(a, -1), np.round(b, -1)) if case % 3 == 0 else (a, b)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", range(50))
def test_point_estimates_equal_rliables(case: int) -> None:
    metrics, library = rliable("metrics"), rliable("library")
    a, b = tables(case)
    assert mean(a.T) == pytest.approx(metrics.aggregate_mean(a))
    assert median(a.T) == pytest.approx(metrics.aggregate_median(a))
    assert iqm(a.T) == pytest.approx(metrics.aggregate_iqm(a))
    assert optimality_gap(a.T) == pytest.approx(metrics.aggregate_optimality_gap(a, gamma=100))
    assert probability_of_improvement(a.T, b.T) == pytest.approx(metrics.probability_of_improvement(a, b))
    assert performance_profile(a.T, THRESHOLDS) == pytest.approx(library.score_distributions(a, THRESHOLDS))


def indices(sizes: list[int], repetitions: int, seed: int = 0) -> list[NDArray[np.int64]]:
    """The documented draws: all repetitions of one task, then those of the next, from one generator."""
    generator = np.random.default_rng(seed)
    return [generator.integers(size, size=(repetitions, size)) for size in sizes]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [0, 1, 10, 45])
def test_intervals_equal_rliables_for_the_same_draws(case: int, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, library = rliable("metrics"), rliable("library")
    a, b = tables(case)
    tasks, repetitions = a.shape[1], 60

    def estimates(scores: Any, function: Any, draws: list[NDArray[np.int64]]) -> NDArray[np.float64]:
        remaining = iter(draws)
        # rliable 1.2.0 ignores its random_state and draws from NumPy's global generator.
        monkeypatch.setattr(np.random, "choice", lambda *_, **__: next(remaining))
        return np.asarray(library.get_interval_estimates({"a": scores}, function, reps=repetitions)[1]["a"])

    one = list(np.stack(indices([len(a)] * tasks, repetitions), axis=2))
    theirs = {
        mean: metrics.aggregate_mean,
        median: metrics.aggregate_median,
        iqm: metrics.aggregate_iqm,
        partial(optimality_gap, gamma=80.0): partial(metrics.aggregate_optimality_gap, gamma=80),
    }
    expected = estimates(a, lambda x: np.array([function(x) for function in theirs.values()]), one)
    ours = [interval(function, a.T, repetitions=repetitions) for function in theirs]
    np.testing.assert_allclose(np.transpose(ours), expected)

    expected = estimates(a, lambda x: library.score_distributions(x, THRESHOLDS), one)
    np.testing.assert_allclose(profile_band(a.T, THRESHOLDS, repetitions=repetitions), expected, atol=1e-12)

    both = indices([len(a)] * tasks + [len(b)] * tasks, repetitions)
    pairs = zip(np.stack(both[:tasks], axis=2), np.stack(both[tasks:], axis=2), strict=True)
    alternating = [draw for pair in pairs for draw in pair]
    # rliable takes half for a draw of two equal columns even where their ties say so too, which is the same number.
    expected = estimates([a, b], lambda x, y: np.array([metrics.probability_of_improvement(x, y)]), alternating)
    ours = improvement_interval(a.T, b.T, repetitions=repetitions)
    np.testing.assert_allclose(ours, expected[:, 0], atol=1e-12)


@settings(max_examples=40)
@given(ragged)
def test_aggregates_of_ragged_tables(scores: list[list[float]]) -> None:
    by_task = [float(np.mean(values)) for values in scores]
    pooled = [value for values in scores for value in values]
    assert mean(scores) == pytest.approx(float(np.mean(by_task)), abs=1e-9)
    assert median(scores) == pytest.approx(float(np.median(by_task)), abs=1e-9)
    assert iqm(scores) == pytest.approx(float(stats.trim_mean(pooled, 0.25)), abs=1e-9)
    assert min(pooled) - 1e-6 <= iqm(scores) <= max(pooled) + 1e-6
    assert optimality_gap(scores, gamma=2e4) == pytest.approx(2e4 - mean(scores))
    assert optimality_gap(scores) >= 100 - mean(scores) - 1e-6


@settings(max_examples=40)
@given(ragged)
def test_profiles_fall_from_one_to_zero(scores: list[list[float]]) -> None:
    pooled = np.concatenate(scores)
    profile = performance_profile(scores, [pooled.min() - 1, *np.sort(pooled)])
    assert profile[0] == pytest.approx(1.0)
    # Strictly above: the best run does not score more than itself.
    assert profile[-1] == 0.0
    assert (np.diff(profile) <= 1e-12).all()


def test_the_area_below_a_profile_is_the_mean() -> None:
    scores = [[10.0, 30.0, 50.0], [20.0, 70.0]]
    grid = np.arange(0, 100, 0.01)
    assert performance_profile(scores, grid).sum() * 0.01 == pytest.approx(mean(scores), abs=0.02)


@settings(max_examples=40)
@given(ragged.flatmap(lambda a: st.tuples(st.just(a), st.lists(st.lists(st.integers(-3, 3), min_size=1, max_size=5),
                                                               min_size=len(a), max_size=len(a)))))  # fmt: skip
def test_improvement_of_one_and_of_the_other_add_up_to_one(both: tuple[list[list[float]], list[list[int]]]) -> None:
    a, b = both
    assert probability_of_improvement(a, b) + probability_of_improvement(b, a) == pytest.approx(1.0)
    assert probability_of_improvement(a, a) == pytest.approx(0.5)
    per_task = [stats.mannwhitneyu(x, y).statistic / (len(x) * len(y)) for x, y in zip(a, b, strict=True)]
    assert probability_of_improvement(a, b) == pytest.approx(float(np.mean(per_task)))


@given(st.lists(numbers, min_size=1, max_size=30), st.floats(0.01, 1.0))
def test_cvar_is_the_integral_of_the_quantiles(returns: list[float], alpha: float) -> None:
    ordered, count = sorted(returns), len(returns)
    # Quantiles are constant between multiples of 1 / n, so that the integral is a sum.
    expected = 0.0
    for number, value in enumerate(ordered):
        expected += value * max(0.0, min(alpha, (number + 1) / count) - number / count)
    assert cvar(returns, alpha) == pytest.approx(expected / alpha, rel=1e-6, abs=1e-6)
    assert cvar(returns, 1.0) == pytest.approx(float(np.mean(returns)), abs=1e-8)
    assert cvar(returns, 1 / (count + 1)) == pytest.approx(min(returns))
    assert cvar(returns, alpha) <= cvar(returns, 1.0) + 1e-6


def test_cvar_of_a_normal_distribution() -> None:
    quantiles = stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000, loc=50, scale=10)
    for alpha in (0.05, 0.25, 0.5):
        expected = 50 - 10 * stats.norm.pdf(stats.norm.ppf(alpha)) / alpha
        assert cvar(quantiles, alpha) == pytest.approx(expected, abs=1e-3)


def test_an_interval_of_the_cvar_draws_seeds_with_their_episodes() -> None:
    seeds = [[0.0, 10.0, 20.0], [5.0, 5.0], [100.0, 0.0, 50.0, 50.0]]
    drawn = np.random.default_rng(4).integers(3, size=(300, 3))
    estimates = [cvar(np.concatenate([seeds[i] for i in row]), 0.3) for row in drawn]
    expected = np.percentile(estimates, [2.5, 97.5])
    assert cvar_interval(seeds, 0.3, seed=4, repetitions=300) == pytest.approx(tuple(expected))
    with pytest.raises(OffbenchError, match="at least two seeds"):
        cvar_interval(seeds[:1], 0.3)


def test_a_statistic_of_ones_own_has_the_interval_of_its_batched_twin() -> None:
    scores = [values.tolist() for values in tables(1)[0].T]
    ours = interval(lambda drawn: iqm(drawn), scores, repetitions=300)
    assert ours == pytest.approx(interval(iqm, scores, repetitions=300))


def test_the_bootstrap_is_the_same_for_the_same_seed_and_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = (list(table.T) for table in tables(4))
    for estimate in (
        partial(interval, iqm, a), partial(improvement_interval, a, b), partial(profile_band, a, THRESHOLDS),
        partial(cvar_interval, a, 0.2),
    ):  # fmt: skip
        first, again, other = (np.array(estimate(seed=seed, repetitions=400)) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()
    whole = interval(mean, a[:1], repetitions=1000)
    monkeypatch.setattr(aggregates, "_BLOCK", 64)
    assert interval(mean, a[:1], repetitions=1000) == whole
    assert np.diff(improvement_interval(a, b, repetitions=50)) >= 0


def test_the_bootstrap_of_a_mean_agrees_with_its_standard_error() -> None:
    scores = np.random.default_rng(2).normal(size=400)
    margin = 1.96 * scores.std() / math.sqrt(400)
    expected = (scores.mean() - margin, scores.mean() + margin)
    assert interval(mean, [scores], repetitions=4000) == pytest.approx(expected, abs=0.1 * margin)


@pytest.mark.parametrize("function", [mean, median, iqm, optimality_gap, partial(performance_profile, thresholds=[0])])
def test_a_missing_cell_is_refused_and_never_filled(function: Any) -> None:
    with pytest.raises(OffbenchError, match=r"scores of task 2 \(leave out a task that has none\)"):
        function([[1.0], []])
    with pytest.raises(OffbenchError, match=r"task 1 .*got \[nan\]"):
        function([[math.nan], [1.0]])
    with pytest.raises(OffbenchError, match="there are no scores"):
        function([])


def test_what_has_no_interval_is_refused() -> None:
    with pytest.raises(OffbenchError, match="task 2 has one alone"):
        interval(mean, [[1.0, 2.0], [1.0]])
    with pytest.raises(OffbenchError, match="tasks 1, 2 have one alone"):
        profile_band([[1.0], [1.0]], [0.0])
    with pytest.raises(OffbenchError, match="one has 1 tasks, the other 2"):
        improvement_interval([[1.0, 2.0]], [[1.0, 2.0], [1.0, 2.0]])
    for alpha in (0.0, 1.5):
        with pytest.raises(OffbenchError, match="above 0 and at most 1"):
            cvar([1.0], alpha)
