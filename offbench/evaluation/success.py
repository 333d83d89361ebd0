"""Shares of successful episodes, beside scores, where a return is 0 or 1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from offbench.errors import OffbenchError
from offbench.evaluation.proportions import clustered
from offbench.evaluation.record import RunRecord
from offbench.evaluation.reported import evaluation_of

METHOD = "Korn-Graubard, seeds as clusters"


@dataclass(frozen=True)
class Success:
    """Successful episodes of one algorithm on one dataset.

    Attributes:
        rate: share of all episodes, between 0 and 1.
        interval: 95% interval of the rate over seeds and episodes; None for one seed, whose policy may be any.
        seeds, episodes: how many, the episodes of all seeds together.
        statistic: which evaluation it is of.
        method: name of the interval.
    """

    rate: float
    interval: tuple[float, float] | None
    seeds: int
    episodes: int
    statistic: str
    method: str = METHOD


def is_binary(records: Iterable[RunRecord]) -> bool:
    """Whether every return in the records, one at least, is 0 or 1, as in AntMaze, where the goal ends the episode.

    Ask it of all records of a task: those of one method may be 0 throughout where another's are not.
    """
    found = {value for record in records for one in record.evaluations for value in one.returns}
    return bool(found) and found <= {0.0, 1.0}


def success(records: Sequence[RunRecord], statistic: str = "last") -> Success:
    """The share of successful episodes over the seeds of a run, in a task in which a return is 0 or 1.

    Raises:
        OffbenchError: there is no record, one was never evaluated, or a return is neither 0 nor 1.
    """
    if not records:
        raise OffbenchError("a success rate needs at least one run record")
    returns = [np.asarray(evaluation_of(record, statistic).returns) for record in records]
    for record, values in zip(records, returns, strict=True):
        if other := sorted(set(values.tolist()) - {0.0, 1.0}):
            raise OffbenchError(
                f"{record.algorithm} on {record.dataset} returned {other[0]:g}; a success rate needs returns of 0 and 1"
            )
    successes = np.array([values.sum() for values in returns])
    trials = np.array([float(values.size) for values in returns])
    interval = None
    if len(records) > 1:
        low, high = clustered(successes, trials)
        interval = float(low), float(high)
    return Success(float(successes.sum() / trials.sum()), interval, len(records), int(trials.sum()), statistic)
