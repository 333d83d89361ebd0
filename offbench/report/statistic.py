"""What the number of a cell is: a mean over seeds, their median, the best evaluation, the worst episodes, ..."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from offbench.errors import UnknownNameError
from offbench.evaluation.aggregates import cvar, cvar_interval, interval, iqm
from offbench.evaluation.record import RunRecord
from offbench.evaluation.statistics import Summary, summarize
from offbench.evaluation.success import success

# The share of the worst episodes that CVaR is the mean of.
WORST = 0.1
_DRAWS = 2000
_BOOTSTRAP = "bootstrap over seeds"


@dataclass(frozen=True)
class Statistic:
    """A number that the runs of one cell have.

    Attributes:
        name: as it is asked for.
        title: heading of its column.
        meaning: what it is, as captions have it.
        measure: of the runs of a cell: number, standard deviation over seeds, interval and how that is made.
        each: of one run, where the number is a mean over seeds; averages over datasets and tests are made of these.
    """

    name: str
    title: str
    meaning: str
    measure: Callable[[Sequence[RunRecord]], Summary]
    each: Callable[[RunRecord], float] | None = None


def statistic(name: str) -> Statistic:
    """The statistic of a name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in STATISTICS:
        raise UnknownNameError("statistic", name, STATISTICS)
    return STATISTICS[name]


def _final(record: RunRecord) -> float:
    return record.final_score


def _best(record: RunRecord) -> float:
    return record.best_score


def _success(record: RunRecord) -> float:
    returns = record.evaluations[-1].returns
    return 100 * sum(returns) / len(returns)


def _successes(records: Sequence[RunRecord]) -> Summary:
    """In percent, of all episodes; refuses returns other than 0 and 1."""
    found = success(records)
    bounds = found.interval and (100 * found.interval[0], 100 * found.interval[1])
    each = summarize([_success(record) for record in records])
    return replace(each, mean=100 * found.rate, interval=bounds, method=found.method)


def _of_each(value: Callable[[RunRecord], float]) -> Callable[[Sequence[RunRecord]], Summary]:
    return lambda records: summarize([value(record) for record in records])


def _over_seeds(value: Callable[[npt.NDArray[np.float64]], float]) -> Callable[[Sequence[RunRecord]], Summary]:
    def measure(records: Sequence[RunRecord]) -> Summary:
        scores = np.array([record.final_score for record in records])
        bounds = (
            interval(lambda draw: value(np.asarray(draw[0])), [scores], repetitions=_DRAWS) if scores.size > 1 else None
        )
        return replace(summarize(scores), mean=value(scores), interval=bounds, method=_BOOTSTRAP)

    return measure


def _worst(records: Sequence[RunRecord]) -> Summary:
    episodes = [record.scores(record.evaluations[-1]) for record in records]
    each = [cvar(scores, WORST) for scores in episodes]
    bounds = cvar_interval(episodes, WORST, repetitions=_DRAWS) if len(records) > 1 else None
    return replace(summarize(each), mean=cvar(np.concatenate(episodes), WORST), interval=bounds, method=_BOOTSTRAP)


_SCORE = "100 (return - low) / (high - low)"
STATISTICS: dict[str, Statistic] = {
    one.name: one
    for one in (
        Statistic("mean", "Score", f"{_SCORE}, mean over seeds of the last evaluation", _of_each(_final), _final),
        Statistic(
            "best",
            "Best score",
            f"{_SCORE}, mean over seeds of the best evaluation, which only knowing them all can choose",
            _of_each(_best),
            _best,
        ),
        Statistic(
            "median",
            "Median",
            f"{_SCORE}, median over seeds of the last evaluation",
            _over_seeds(lambda scores: float(np.median(scores))),
        ),
        Statistic(
            "iqm",
            "IQM",
            f"{_SCORE}, interquartile mean over seeds of the last evaluation",
            _over_seeds(lambda scores: iqm([scores])),
        ),
        Statistic(
            "cvar",
            "CVaR",
            f"{_SCORE}, mean over the worst {WORST:.0%} of all seeds' episodes in the last evaluation",
            _worst,
        ),
        Statistic(
            "success",
            "Success %",
            "share of all seeds' episodes in the last evaluation that return 1, where a return is 0 or 1",
            _successes,
            _success,
        ),
    )
}
