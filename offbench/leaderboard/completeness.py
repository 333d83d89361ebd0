"""Whether an entry is all of what its suite asks for, made as the harness makes it, in the simulators of today.

Each check takes an entry and its suite, gives one sentence on what was found, and raises an OffbenchError where it is
not as it should be.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from offbench.algorithms import registry
from offbench.basis.code import package_digest
from offbench.basis.plain import plain
from offbench.catalog.cards import card
from offbench.catalog.loading import load
from offbench.catalog.store import is_cached
from offbench.environments.task import Task
from offbench.environments.task import task as find_task
from offbench.errors import OffbenchError
from offbench.evaluation.machine import PACKAGES
from offbench.evaluation.record import RunRecord
from offbench.evaluation.rollout import environment_seeds
from offbench.leaderboard.contents import Contents, last
from offbench.leaderboard.suite import Suite, SuiteTask
from offbench.training.finished import AFTER_TRAINING
from offbench.training.records import task_record


def where(record: RunRecord) -> str:
    """Seed and dataset of a record, for a sentence."""
    return f"seed {record.seed} on {plain(record.dataset)}"


def task_of(entry: SuiteTask) -> Task:
    """The task that one of a suite is scored in.

    Raises:
        OffbenchError: its dataset has no task, or there is none of that name.
    """
    name = entry.task or card(entry.card_id).task
    if name is None:
        raise OffbenchError(f"the dataset {entry.dataset} has no task to be scored in; name one in the suite")
    return find_task(name)


def check_complete(contents: Contents, suite: Suite) -> str:
    """Every task, every seed from 0 without a gap, every update and episode of the suite, and nothing else."""
    known = {task.learned for task in suite.tasks}
    strangers = sorted({dataset for dataset, _ in contents.records} - known)
    if strangers:
        raise OffbenchError(f"the entry has records of {plain(strangers[0])}, which {suite.name} does not have")
    for task in suite.tasks:
        records = contents.of(task)
        seeds = [record.seed for record in records]
        if len(seeds) < suite.seeds or seeds != list(range(len(seeds))):
            listed = ", ".join(map(str, seeds[:20])) or "none"
            raise OffbenchError(
                f"{task.dataset} has the seeds {listed}; at least {suite.seeds}, from 0 without a gap, are asked for"
            )
        for record in records:
            _check_budget(record, suite, task)
    return f"{len(suite.tasks)} tasks with at least {suite.seeds} seeds of {suite.episodes} episodes each"


def _check_budget(record: RunRecord, suite: Suite, task: SuiteTask) -> None:
    steps = suite.steps_of(task)
    final = last(record)
    if record.steps != steps or final.step != steps:
        raise OffbenchError(
            f"{where(record)} has {record.steps:,} updates and was last evaluated after {final.step:,}; "
            f"{steps:,} are the suite's"
        )
    episodes = suite.episodes_of(task)
    if len(final.returns) < episodes:
        raise OffbenchError(
            f"{where(record)} was scored over {len(final.returns)} episodes; at least {episodes} are asked for"
        )


def check_data(contents: Contents, suite: Suite) -> str:
    """Revision of every dataset as the suite says, and its content wherever that is the same on every machine."""
    generated = []
    for task in suite.tasks:
        found = card(task.card_id)
        records = contents.of(task)
        for record in records:
            if record.dataset_revision != task.revision:
                raise OffbenchError(
                    f"{where(record)} learned from revision {record.dataset_revision} of the dataset; the suite has "
                    f"revision {task.revision}"
                )
        if len({record.dataset_digest for record in records}) > 1:
            raise OffbenchError(f"the seeds on {task.dataset} learned from different data; one digest would be right")
        if found.recipe is not None:
            generated.append(task.dataset)
        elif is_cached(found) and records[0].dataset_digest != load(task.learned).digest:
            raise OffbenchError(f"the runs on {task.dataset} learned from data of another digest than the card's")
    note = "; generated data differ between machines, so that their content is not compared" if generated else ""
    return f"revisions are those of the suite{note}"


def check_tasks(contents: Contents, suite: Suite) -> str:
    """Task, references and simulators of every record are those that are installed here."""
    for task in suite.tasks:
        wanted = task_record(task_of(task))
        for record in contents.of(task):
            given = record.task
            if given is None:
                raise OffbenchError(f"{where(record)} was scored in no task; {wanted.name} is the suite's")
            for field in ("name", "environment", "arguments", "episode_limit", "dynamics", "low", "high"):
                ours, theirs = getattr(wanted, field), getattr(given, field)
                if ours != theirs:
                    raise OffbenchError(
                        f"{where(record)} was scored in a task whose {field.replace('_', ' ')} is "
                        f"{plain(theirs)[:100]}; {plain(ours)[:100]} is that of {wanted.name}"
                    )
            _check_simulators(record, given.simulators, wanted.simulators)
    return "tasks, references and versions of simulators are those that are installed here"


def _check_simulators(record: RunRecord, theirs: dict[str, str], ours: dict[str, str]) -> None:
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            raise OffbenchError(
                f"{where(record)} was scored with {plain(name)} {plain(theirs.get(name, 'of no version'))[:40]}, and "
                f"here is {ours.get(name, 'none')}; score the runs again with that version"
            )
        if name in record.packages and record.packages[name] != theirs[name]:
            raise OffbenchError(
                f"{where(record)} says that {name} was {plain(theirs[name])[:40]} and, among its packages, "
                f"{plain(record.packages[name])[:40]}"
            )


def check_starts(contents: Contents, suite: Suite) -> str:
    """Every evaluation met the starts that the harness fixes for its seed, so that nobody chose them."""
    for record in contents.records.values():
        for number, evaluation in enumerate(record.evaluations):
            numbers = [number, AFTER_TRAINING] if evaluation is last(record) else [number]
            count = len(evaluation.returns)
            if all(evaluation.environment_seeds != environment_seeds(record.seed, n, count) for n in numbers):
                raise OffbenchError(
                    f"{where(record)} was scored after {evaluation.step:,} updates on other starts than those that the "
                    "harness fixes for this seed"
                )
    return "all starts are those that the harness fixes"


def check_method(contents: Contents, suite: Suite) -> str:
    """One algorithm, on each dataset one code and configuration, and ours unchanged where it is called as ours."""
    entry = contents.entry
    for record in contents.records.values():
        if record.trained != "here":
            raise OffbenchError(f"{where(record)} was trained elsewhere; an entry is what offbench trained and scored")
        if record.algorithm != entry.algorithm:
            raise OffbenchError(
                f"{where(record)} was trained by {plain(record.algorithm)}; the entry says {plain(entry.algorithm)}"
            )
        if ours := _changed(record):
            raise OffbenchError(
                f"{where(record)} calls itself {ours} and was trained by another source of it; hand a changed "
                "algorithm in under a name of its own"
            )
    for task in suite.tasks:
        if len({record.method_digest for record in contents.of(task)}) > 1:
            raise OffbenchError(
                f"the seeds on {task.dataset} were trained by different code, libraries or hyperparameters; they are "
                "no seeds of one method"
            )
    return f"one method, {plain(entry.algorithm)}"


def _changed(record: RunRecord) -> str | None:
    """The registered name under which other code was trained; nothing is imported for a name that is not ours."""
    name = record.algorithm
    if ":" in name or name not in registry.OURS or record.code_digest != package_digest():
        return None
    return name if registry.source_digest(registry.find(name)) != record.algorithm_digest else None


def check_provenance(contents: Contents, suite: Suite) -> str:
    """Packages, times and dates are such as a run leaves them."""
    latest = datetime.now(UTC) + timedelta(days=1)
    if contents.entry.created > latest:
        raise OffbenchError(f"the entry says that it was packed on {contents.entry.created:%Y-%m-%d}, which is to come")
    for record in contents.records.values():
        missing = [name for name in ("python", *PACKAGES) if name not in record.packages]
        if missing:
            raise OffbenchError(f"{where(record)} does not say which {missing[0]} it was made with, as runs do")
        if record.created > contents.entry.created:
            raise OffbenchError(f"{where(record)} was made after the entry was packed, says its date")
        if record.steps and not record.wall_seconds:
            raise OffbenchError(f"{where(record)} made {record.steps:,} updates in 0 seconds, says its record")
    return "packages, times and dates are such as runs leave them"


def check_tuning(contents: Contents, suite: Suite) -> str:
    """No run that its configuration was chosen by, and what the records say was spent on choosing."""
    for record in contents.records.values():
        if record.is_trial:
            raise OffbenchError(f"{where(record)} is a trial that the configuration was chosen by, and no result")
    said = {record.tuning.brief for record in contents.records.values() if record.tuning is not None}
    return f"tuned: {'; '.join(sorted(said))}" if said else "no tuning is stated"
