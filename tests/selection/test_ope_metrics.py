"""Agreement of predictions with the truth, against numbers worked out by hand."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from offbench.errors import OffbenchError
from offbench.selection.metrics import agreement, interval

TRUTH = np.array([10.0, 20, 30, 40, 100])
PREDICTED = np.array([12.0, 35, 30, 90, 60])


def test_the_example_of_the_specification():
    found = agreement(TRUTH, PREDICTED, top=(1, 2))
    assert found.error == pytest.approx(0.2377778, abs=1e-6)
    assert found.spearman == pytest.approx(0.8)
    assert found.regret == pytest.approx({1: 2 / 3, 2: 0.0})


def test_the_rank_correlation_is_scipys_also_with_ties():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth, predicted = rng.integers(0, 6, 12).astype(float), rng.integers(0, 6, 12).astype(float)
        assert agreement(truth, predicted).spearman == pytest.approx(spearmanr(truth, predicted).statistic)


def test_the_truth_agrees_with_itself_and_any_scale_of_it_ranks_as_well():
    same, scaled = agreement(TRUTH, TRUTH, (1, 3)), agreement(TRUTH, 5 * TRUTH - 7)
    assert same == (0, pytest.approx(1), {1: 0, 3: 0}, True)
    assert scaled.spearman == pytest.approx(1)
    assert scaled.regret == {1: 0}
    assert scaled.error > 0


def test_predictions_are_cut_off_above_and_constant_ones_have_no_rank():
    assert agreement(TRUTH, np.array([10.0, 20, 30, 40, 1e9])).error == pytest.approx(1 / 5)
    constant = agreement(TRUTH, np.full(5, 3.0))
    assert (constant.spearman, constant.defined) == (0, False)
    assert constant.regret == {1: 1}  # the first counts as the highest, which is the worst


def test_the_interval_contains_the_estimate_and_is_the_same_for_the_same_seed():
    low, high = interval(TRUTH, PREDICTED, (1, 2), seed=3, repetitions=200)
    found = agreement(TRUTH, PREDICTED, (1, 2))
    assert low.error <= found.error <= high.error
    assert low.regret[1] <= found.regret[1] <= high.regret[1]
    assert (low, high) == interval(TRUTH, PREDICTED, (1, 2), seed=3, repetitions=200)


@pytest.mark.parametrize(
    ("truth", "predicted"),
    [([1.0], [1.0]), ([1.0, 1.0], [1.0, 2.0]), ([1.0, np.nan], [1.0, 2.0]), ([1.0, 2.0], [np.inf, 2.0])],
)
def test_what_says_nothing_is_refused(truth, predicted):
    with pytest.raises(OffbenchError, match="true"):
        agreement(np.array(truth), np.array(predicted))
