import math

import numpy as np
import pytest

from offbench.errors import OffbenchError
from offbench.evaluation.intervals import student
from offbench.evaluation.statistics import student_interval, summarize

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
    low, high = student(draws)
    assert student_interval(draws[0]) == (low[0], high[0])
    covered = np.mean((low <= 3.0) & (high >= 3.0))
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


def test_a_summary_says_which_interval_it_has_and_what_it_cannot_be_trusted_for() -> None:
    assert (summarize([42.0, 45.0]).method, summarize([42.0, 45.0]).caution) == ("Student t over seeds", None)
    assert summarize([90.0, 5.0, 91.0, 6.0, 89.0]).caution == (
        "seeds succeed or fail, 2 of 5 near 6 and 3 near 90: the mean is typical of none; "
        "of all seeds 5% to 85% may fail"
    )
    # Seeds that all succeed hide the others: nothing in them says so.
    assert summarize([90.0, 91.0, 89.0]).caution is None
    assert summarize([42.0]).caution is None
