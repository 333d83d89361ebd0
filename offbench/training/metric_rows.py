"""What a run tells while it goes: one row a seed and step, under names that are the same wherever rows go.

Losses are called as the algorithm calls them, and as in records; what an evaluation gave begins with ``evaluation/``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.evaluation.record import EvaluationRecord, LossRecord
from offbench.training.manifest import Progress
from offbench.training.plan import Plan


class Row(NamedTuple):
    """What is known of one seed after some of its updates.

    Attributes:
        step: gradient updates done; of a learner the steps that it was given.
        seed: of the run.
        values: metrics by name: means over the updates since the seed's last row, and over the episodes played now.
    """

    step: int
    seed: int
    values: dict[str, float]


Dated = TypeVar("Dated", LossRecord, EvaluationRecord)

EVALUATION = ("evaluation/score", "evaluation/return", "evaluation/length")
_PLACES = ("seed", "step")  # what says where a row belongs


def columns(plan: Plan, metrics: Sequence[str], task: Task | None) -> tuple[str, ...]:
    """The names of all metrics of a run, in the order in which tables show them.

    Args:
        plan: of the run.
        metrics: of the algorithm.
        task: what policies are scored in.

    Raises:
        OffbenchError: two metrics have one name, or one is called as something else that a row holds, or has no name
            that can be shown.
    """
    names = (*metrics, *(EVALUATION if task else ()))
    taken = list(_PLACES)
    for name in names:
        if not name or not name.isprintable():
            raise OffbenchError(
                f"a metric of {plan.algorithm} is called {name!r}; a name that can be shown would be right"
            )
        if name in taken:
            raise OffbenchError(
                f"a metric of {plan.algorithm} is called {name!r}, as another value in metrics.csv is; "
                "give it a name of its own"
            )
        taken.append(name)
    return names


def known_rows(
    plan: Plan, progress: Progress, task: Task | None, after: int = 0, until: int | None = None
) -> list[Row]:
    """What a run's progress says of the steps after ``after`` and up to ``until``, step by step and seed by seed."""
    each = zip(plan.seeds, progress.losses, progress.evaluations, strict=False)  # learners have those that are done
    found = [row for seed, losses, played in each for row in rows_of(seed, losses, played, task, after, until)]
    return sorted(found, key=lambda row: row.step)  # stable: the seeds stay in their order


def rows_of(
    seed: int,
    losses: Sequence[LossRecord],
    evaluations: Sequence[EvaluationRecord],
    task: Task | None,
    after: int = 0,
    until: int | None = None,
) -> list[Row]:
    """The rows of one seed; what was logged and scored at one step is one row."""
    values: defaultdict[int, dict[str, float]] = defaultdict(dict)
    for loss in _between(losses, after, until):
        values[loss.step] |= loss.values
    if task is not None:
        for evaluation in _between(evaluations, after, until):
            values[evaluation.step] |= _scores(evaluation, task)
    return [Row(step, seed, values[step]) for step in sorted(values)]


def _between(records: Sequence[Dated], after: int, until: int | None) -> list[Dated]:
    """Those of ascending records that are asked for, found from the end, for the last are asked for again and again."""
    found = []
    for record in reversed(records):
        if record.step <= after:
            break
        if until is None or record.step <= until:
            found.append(record)
    return found[::-1]


def _scores(evaluation: EvaluationRecord, task: Task) -> dict[str, float]:
    """Means over the episodes of one evaluation."""
    means = task.score(evaluation.returns).mean(), np.mean(evaluation.returns), np.mean(evaluation.lengths)
    return {name: float(mean) for name, mean in zip(EVALUATION, means, strict=True)}
