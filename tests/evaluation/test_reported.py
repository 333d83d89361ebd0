import numpy as np
import pytest
from synthetic_records import make_evaluation, make_record, make_task

from offbench.errors import OffbenchError, UnknownNameError
from offbench.evaluation.proportions import clopper_pearson
from offbench.evaluation.reported import STATISTICS, best, evaluation_of, last, score
from offbench.evaluation.success import is_binary, success

MAZE = make_task(low=0.0, high=1.0)


def maze(returns: list[list[float]], seed: int = 0, **changes):
    """A record whose evaluations have these returns."""
    evaluations = [make_evaluation(100 * (i + 1), values, first_seed=1000 * i) for i, values in enumerate(returns)]
    return make_record(task=MAZE, evaluations=evaluations, seed=seed, **changes)


def test_last_and_best_are_kept_apart() -> None:
    record = maze([[0.0, 1.0], [1.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    assert (last(record).step, best(record).step) == (400, 200)
    assert (score(record), score(record, "best")) == (0.0, 100.0)
    assert score(record) == record.final_score
    assert list(STATISTICS) == ["last", "best"]
    with pytest.raises(UnknownNameError, match="no statistic named 'lest'"):
        evaluation_of(record, "lest")
    with pytest.raises(OffbenchError, match=r"seed 0 of bc on .* was never evaluated"):
        best(maze([]))


def test_the_best_is_of_the_mean_and_not_of_an_episode() -> None:
    record = make_record(evaluations=[make_evaluation(1, [-150.0, -1200.0]), make_evaluation(2, [-400.0, -400.0])])
    assert best(record).step == 2


def test_success_is_told_where_every_return_is_zero_or_one() -> None:
    assert is_binary([maze([[0.0, 1.0]]), maze([[0.0, 0.0]])])
    assert not is_binary([maze([[0.0, 1.0]]), maze([[0.0, 2.0], [0.0, 0.0]])])
    assert not is_binary([maze([])])
    assert not is_binary([make_record([50.0])])


def test_the_rate_is_of_all_episodes_and_its_interval_of_seeds_as_clusters() -> None:
    records = [maze([[0.0] * 4, values], seed) for seed, values in enumerate([[1.0, 1.0, 0.0, 1.0], [1.0, 1.0]])]
    found = success(records)
    assert (found.rate, found.seeds, found.episodes, found.statistic) == (5 / 6, 2, 6, "last")
    assert found.interval is not None
    # It says less than six independent episodes, and lies within what a rate can be.
    low, high = clopper_pearson(5, 6)
    assert 0 <= found.interval[0] < low < high <= found.interval[1] <= 1
    assert success(records[:1]).interval is None
    assert success(records, "best").statistic == "best"
    with pytest.raises(OffbenchError, match=r"bc on .* returned 2; a success rate needs returns of 0 and 1"):
        success([maze([[0.0, 2.0]])])
    with pytest.raises(OffbenchError, match="at least one"):
        success([])


def test_seeds_that_all_succeed_are_no_proof() -> None:
    found = success([maze([[1.0] * 20], seed) for seed in range(5)])
    assert found.rate == 1.0
    assert found.interval is not None
    assert 0.9 < found.interval[0] < 0.97
    assert found.interval[1] == 1.0
    assert np.isfinite(found.interval).all()
