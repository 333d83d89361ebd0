"""Cross-validation: who is fitted to what, and scores by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from preference_cases import compared, judged, unplaced

from offbench.data.preferences import Preferences
from offbench.errors import DataError
from offbench.labelling import cross_validation as cv
from offbench.labelling.reward_models import RewardConfig

SMALL = RewardConfig(hidden=(16,), updates=60, learning_rate=3e-3)


def test_each_pair_is_in_one_fold():
    parts = cv.divided(23, 10)
    assert sorted(np.concatenate(parts).tolist()) == list(range(23))
    assert {len(part) for part in parts} == {2, 3}
    for folds in (1, 24):
        with pytest.raises(DataError, match="cannot be divided"):
            cv.divided(23, folds)


def test_pairs_share_steps_by_number_or_by_content():
    pairs = compared(pairs=60, length=10, episodes=10).preferences
    starts = np.stack([pairs.first.starts, pairs.second.starts])
    near = np.abs(starts[:, :, None, None] - starts[None, None]) < 10  # (2, pairs, 2, pairs)
    expected = near.any((0, 2))
    assert 0 < expected.sum() - 60 < expected.size - 60
    assert np.array_equal(cv.sharing(pairs), expected)
    assert np.array_equal(cv.sharing(unplaced(pairs)), expected)


def test_others_are_neither_of_the_fold_nor_share_with_it():
    shared = np.eye(5, dtype=bool)
    shared[1, 4] = shared[4, 1] = True
    assert cv.others(shared, np.array([0, 4])).tolist() == [2, 3]


def test_unseen_pairs_are_judged_well_and_shuffled_labels_teach_nothing():
    pairs = compared(pairs=60, length=8, episodes=200).preferences
    true = cv.cross_validate(pairs, SMALL, [0, 1], folds=4)
    assert true.probabilities.shape == (2, 60)
    assert np.isfinite(true.probabilities).all()
    assert cv.accuracy(true).value > 0.8
    shuffled = cv.cross_validate(pairs, SMALL, [0, 1], folds=4, shuffled=True)
    assert cv.accuracy(shuffled).value < 0.7
    assert cv.cross_entropy(shuffled).value > cv.cross_entropy(true).value + 0.1


def test_a_copy_of_a_pair_in_another_fold_tells_nothing():
    """The labels of copies are turned round, so that who learned one would be wrong on the other."""
    pairs = judged(30, labels=[0.0, 1.0] * 15)
    twice = pairs[np.tile(np.arange(30), 2)]
    labels = np.concatenate([pairs.labels, 1 - pairs.labels])
    config = replace(SMALL, hold_out=0.0)
    found = cv.cross_validate(replace(twice, labels=labels), config, [0], folds=6)
    copied = np.abs(found.probabilities[0, :30] - found.probabilities[0, 30:])
    fold = {pair: number for number, part in enumerate(cv.divided(60, 6)) for pair in part}
    both = np.array([fold[pair] == fold[pair + 30] for pair in range(30)])
    assert copied[both].max(initial=0.0) < 1e-6  # of one fold: the same models
    one = cv.accuracy(cv.Judged(found.probabilities, labels.astype(float)))
    assert abs(one.value - 0.5) < 0.25


def test_the_majority_is_that_of_the_other_folds():
    pairs = judged(8, labels=[1, 1, 1, 1, 1, 0, 0, 0.5])
    found = cv.majority(pairs, folds=8)
    total = 5.5
    np.testing.assert_allclose(found.mean, [(total - label) / 7 for label in pairs.labels])
    score = cv.accuracy(found)
    assert (score.pairs, score.value) == (7, 5 / 7)


def test_scores_by_hand():
    probabilities = np.array([[0.9, 0.2, 0.5, 0.5, 0.3], [0.7, 0.6, 0.5, 0.1, 0.1]])
    found = cv.Judged(probabilities, np.array([1.0, 0.0, 1.0, 0.5, 1.0]))  # means .8 .4 .5 .3 .2
    right = cv.accuracy(found)
    assert (right.value, right.pairs) == (2.5 / 4, 4)
    expected = -(math.log(0.8) + math.log(0.6) + math.log(0.5) + 0.5 * math.log(0.3 * 0.7) + math.log(0.2)) / 5
    entropy = cv.cross_entropy(found)
    assert entropy.value == pytest.approx(expected)
    assert entropy.interval[0] < expected < entropy.interval[1]
    nothing = cv.accuracy(cv.Judged(np.full((1, 3), 0.7), np.full(3, 0.5)))
    assert nothing.pairs == 0
    assert math.isnan(nothing.value)


def test_intervals_cover_the_mean_of_pairs_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        right = rng.random(50) < 0.8
        labels = np.ones(50)
        low, high = cv.accuracy(cv.Judged(np.where(right, 0.9, 0.1)[None], labels)).interval
        covered += low <= 0.8 <= high
    assert 50 <= covered <= 60


def test_data_that_cannot_be_divided_are_told():
    same = judged(3)
    crowded: Preferences = same[[0, 0, 0, 0, 1]]
    with pytest.raises(DataError, match="pairs are left to learn"):
        cv.cross_validate(crowded, SMALL, [0], folds=2)
