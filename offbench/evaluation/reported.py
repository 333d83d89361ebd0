"""Which evaluation of a run is reported, and its name.

``last`` is what an offline learner can have. ``best`` chooses among evaluations, which needs as many of them as it
chose among: it stands for comparison with tables that report it, never beside ``last`` without its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from offbench.errors import OffbenchError, UnknownNameError
from offbench.evaluation.record import EvaluationRecord, RunRecord

Statistic = Literal["last", "best"]


def last(record: RunRecord) -> EvaluationRecord:
    """The last evaluation.

    Raises:
        OffbenchError: the run was never evaluated.
    """
    return _evaluations(record)[-1]


def best(record: RunRecord) -> EvaluationRecord:
    """The evaluation of the highest mean return, the first of several.

    Raises:
        OffbenchError: the run was never evaluated.
    """
    return record.best or last(record)


STATISTICS: dict[str, Callable[[RunRecord], EvaluationRecord]] = {"last": last, "best": best}


def evaluation_of(record: RunRecord, statistic: str = "last") -> EvaluationRecord:
    """The evaluation that a statistic reports.

    Raises:
        OffbenchError: there is no such statistic, or the run was never evaluated.
    """
    if statistic not in STATISTICS:
        raise UnknownNameError("statistic", statistic, STATISTICS)
    return STATISTICS[statistic](record)


def score(record: RunRecord, statistic: str = "last") -> float:
    """Mean score over the episodes of the evaluation that a statistic reports."""
    return float(record.scores(evaluation_of(record, statistic)).mean())


def _evaluations(record: RunRecord) -> list[EvaluationRecord]:
    if not record.evaluations:
        raise OffbenchError(
            f"seed {record.seed} of {record.algorithm} on {record.dataset} was never evaluated, so it has no score"
        )
    return record.evaluations
