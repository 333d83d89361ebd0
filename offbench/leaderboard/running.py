"""Running methods on a suite: a folder for each method and task, whose run is resumed, or skipped where it is done."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from offbench.algorithms import registry
from offbench.catalog.identify import published
from offbench.errors import OffbenchError
from offbench.leaderboard.hidden import read_hidden
from offbench.leaderboard.suite import Suite, SuiteTask
from offbench.training.folder import RunFolder
from offbench.training.plan import Plan

CURVE = 5  # evaluations of a run


@dataclass(frozen=True)
class Method:
    """An algorithm with what differs from its defaults and presets.

    Attributes:
        algorithm: registered name or ``module:Class``.
        changes: hyperparameters by name.
    """

    algorithm: str
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As `method` reads it."""
        return ",".join([self.algorithm, *(f"{key}={_written(value)}" for key, value in self.changes.items())])

    @property
    def slug(self) -> str:
        """As the name of a folder."""
        return re.sub(r"[^A-Za-z0-9_.=-]+", "-", self.name)


def method(text: str) -> Method:
    """The method that is written as ``bc``, ``bc,top_fraction=0.1`` or ``iql,hidden=[64,64]``; values: JSON or text.

    Raises:
        UnknownNameError: no such algorithm, or no such hyperparameter of it.
        OffbenchError: a part is no ``name=value``, or the algorithm does not take the value.
    """
    name, *parts = re.split(r",(?![^\[]*\])", text)  # commas in a list are the list's
    changes: dict[str, Any] = {}
    for part in parts:
        key, is_given, value = part.partition("=")
        if not is_given or key in changes:
            raise OffbenchError(f"{part!r} in the method {text!r} is no name=value of its own; bc,top_fraction=0.1 is")
        changes[key] = _read(value)
    registry.configure(registry.find(name), "", changes)
    return Method(registry.name_of(name), changes)


def with_preset(method: Method, dataset: str) -> Method:
    """The method with what it publishes for a dataset written out, for data whose name does not tell.

    Args:
        method: whose own changes stand before the preset.
        dataset: the visible dataset's id.
    """
    found = registry.find(method.algorithm)
    preset = registry.preset(found, published(dataset)) if registry.is_algorithm(found) else None
    return Method(method.algorithm, {**(preset.values if preset else {}), **method.changes})


def _read(value: str) -> Any:
    try:
        read = json.loads(value)
    except ValueError:
        return value
    return tuple(read) if isinstance(read, list) else read


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


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


@dataclass(frozen=True)
class Job:
    """One method on one task of a suite.

    Attributes:
        method: what is trained.
        task: of a suite, or a hidden one.
        steps: gradient updates of each seed.
        seeds: how many, from 0.
        episodes: of each evaluation.
        folder: of the run.
        data: file with the data of a hidden task; None where they are the dataset of that id.
    """

    method: Method
    task: SuiteTask
    steps: int
    seeds: int
    episodes: int
    folder: Path
    data: Path | None = None

    @property
    def title(self) -> str:
        """As it is shown."""
        return f"{self.method.name} on {self.task.dataset}"

    @property
    def plan(self) -> Plan | None:
        """That of the run in the folder if it is complete; None where it is not.

        Raises:
            OffbenchError: what lies in the folder is another run.
        """
        files = RunFolder(self.folder)
        if not files.exists:
            return None
        manifest = files.manifest()
        found = manifest.plan
        wanted = (self.method.algorithm, self.task.learned, self.task.revision, self.steps, self.episodes)
        has = (found.algorithm, found.dataset, found.dataset_revision, found.steps, found.episodes)
        if has != wanted or found.seeds != list(range(self.seeds)):
            raise OffbenchError(
                f"the run in {self.folder} is {found.algorithm} on {found.dataset} revision {found.dataset_revision}, "
                f"{found.steps} updates, {found.episodes} episodes, {len(found.seeds)} seeds, and not {self.title}, "
                f"{self.steps} updates, {self.episodes} episodes, {self.seeds} seeds; name another folder with --output"
            )
        return found if manifest.progress.complete else None

    @property
    def seconds(self) -> float:
        """What a complete run took, evaluations included."""
        progress = RunFolder(self.folder).manifest().progress
        return progress.wall_seconds + progress.evaluation_seconds

    def run(self, **options: Any) -> None:
        """Train, or go on where a run was stopped.

        Raises:
            OffbenchError: see `offbench.training.run.train`; or the dataset has another revision than the suite's.
            Interrupted: see there.
        """
        # Imported here because it pulls in the simulators and torch, which listing what is left does without.
        from offbench.catalog.loading import load
        from offbench.data.learned import whole
        from offbench.training.run import train

        data = load(self.data or self.task.learned)
        revision = whole(data).provenance.revision
        if revision != self.task.revision:
            raise OffbenchError(
                f"{self.task.dataset} has revision {revision} here, and the suite is scored on {self.task.revision}"
            )
        train(
            self.method.algorithm,
            data,
            task=self.task.task,
            seeds=self.seeds,
            steps=self.steps,
            episodes=self.episodes,
            output=self.folder,
            resume=True,
            **self._curve,
            **options,
            **self.method.changes,
        )

    @property
    def _curve(self) -> dict[str, int]:
        """How often it is evaluated, which the fit of a learner does not know."""
        ours = registry.is_algorithm(registry.find(self.method.algorithm))
        return {"evaluate_every": max(1, self.steps // CURVE)} if ours else {}


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
    steps, episodes = budget.steps_of(suite, task), suite.episodes_of(task)
    return Job(method=method, task=task, steps=steps, seeds=budget.seeds, episodes=episodes, folder=folder)


def remaining(done: Sequence[tuple[Job, float]], left: Sequence[Job]) -> float | None:
    """Seconds that the runs which are left will take, by those that are done; None where none are.

    The seconds a seed and update of a run are those of the same method on the same task, else of that method on
    average, else of all runs on average.

    Args:
        done: runs, each with the seconds that it took.
        left: runs.
    """
    if not done:
        return None

    def rate(runs: Sequence[tuple[Job, float]]) -> float | None:
        updates = sum(job.steps * job.seeds for job, _ in runs)
        return sum(seconds for _, seconds in runs) / updates if updates else None

    total = 0.0
    for job in left:
        same = [each for each in done if each[0].method == job.method]
        here = [each for each in same if each[0].task == job.task]
        total += job.steps * job.seeds * (rate(here) or rate(same) or rate(done) or 0.0)
    return total
