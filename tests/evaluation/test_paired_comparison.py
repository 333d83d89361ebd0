import numpy as np
import pytest
from scipy import stats
from synthetic_records import make_evaluation, make_record, make_task, seeds

from offbench.errors import OffbenchError
from offbench.evaluation.comparison import compare, paired
from offbench.evaluation.record import EvaluationRecord, RunRecord

MAZE = make_task(low=0.0, high=100.0)


def run(seed: int, returns: list[float], starts: list[int], **changes) -> RunRecord:
    evaluation = EvaluationRecord(
        step=1000, environment_seeds=starts, returns=returns, lengths=[10] * len(returns)
    )  # fmt: skip
    return make_record(task=MAZE, seed=seed, evaluations=[evaluation], **changes)


def test_a_pair_is_a_seed_and_its_difference_is_over_the_starts_that_both_met() -> None:
    ours = [run(0, [10.0, 20.0, 90.0], [1, 2, 3]), run(1, [50.0], [7]), run(2, [0.0], [9])]
    # In another order, with a start of its own; seed 2 met no common start; seed 5 has no partner.
    theirs = [run(5, [1.0], [1]), run(1, [45.0], [7]), run(0, [12.0, 4.0, 0.0], [2, 1, 8]), run(2, [0.0], [10])]
    differences, starts = paired(ours, theirs)
    assert differences.tolist() == [((10 - 4) + (20 - 12)) / 2, 5.0]
    assert starts == 3
    found = compare(ours, theirs)
    assert (found.difference, found.runs, found.starts) == (6.0, (2, 2), 3)
    assert found.notes == ("3 runs have no pair and did not count",)
    two = compare(ours[:2], [theirs[1], theirs[2]])
    assert two.notes == ("2 episodes of one method alone did not count",)


def test_what_a_start_adds_to_both_cancels() -> None:
    generator = np.random.default_rng(0)
    hardness = generator.normal(0, 30, size=(6, 4))
    both = []
    for gain in (0.0, 5.0):
        scores = 50 + gain + hardness + generator.normal(0, 1, size=hardness.shape)
        both.append([run(seed, row.tolist(), list(range(10 * seed, 10 * seed + 4))) for seed, row in enumerate(scores)])
    found, unpaired = (compare(both[1], both[0], test=test) for test in ("sign-flip", "two-sample"))
    assert found.interval is not None
    assert unpaired.interval is not None
    assert found.difference == pytest.approx(unpaired.difference) == pytest.approx(5.0, abs=1.0)
    assert np.diff(found.interval) < np.diff(unpaired.interval) / 10
    assert found.p == found.least_p == 2**-5
    assert unpaired.p > 0.5


def test_tests_and_intervals_are_those_of_scipy() -> None:
    ours, theirs = seeds([60.0, 72.0, 65.0, 80.0]), seeds([55.0, 60.0, 66.0, 61.0], algorithm="iql")
    differences = np.array([5.0, 12.0, -1.0, 19.0])
    t = stats.ttest_1samp(differences, 0)
    found = compare(ours, theirs, test="t")
    assert (found.p, found.interval) == (pytest.approx(t.pvalue), pytest.approx(tuple(t.confidence_interval())))
    exact = compare(ours, theirs)
    # Of 16 ways to flip, the observed one, that with -1 made +1, and their mirrors are as large.
    assert (exact.p, exact.least_p) == (4 / 16, 2 / 16)
    assert exact.interval == found.interval
    reverse = compare(theirs, ours)
    assert (reverse.difference, reverse.p) == (pytest.approx(-exact.difference), exact.p)


def test_runs_without_a_common_start_are_not_paired_and_it_is_said() -> None:
    ours, theirs = ([run(s, [v], [s + shift]) for s, v in enumerate(values)]
                    for shift, values in ((0, [60.0, 70.0, 75.0]), (100, [50.0, 52.0, 51.0])))  # fmt: skip
    found = compare(ours, theirs)
    assert (found.test, found.starts, found.p) == ("two-sample", 0, 2 / 20)
    assert found.notes == ("no seed of the two met a common start, so their runs were not paired",)
    welch = stats.ttest_ind([60.0, 70.0, 75.0], [50.0, 52.0, 51.0], equal_var=False)
    assert found.interval == pytest.approx(tuple(welch.confidence_interval()))
    assert compare(ours, theirs, test="t").p == pytest.approx(welch.pvalue)
    assert compare(ours, theirs, test="two-sample").notes == ()


def test_the_best_evaluations_of_two_runs_share_starts_where_they_are_the_same_evaluation() -> None:
    def curve(values: list[float], **changes) -> RunRecord:
        evaluations = [make_evaluation(i + 1, [value], first_seed=10 * i) for i, value in enumerate(values)]
        return make_record(task=MAZE, evaluations=evaluations, **changes)

    same = compare([curve([1.0, 9.0, 2.0])], [curve([0.0, 5.0, 4.0])], statistic="best")
    assert (same.difference, same.starts, same.interval) == (4.0, 1, None)
    other = compare([curve([1.0, 9.0, 2.0])], [curve([7.0, 5.0, 4.0])], statistic="best")
    assert (other.difference, other.starts) == (2.0, 0)


def test_runs_of_which_a_single_one_could_be_paired_are_two_samples() -> None:
    ours = [run(seed, [90.0 + seed], [seed]) for seed in range(5)]
    theirs = [run(seed, [10.0 + seed], [seed]) for seed in range(4, 9)]
    for test in ("sign-flip", "t"):
        found = compare(ours, theirs, test=test)
        assert found.difference == pytest.approx(92.0 - 16.0)
        assert (found.runs, found.starts) == ((5, 5), 0)
        assert found.p < 0.01
        assert found.notes == ("only 1 seed of the two met a common start, so their runs were not paired",)
    # One run against one is a pair, and so is one against many.
    assert compare(ours[4:], theirs[:1]).starts == compare(ours[4:], theirs).starts == 1


def test_best_evaluations_are_paired_only_if_all_of_them_meet() -> None:
    def curve(seed: int, values: list[float]) -> RunRecord:
        evaluations = [
            make_evaluation(i + 1, [value], first_seed=100 * seed + 10 * i) for i, value in enumerate(values)
        ]
        return make_record(task=MAZE, seed=seed, evaluations=evaluations)

    ours = [curve(0, [9.0, 1.0]), curve(1, [8.0, 1.0]), curve(2, [1.0, 7.0])]
    theirs = [curve(0, [5.0, 1.0]), curve(1, [6.0, 1.0]), curve(2, [7.0, 1.0])]
    found = compare(ours, theirs, statistic="best")
    assert (found.difference, found.starts, found.runs) == (pytest.approx(2.0), 0, (3, 3))
    assert found.notes == ("only 2 seeds of the two met a common start, so their runs were not paired",)
    assert compare(ours[:2], theirs[:2], statistic="best").starts == 2


def test_what_cannot_be_compared_is_refused() -> None:
    one = [run(0, [1.0], [1])]
    with pytest.raises(OffbenchError, match="not scored on the same data and task"):
        compare(one, [run(0, [1.0], [1], dataset="other")])
    with pytest.raises(OffbenchError, match="one has none"):
        compare(one, [])
    with pytest.raises(OffbenchError, match="has a seed twice"):
        compare(one, one * 2)
