import math
from importlib.metadata import version

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from offbench.errors import OffbenchError
from offbench.evaluation.statistics import bootstrap_interval, interquartile_mean, student_interval, summarize

# Quantiles t(0.975, n - 1) as printed in statistical tables, for n = 2, 5 and 10.
T_TABLE = {2: 12.706, 5: 2.776, 10: 2.262}


def test_summary_of_known_numbers() -> None:
    summary = summarize([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert summary.mean == 5.0
    assert summary.population_std == 2.0
    assert summary.std == pytest.approx(math.sqrt(32 / 7))
    assert summary.seeds == 8


@pytest.mark.parametrize("seeds", T_TABLE)
def test_student_interval_is_that_of_the_tables(seeds: int) -> None:
    scores = np.random.default_rng(seeds).normal(50, 10, size=seeds)
    margin = T_TABLE[seeds] * scores.std(ddof=1) / math.sqrt(seeds)
    low, high = student_interval(scores) or (0.0, 0.0)
    assert low == pytest.approx(scores.mean() - margin, rel=1e-3)
    assert high == pytest.approx(scores.mean() + margin, rel=1e-3)


def test_student_interval_covers_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(3.0, 2.0, size=(4000, 5))
    intervals = [student_interval(row) or (0.0, 0.0) for row in draws]
    covered = np.mean([low <= 3.0 <= high for low, high in intervals])
    # Binomial standard error 0.0034.
    assert abs(covered - 0.95) < 4 * 0.0034


def test_one_seed_has_no_uncertainty_and_equal_seeds_have_none_left() -> None:
    summary = summarize([42.0])
    assert (summary.mean, summary.std, summary.interval, summary.population_std) == (42.0, None, None, 0.0)
    assert summarize([42.0, 42.0]).interval == (42.0, 42.0)


@pytest.mark.parametrize("scores", [[], [1.0, math.nan], [math.inf], [[1.0, 2.0]], 3.0])
def test_scores_that_cannot_be_summarised(scores: object) -> None:
    with pytest.raises(OffbenchError, match="finite numbers of shape"):
        summarize(scores)  # type: ignore[arg-type]
    with pytest.raises(OffbenchError, match="finite numbers of shape"):
        bootstrap_interval([scores], generator=np.random.default_rng(0))  # type: ignore[list-item]


def test_interquartile_mean_of_known_numbers() -> None:
    assert interquartile_mean(np.array([0.0, 1.0, 2.0, 100.0])) == 1.5
    assert interquartile_mean(np.array([5.0])) == 5.0
    assert interquartile_mean(np.array([[3.0, 1.0, 2.0], [6.0, 6.0, 6.0]])).tolist() == [2.0, 6.0]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_interquartile_mean_is_scipys_trimmed_mean(scores: list[float]) -> None:
    expected = stats.trim_mean(scores, 0.25)
    assert float(interquartile_mean(np.array(scores))) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def matrix(runs: int = 5, tasks: int = 3) -> NDArray[np.float64]:
    generator = np.random.default_rng(1)
    return np.asarray(generator.normal([20.0, 60.0, 90.0][:tasks], [5.0, 20.0, 2.0][:tasks], size=(runs, tasks)))


def test_bootstrap_draws_within_each_dataset_and_takes_percentiles() -> None:
    scores = matrix()
    repetitions = 300
    interval = bootstrap_interval(list(scores.T), generator=np.random.default_rng(7), repetitions=repetitions)
    generator = np.random.default_rng(7)
    draws = [generator.integers(5, size=(repetitions, 5)) for _ in range(3)]
    estimates = []
    for i in range(repetitions):
        pooled = [scores[run, task] for task in range(3) for run in draws[task][i]]
        estimates.append(stats.trim_mean(pooled, 0.25))
    assert interval == pytest.approx(tuple(np.percentile(estimates, [2.5, 97.5])))


@pytest.mark.filterwarnings("ignore")
def test_bootstrap_equals_rliable_for_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    if int(version("arch").partition(".")[0]) >= 8:
        pytest.skip("rliable 1.2.0 works with arch < 8 only, as constraints.txt has it; another is installed")
    library = pytest.importorskip("rliable.library")
    metrics = pytest.importorskip("rliable.metrics")
    scores = matrix()
    repetitions = 500
    generator = np.random.default_rng(3)
    draws = np.stack([generator.integers(5, size=(repetitions, 5)) for _ in range(3)], axis=2)
    remaining = iter(draws)
    # rliable 1.2.0 ignores its random_state and draws from NumPy's global generator.
    monkeypatch.setattr(np.random, "choice", lambda *_, **__: next(remaining))
    points, intervals = library.get_interval_estimates(
        {"a": scores}, lambda x: np.array([metrics.aggregate_iqm(x)]), reps=repetitions
    )
    ours = bootstrap_interval(list(scores.T), generator=np.random.default_rng(3), repetitions=repetitions)
    np.testing.assert_allclose(interquartile_mean(scores.ravel()), points["a"][0])
    np.testing.assert_allclose(ours, intervals["a"][:, 0])


def test_bootstrap_of_a_mean_agrees_with_its_standard_error() -> None:
    scores = np.random.default_rng(2).normal(size=400)
    low, high = bootstrap_interval(
        [scores], lambda pooled: pooled.mean(axis=-1), generator=np.random.default_rng(0), repetitions=4000
    )
    margin = 1.96 * scores.std() / math.sqrt(400)
    assert (low, high) == pytest.approx((scores.mean() - margin, scores.mean() + margin), abs=0.1 * margin)


def test_bootstrap_takes_datasets_with_different_runs_and_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    ragged = [np.array([1.0, 2.0]), np.array([10.0]), np.array([4.0, 5.0, 6.0])]
    low, high = bootstrap_interval(
        ragged, lambda pooled: pooled.mean(axis=-1), generator=np.random.default_rng(0), repetitions=2000
    )
    # Every drawing keeps the one run of the second dataset.
    assert (2 * 1 + 10 + 3 * 4) / 6 <= low < high <= (2 * 2 + 10 + 3 * 6) / 6
    whole = bootstrap_interval([ragged[2]], generator=np.random.default_rng(5), repetitions=1000)
    monkeypatch.setattr("offbench.evaluation.statistics._BLOCK", 64)
    assert bootstrap_interval([ragged[2]], generator=np.random.default_rng(5), repetitions=1000) == whole
    with pytest.raises(OffbenchError, match="at least one dataset"):
        bootstrap_interval([], generator=np.random.default_rng(0))
