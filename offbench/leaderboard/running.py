"""What of a suite is run: a job for each method and task, within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from offbench.algorithms.method import Method, with_preset
from offbench.leaderboard.hidden import read_hidden
from offbench.leaderboard.suite import Suite, SuiteTask
from offbench.sweep.job import Job

CURVE = 5  # evaluations of a run


@dataclass(frozen=True)
class Budget:
    """What each run of a suite may spend.

    Attributes:
        seeds: how many, from 0.
        steps: gradient updates of each, where they are not the suite's.
    """

    seeds: int
    steps: int | None = None

    def steps_of(self, suite: Suite, task: SuiteTask) -> int:
        """Gradient updates of each seed on a task."""
        return self.steps or suite.steps_of(task)

    def shortfall(self, suite: Suite) -> str | None:
        """What of the suite's budget it does not keep to, in words; None where its records can be an entry."""
        wrong = []
        for task in suite.tasks:
            wanted, steps = suite.steps_of(task), self.steps_of(suite, task)
            if steps != wanted:
                wrong.append(f"{steps:,} updates instead of {wanted:,}")
        if self.seeds < suite.seeds:
            wrong.append(f"{self.seeds} seeds instead of {suite.seeds}")
        return ", ".join(dict.fromkeys(wrong)) or None


def jobs(suite: Suite, methods: Sequence[Method], budget: Budget, output: Path) -> list[Job]:
    """All runs, method by method, each in its own folder ``output/METHOD/DATASET``."""
    return [_job(suite, each, task, budget, output / each.slug / task.slug) for each in methods for task in suite.tasks]


def hidden_jobs(suite: Suite, methods: Sequence[Method], budget: Budget, output: Path, hidden: Path) -> list[Job]:
    """All runs on the hidden tasks of a suite, whose data lie in ``hidden``; see `jobs`.

    A method's presets are those of the visible datasets, given to it as any other hyperparameters.

    Raises:
        OffbenchError: see `offbench.leaderboard.hidden.read_hidden`.
    """
    return [
        replace(
            _job(suite, with_preset(each, found.like), found.task, budget, output / each.slug / found.task.slug),
            data=found.file,
        )
        for each in methods
        for found in read_hidden(suite, hidden)
    ]


def _job(suite: Suite, method: Method, task: SuiteTask, budget: Budget, folder: Path) -> Job:
    steps = budget.steps_of(suite, task)
    options = {
        "task": task.task,
        "seeds": budget.seeds,
        "steps": steps,
        "episodes": suite.episodes_of(task),
        "evaluate_every": max(1, steps // CURVE),
    }
    return Job(method, task.learned, folder, options, task.revision, label=task.dataset)
