"""Tables of predictions beside the truth."""

import itertools

import numpy as np
import pytest

from offbench.selection.estimation import CLONING, DOUBLY_ROBUST, FQE, OWN, WEIGHTED, Predictions
from offbench.selection.outcome import markdown, outcome

TRUTH = np.array([1.0, 2.0, 5.0, 9.0])
NAMES = ["a", "b", "c", "d"]


def predictions(**changed):
    values = {name: TRUTH + shift for name, shift in zip((FQE, WEIGHTED, DOUBLY_ROBUST), (0, 1, 2), strict=True)}
    values |= {OWN: TRUTH[::-1].copy(), CLONING: -TRUTH}
    return Predictions(values | changed, np.zeros(4), np.full(4, 0.25), 3.0)


def judged(found):
    return {one["estimator"]: one for one in found["estimators"]}


def test_each_estimator_is_judged_against_the_discounted_truth():
    found = judged(outcome(NAMES, predictions(), TRUTH, TRUTH[::-1], (1, 2)))
    assert found[FQE]["error"] == 0
    assert found[WEIGHTED]["error"] == pytest.approx(1 / 8)
    assert found[OWN]["spearman"] == pytest.approx(-1)
    assert found[OWN]["regret"] == {"1": 1.0, "2": pytest.approx(7 / 8)}
    assert found[CLONING]["error"] is None  # a distance predicts no return
    assert found["the undiscounted truth"]["spearman"] == pytest.approx(-1)


def test_the_regret_of_chance_is_the_mean_over_all_draws():
    for k in (1, 2, 3, 4):
        found = judged(outcome(NAMES, predictions(), TRUTH, TRUTH, (k,)))["chance"]
        best = [max(TRUTH[list(rows)]) for rows in itertools.combinations(range(4), k)]
        assert found["regret"][str(k)] == pytest.approx((9 - np.mean(best)) / 8)


def test_an_estimator_that_some_learner_lacks_is_shown_and_not_judged():
    lacking = predictions(**{OWN: np.array([1.0, np.nan, 3.0, 4.0])})
    found = outcome(NAMES, lacking, TRUTH, TRUTH, (1,))
    assert OWN not in judged(found)
    assert found["policies"][1][OWN] is None
    assert "| b | 2.000 | 3.000 | 4.000 |  |" in markdown(found, 0.99)
    assert f"Not judged, as some policies have none: {OWN}." in markdown(found, 0.99)


def test_without_the_truth_there_are_predictions_alone():
    text = markdown(outcome(NAMES, predictions(), None, None, (1,)), 0.99)
    assert "Spearman" not in text
    assert text.index("| d |") < text.index("| a |")  # the highest first


def test_policies_that_return_the_same_are_not_judged():
    assert "All policies return the same" in markdown(outcome(NAMES, predictions(), TRUTH * 0, TRUTH * 0, (1,)), 0.9)
