"""Whether returns are such as the environments give and as chance makes them, judged by the numbers alone.

What is found here needs no policy, so that entries of records alone are held to it as well. Each check takes an entry
and its suite, gives one sentence on what was found, and raises an OffbenchError where a number cannot be.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError
from offbench.evaluation.record import EvaluationRecord, RunRecord
from offbench.leaderboard.bounds import Bounds, bounds
from offbench.leaderboard.completeness import task_of, where
from offbench.leaderboard.contents import Contents, last
from offbench.leaderboard.suite import Suite

# An honest entry has spreads of seeds this small once in so many tasks; see `_check_spread`.
RARE = 1e-5
# Returns of different starts agree to this correlation, over so many episodes, only where one was made of the other.
COPIED, EPISODES = 0.999, 8
# And their ranks to this one: two single outliers in the same place make the first, not the second.
RANKED = 0.9
# Of the episodes of one evaluation on a task whose rewards are real numbers, so many may have the same return.
MOST_EQUAL = 0.2


def check_bounds(contents: Contents, suite: Suite) -> str:
    """Every return of every evaluation lies within what its task pays over the episode's steps."""
    unknown = []
    for task in suite.tasks:
        found, limit = bounds(task_of(task)), task_of(task).episode_limit
        for record in contents.of(task):
            for evaluation in record.evaluations:
                _check_lengths(record, evaluation, limit)
                if found is not None:
                    _check_bounds(record, evaluation, found, limit)
        if found is None:
            unknown.append(task.dataset)
    note = f"; none are known for {', '.join(unknown)}" if unknown else ""
    return f"returns lie within the bounds of their tasks{note}"


def _check_lengths(record: RunRecord, evaluation: EvaluationRecord, limit: int) -> None:
    longest = max(evaluation.lengths)
    if longest > limit:
        raise OffbenchError(f"{where(record)} has an episode of {longest} steps; the task ends them after {limit}")


def _check_bounds(record: RunRecord, evaluation: EvaluationRecord, found: Bounds, limit: int) -> None:
    for value, length in zip(evaluation.returns, evaluation.lengths, strict=True):
        steps = 1 if found.once else length
        low, high = found.low * length, found.high * steps
        if not low - 1e-6 <= value <= high + 1e-6:
            raise OffbenchError(
                f"{where(record)} has an episode of {length} steps with the return {value:g}, which its task cannot "
                f"give: {low:g} to {high:g} can be"
            )
        if found.whole and value != round(value):
            raise OffbenchError(
                f"{where(record)} has the return {value:g}, but the task pays whole numbers, so that returns are whole"
            )
        if length < limit and (found.full or (found.once and value < found.high)):
            raise OffbenchError(
                f"{where(record)} has an episode of {length} steps and the return {value:g}; it would have gone on to "
                f"step {limit}"
            )


def check_spreads(contents: Contents, suite: Suite) -> str:
    """Episodes differ as their starts do, and seeds by no less than chance."""
    for task in suite.tasks:
        found = bounds(task_of(task))
        if found is not None and found.whole:
            continue  # whole numbers are often equal
        records = contents.of(task)
        for record in records:
            _check_distinct(record)
        _check_spread(task.dataset, [np.array(last(record).returns) for record in records])
    return "returns differ between starts and between seeds as chance makes them"


def _check_distinct(record: RunRecord) -> None:
    for evaluation in record.evaluations:
        value, count = Counter(evaluation.returns).most_common(1)[0]
        if count > max(1, math.floor(MOST_EQUAL * len(evaluation.returns))):
            raise OffbenchError(
                f"{where(record)} has the return {value:g} in {count} of {len(evaluation.returns)} episodes, whose "
                "starts differ; chance makes no such returns"
            )


def _check_spread(dataset: str, returns: list[Array]) -> None:
    """Refuse means of seeds that lie closer together than the chance of their own episodes lets them.

    If all seeds had the same expected return, the sum of the squared distances of their means from the common one, over
    the square of a mean's standard error, would be chi-squared with seeds - 1 degrees of freedom; seeds that differ
    make it larger. It is below the quantile RARE about so often.
    """
    counts = np.array([len(each) for each in returns])
    if len(returns) < 3 or counts.min() < EPISODES:
        return
    means = np.array([each.mean() for each in returns])
    errors = np.array([each.var(ddof=1) for each in returns]) / counts
    if (errors == 0).any():
        raise OffbenchError(f"all episodes of a seed on {dataset} have one return; chance makes no such returns")
    weights = 1 / errors
    centre = (weights * means).sum() / weights.sum()
    from scipy import stats

    if (weights * (means - centre) ** 2).sum() < stats.chi2.ppf(RARE, len(means) - 1):
        raise OffbenchError(
            f"the means of the seeds on {dataset} lie closer together than chance lets those of {counts.min()} "
            "episodes; seeds are runs of their own"
        )


def check_copies(contents: Contents, suite: Suite) -> str:
    """No two seeds, and no two tasks, share policies or returns."""
    digests: dict[str, RunRecord] = {}
    for key, record in sorted(contents.records.items()):
        digest = contents.policy_digest(key)
        if digest is not None and (earlier := digests.setdefault(digest, record)) is not record:
            raise OffbenchError(
                f"{where(earlier)} and {where(record)} have the same policy; every seed is a run of its own"
            )
    for one, other in itertools.combinations([record for _, record in sorted(contents.records.items())], 2):
        if _copied(one, other):
            raise OffbenchError(
                f"the returns of {where(one)} and {where(other)} are made of one another: over different starts they "
                "rise and fall together"
            )
    return "no two seeds or tasks share policies or returns"


def _copied(one: RunRecord, other: RunRecord) -> bool:
    """Whether one record's returns are the other's, or those on another scale, with or without a little noise."""
    a, b = last(one), last(other)
    x, y = np.array(a.returns), np.array(b.returns)
    count = min(len(x), len(y))
    x, y = x[:count], y[:count]
    if min(len(set(x.tolist())), len(set(y.tolist()))) < EPISODES:
        return False  # few numbers, such as 0 and 1, agree by chance
    same_task = one.task is not None and other.task is not None and one.task.name == other.task.name
    if same_task and a.environment_seeds[:count] == b.environment_seeds[:count]:
        return bool((x == y).all())  # a start that is hard for one policy is hard for another
    from scipy import stats

    return _correlation(x, y) > COPIED and _correlation(stats.rankdata(x), stats.rankdata(y)) > RANKED


def _correlation(x: Array, y: Array) -> float:
    return float(np.corrcoef(x, y)[0, 1])
