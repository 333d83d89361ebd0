"""The view of preferences, the drawing of segments, and the mathematics of scripted teachers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chi2

from offbench.data.preferences import Preferences
from offbench.data.segments import Segments, segments
from offbench.data.teacher import Teacher
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError

EXAMPLES = settings(max_examples=80, deadline=None)
PAIRS = 20_000


def episodes(lengths: list[int], seed: int = 0, **changes: Any) -> Trajectories:
    """Observations count steps over all episodes, so that a row tells where it was cut from."""
    steps = sum(lengths)
    rng = np.random.default_rng(seed)
    ends = np.cumsum(lengths)
    columns: dict[str, Any] = {
        "observations": np.insert(np.arange(steps, dtype=np.float32), ends, -1)[:, None],
        "offsets": np.concatenate([[0], ends]),
        "terminations": np.zeros(steps, dtype=bool),
        "truncations": np.isin(np.arange(steps), ends - 1),
        "actions": rng.random((steps, 2), dtype=np.float32),
        "rewards": rng.standard_normal(steps).astype(np.float32),
    }
    return Trajectories(**(columns | changes))


# -------------------------------------------------------------------- segments


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(1, 12), st.integers(0, 50), st.integers(0, 9))
@EXAMPLES
def test_segments_never_cross_an_episodes_end(lengths: list[int], length: int, count: int, seed: int) -> None:
    trajectories = episodes(lengths)
    if max(lengths) < length:
        with pytest.raises(DataError, match=f"has {length} steps; its longest has {max(lengths)}"):
            segments(trajectories, length, count, seed)
        return
    starts = segments(trajectories, length, count, seed)
    assert starts.shape == (count,)
    cut = Segments.cut(trajectories, starts, length)
    # Rows count up without the -1 of a final observation, so nothing was skipped, and all lie in one episode.
    assert np.array_equal(cut.observations[..., 0], starts[:, None] + np.arange(length))
    episode = np.repeat(np.arange(len(lengths)), lengths)
    assert (episode[starts] == episode[starts + length - 1]).all()
    assert np.array_equal(cut.actions, trajectories.actions[starts[:, None] + np.arange(length)])
    assert np.array_equal(segments(trajectories, length, count, seed), starts)


def test_every_start_is_equally_likely() -> None:
    trajectories = episodes([10, 4, 5, 30])
    possible = [*range(6), 14, *range(19, 45)]  # 5 steps: none in the episode of 4, one in that of 5
    drawn = segments(trajectories, 5, 33_000, seed=1)
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == possible
    expected = len(drawn) / len(possible)
    assert np.square(counts - expected).sum() / expected < chi2.ppf(1 - 1e-6, len(possible) - 1)


def test_segments_that_cannot_be_cut_are_refused() -> None:
    trajectories = episodes([5, 5])
    with pytest.raises(DataError, match=r"the segment from step 3 crosses the end of its episode"):
        Segments.cut(trajectories, np.array([0, 3]), 3)
    for starts, length in (([-1], 2), ([9], 2), ([0], 0)):
        with pytest.raises(DataError, match=r"must lie in the 10 steps of the data"):
            Segments.cut(trajectories, np.array(starts), length)
    with pytest.raises(DataError, match=r"has no actions; segments for preferences need them"):
        Segments.cut(episodes([5], actions=None), np.array([0]), 2)
    with pytest.raises(DataError, match=r"a segment needs at least one step, not 0"):
        segments(trajectories, 0, 1)


# -------------------------------------------------------------------- teachers


def rewards(seed: int = 0, length: int = 7, pairs: int = PAIRS) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.random.default_rng(seed).standard_normal((2, pairs, length)))


def label(teacher: Teacher, first: np.ndarray, second: np.ndarray, seed: int = 0) -> np.ndarray:
    return teacher.label(first, second, np.random.default_rng(seed))[0]


def test_a_perfect_teacher_prefers_the_higher_return() -> None:
    first, second = rewards()
    labels = label(Teacher(), first, second)
    assert labels.dtype == np.float32
    assert np.array_equal(labels, second.sum(axis=1) > first.sum(axis=1))


def test_endless_rationality_is_perfection() -> None:
    first, second = rewards()
    far = np.abs(second.sum(axis=1) - first.sum(axis=1)) > 1e-3
    assert np.array_equal(label(Teacher(rationality=1e6), first, second)[far], label(Teacher(), first, second)[far])
    assert np.isfinite(label(Teacher(rationality=1e308), first, second)).all()


@pytest.mark.parametrize("rationality", [0.0, 0.3, 1.0])
def test_choices_follow_the_logistic_curve(rationality: float) -> None:
    for gap in (-2.0, 0.0, 0.5, 3.0):
        first, second = np.zeros((PAIRS, 4)), np.full((PAIRS, 4), gap / 4)
        labels = label(Teacher(rationality, ties=None), first, second, seed=int(gap * 10) % 97)
        probability = 1 / (1 + math.exp(-rationality * gap))
        low, high = binom.interval(1 - 1e-7, PAIRS, probability)
        assert low <= labels.sum() <= high


@given(st.floats(0, 1), st.integers(1, 9), st.integers(0, 99))
@EXAMPLES
def test_myopia_weighs_the_last_step_most(myopia: float, length: int, seed: int) -> None:
    first, second = rewards(seed, length, 50)
    weights = [myopia**age for age in range(length)][::-1]
    judged = [
        sum(w * (b - a) for w, a, b in zip(weights, *pair, strict=True)) for pair in zip(first, second, strict=True)
    ]
    sure = np.abs(judged) > 1e-9
    labels = label(Teacher(myopia=myopia), first, second)
    assert np.array_equal(labels[sure], (np.array(judged) > 0)[sure])
    if myopia == 0:
        assert np.array_equal(labels, second[:, -1] > first[:, -1])


@pytest.mark.parametrize("mistakes", [0.0, 0.1, 0.5, 1.0])
def test_mistakes_come_as_often_as_they_should(mistakes: float) -> None:
    first, second = rewards()
    wrong = label(Teacher(mistakes=mistakes), first, second) != label(Teacher(), first, second)
    low, high = binom.interval(1 - 1e-7, PAIRS, mistakes)
    assert low <= wrong.sum() <= high
    # They do not depend on how clear the case is.
    clear = np.abs(second.sum(axis=1) - first.sum(axis=1)) > 4
    low, high = binom.interval(1 - 1e-7, int(clear.sum()), mistakes)
    assert low <= wrong[clear].sum() <= high


def test_ties_are_within_the_threshold_and_never_mistaken() -> None:
    first, second = rewards()
    gap = np.abs(second.sum(axis=1) - first.sum(axis=1))
    for threshold in (0.0, 0.5, 3.0):
        labels = label(Teacher(0.2, 0.9, 0.3, ties=threshold), first, second)
        assert np.array_equal(labels == 0.5, gap <= threshold)
    assert (label(Teacher(), first, first) == 0.5).all()
    assert (label(Teacher(ties=None), first, first) == 0).all()  # as PreferenceTransformer labels locomotion


def test_skips_keep_pairs_of_which_one_is_good_enough() -> None:
    first, second = rewards()
    _, keep = Teacher(skips=1.0).label(first, second, np.random.default_rng(0))
    assert np.array_equal(keep, (first.sum(axis=1) >= 1) | (second.sum(axis=1) >= 1))
    assert Teacher().label(first, second, np.random.default_rng(0))[1].all()


@given(st.floats(0, 50), st.floats(0, 1), st.integers(0, 99))
@EXAMPLES
def test_swapping_the_segments_swaps_a_perfect_label(ties: float, myopia: float, seed: int) -> None:
    first, second = rewards(seed, pairs=50)
    teacher = Teacher(myopia=myopia, ties=ties)
    assert np.array_equal(label(teacher, first, second), 1 - label(teacher, second, first))


def test_other_settings_leave_the_same_chances() -> None:
    """Two teachers given one generator throw the same coins, so that they differ only where the setting says so."""
    first, second = rewards()
    some, more = (label(Teacher(1.0, mistakes=m), first, second) for m in (0.1, 0.3))
    plain = label(Teacher(1.0), first, second)
    assert ((some != plain) <= (more != plain)).all()


@pytest.mark.parametrize(
    ("settings_given", "sentence"),
    [
        ({"myopia": 1.1}, "the myopia of a teacher must lie in"),
        ({"mistakes": -0.1}, "the mistakes of a teacher must lie in"),
        ({"mistakes": math.nan}, "the mistakes of a teacher must lie in"),
        ({"rationality": -1}, "the rationality of a teacher must be at least 0, not -1"),
        ({"rationality": math.nan}, "the rationality of a teacher must be at least 0, not nan"),
        ({"ties": -1.0}, "the threshold for ties of a teacher must be at least 0"),
    ],
)
def test_teachers_of_impossible_settings_are_refused(settings_given: dict[str, float], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        Teacher(**settings_given)


# -------------------------------------------------------------------- preferences from a teacher


def test_a_teacher_labels_what_it_sees() -> None:
    trajectories = episodes([40, 3, 25, 60])
    preferences = Preferences.from_teacher(trajectories, Teacher(), pairs=100, length=10, seed=3)
    assert (len(preferences), preferences.length) == (100, 10)
    assert np.array_equal(preferences.labels, preferences.second.returns > preferences.first.returns)
    assert np.array_equal(preferences.first.starts, preferences.first.observations[:, 0, 0])
    again = Preferences.from_teacher(trajectories, Teacher(), pairs=100, length=10, seed=3)
    other = Preferences.from_teacher(trajectories, Teacher(), pairs=100, length=10, seed=4)
    assert again.digest == preferences.digest != other.digest
    assert preferences.provenance.notes[-1].startswith("labelled by Teacher(rationality=inf, ")


def test_skipped_pairs_are_replaced() -> None:
    trajectories = episodes([200, 200])
    preferences = Preferences.from_teacher(trajectories, Teacher(skips=5.0), pairs=80, length=10)
    assert len(preferences) == 80
    assert (np.maximum(preferences.first.returns, preferences.second.returns) >= 5).all()
    with pytest.raises(DataError, match=r"the teacher keeps 0 of 16000 pairs; lower its threshold for skips"):
        Preferences.from_teacher(trajectories, Teacher(skips=1e9), pairs=80, length=10)


def test_teachers_need_rewards() -> None:
    with pytest.raises(DataError, match=r"has no rewards, by which a scripted teacher judges"):
        Preferences.from_teacher(episodes([9], rewards=None), Teacher(), pairs=2, length=3)
    with pytest.raises(DataError, match=r"the number of pairs must be at least 1, not 0"):
        Preferences.from_teacher(episodes([9]), Teacher(), pairs=0, length=3)


# -------------------------------------------------------------------- splits


@given(st.integers(0, 99), st.floats(0, 1), st.integers(1, 20))
@EXAMPLES
def test_training_and_evaluation_share_no_step(seed: int, fraction: float, length: int) -> None:
    preferences = Preferences.from_teacher(episodes([50, 20, 70]), Teacher(), pairs=12, length=length, seed=seed)
    training, evaluation = preferences.split(fraction, seed)

    def steps(part: Preferences, pair: int) -> set[int]:
        return {start + t for s in (part.first, part.second) for start in [int(s.starts[pair])] for t in range(length)}

    seen = set().union(*(steps(evaluation, pair) for pair in range(len(evaluation))))
    assert len(evaluation) == int(round(fraction * 12, 9))
    for pair in range(len(training)):
        assert not steps(training, pair) & seen
    # Nothing is left out without need.
    apart = [pair for pair in range(12) if not steps(preferences, pair) & seen]
    kept = {tuple(row) for row in np.stack([training.first.starts, training.second.starts], axis=1).tolist()}
    assert kept == {(int(preferences.first.starts[p]), int(preferences.second.starts[p])) for p in apart}
    assert "pairs left out, because they share steps with" in training.provenance.notes[-1]


def test_without_known_steps_equal_segments_are_kept_apart() -> None:
    known = Preferences.from_teacher(episodes([50]), Teacher(), pairs=10, length=5)
    first, second = (replace(part, starts=None) for part in (known.first, known.second))
    preferences = Preferences(first, second, known.labels)
    doubled = preferences[[0, 1, 2, 3, 0]]
    rest = doubled.without(preferences[[0]])
    assert np.array_equal(rest.first.observations, preferences[[1, 2, 3]].first.observations)
    assert "2 of 5 pairs left out, because they have a segment equal to one of 1 pairs" in rest.provenance.notes[-1]
    with pytest.raises(DataError, match=r"the fraction of a split must lie in \[0, 1\], not 2"):
        preferences.split(2)


# -------------------------------------------------------------------- validation


def some(**changes: Any) -> Preferences:
    parts: dict[str, Any] = {
        "first": Segments(np.zeros((3, 4, 2), np.float32), np.zeros((3, 4, 1), np.float32)),
        "second": Segments(np.ones((3, 4, 2), np.float32), np.ones((3, 4, 1), np.float32)),
        "labels": np.array([0, 0.5, 1], np.float32),
    }
    return Preferences(**(parts | changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"labels": np.array([0, 1, -1], np.float32)}, "labels of these preferences must be one row of float32"),
        ({"labels": np.array([0, 1, 1])}, "labels of these preferences must be one row of float32"),
        ({"labels": np.zeros((3, 1), np.float32)}, "labels of these preferences must be one row of float32"),
        (
            {"labels": np.zeros(2, np.float32)},
            "observations of these preferences have shapes .*; equal ones of 2 pairs",
        ),
        ({"second": Segments(np.ones((3, 4, 3)), np.ones((3, 4, 1)))}, "observations of these preferences have shapes"),
        ({"second": Segments(np.ones((3, 4, 2)), np.ones((3, 4, 1)), np.ones((3, 4)))}, "differ in their columns"),
        (
            {side: Segments(np.ones((3, 5, 2)), np.ones((3, 4, 1))) for side in ("first", "second")},
            "observations of these preferences have segments of 5 steps; all need the same length",
        ),
        (
            {side: Segments(np.full((3, 4, 2), np.inf), np.ones((3, 4, 1))) for side in ("first", "second")},
            "observations of these preferences have NaN or infinite values",
        ),
        (
            {side: Segments(np.ones((3, 4, 2)), np.ones((3, 4, 1), dtype=object)) for side in ("first", "second")},
            "actions of these preferences have dtype object; numbers would be right",
        ),
    ],
)
def test_what_contradicts_the_layout_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        some(**changes)


def test_raters_go_with_their_pairs_and_change_no_digest_where_there_are_none() -> None:
    bare = Preferences.from_teacher(episodes([30, 30]), Teacher(), pairs=6, length=3)
    rated = replace(bare, raters=np.array([0, 1, 2, 0, 1, 2]))
    assert "raters" not in bare.columns()
    assert rated.digest != bare.digest == replace(rated, raters=None).digest
    assert rated[[4, 0]].raters.tolist() == [1, 0]
    assert rated[5].raters.tolist() == [2]
    training, evaluation = rated.split(0.5, seed=1)
    for part in (training, evaluation):
        place = {start: pair for pair, start in enumerate(rated.first.starts.tolist())}
        assert part.raters.tolist() == [int(rated.raters[place[s]]) for s in part.first.starts.tolist()]
    with pytest.raises(ValueError, match=r"read-only"):
        rated.raters[0] = 1


@pytest.mark.parametrize(
    "raters", [np.array([0.0, 1, 2]), np.array([0, 1]), np.array([0, -1, 2]), np.zeros((3, 1), int)]
)
def test_what_is_no_rater_a_pair_is_refused(raters: np.ndarray) -> None:
    with pytest.raises(
        DataError, match=r"raters of these preferences must be one whole number from 0 a pair, 3 in all"
    ):
        some(raters=raters)


def test_the_pairs_of_several_raters_are_joined() -> None:
    trajectories = episodes([30, 30])
    one, two = (Preferences.from_teacher(trajectories, Teacher(), pairs, 3, seed=pairs) for pairs in (2, 3))
    both = Preferences.of_raters([one, two])
    assert both.raters.tolist() == [0, 0, 1, 1, 1]
    assert replace(both[2:], raters=None).digest == two.digest
    with pytest.raises(DataError, match=r"actions of the raters' segments differ in shape, or only some have"):
        Preferences.of_raters([one, Preferences.from_teacher(trajectories, Teacher(), 2, 4)])
    with pytest.raises(DataError, match=r"preferences of no rater were given"):
        Preferences.of_raters([])


def test_preferences_cannot_be_changed() -> None:
    preferences = some()
    with pytest.raises(ValueError, match=r"read-only"):
        preferences.labels[0] = 1
    with pytest.raises(ValueError, match=r"read-only"):
        preferences.first.actions[0] = 1
    with pytest.raises(DataError, match=r"these segments have no rewards"):
        _ = preferences.first.returns


def test_pairs_are_chosen_by_number_too() -> None:
    preferences = Preferences.from_teacher(episodes([9, 9]), Teacher(), pairs=4, length=3)
    assert [len(preferences[0]), len(preferences[-1])] == [1, 1]
    assert preferences[-1].digest == preferences[[3]].digest == preferences[3:].digest
    assert [one.digest for one in preferences] == [preferences[i : i + 1].digest for i in range(4)]
    with pytest.raises(IndexError):
        preferences[4]
