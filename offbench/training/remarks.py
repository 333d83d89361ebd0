"""What whoever reads a run's numbers has to know of its data, its settings and its task: printed and recorded."""

from __future__ import annotations

from typing import Any

from offbench.algorithms import registry
from offbench.algorithms.published import published_scores
from offbench.catalog.recovering import recorded_environment as recorded_environment
from offbench.catalog.recovering import recorded_in as recorded_in
from offbench.catalog.recovering import recorded_task as recorded_task
from offbench.data.trajectories import Trajectories
from offbench.environments.task import Task
from offbench.environments.task_facts import clock
from offbench.lint.ends import lint_ends


def remarks(data: Trajectories, task: Task | None, name: str, found: Any) -> list[str]:
    """One sentence each: what reading the data noted, what is wrong with its ends, the preset, the task.

    Args:
        data: what is learned from.
        task: what a policy is scored in, None if in nothing.
        name: by which the algorithm or learner is found.
        found: what it stands for.
    """
    told = [f"data: {note}" for note in data.provenance.notes]
    findings = lint_ends(data, None if task is None else clock(task))
    told += [f"data, {each.code}: {each.message}" for each in findings if each.severity != "note"]
    if registry.is_algorithm(found):
        told.append(_preset(name, found, data))
    if task is not None:
        told += task_remarks(task, recorded_in(data))
        if data.provenance.task is None and recorded_task(data) == task.name:
            told.append(f"task {task.name}: it is that of {task.environment}, in which the data say they were recorded")
    return list(dict.fromkeys(told))


def task_remarks(task: Task, recorded: str) -> list[str]:
    """How a task is known to differ from what the data come from, and whether they were recorded in its environment.

    Args:
        task: what a policy is scored in.
        recorded: id of the environment of the data, empty where nothing says it.
    """
    told = [f"task {task.name}: {difference}" for difference in task.known_differences]
    if recorded and recorded != task.environment:
        how = "in another version" if _family(recorded) == _family(task.environment) else "elsewhere"
        told.append(
            f"task {task.name}: the data were recorded {how}, in {recorded} and not in {task.environment}, so that the "
            "scores are none of the environment that was learned from"
        )
    return told


def _family(environment: str) -> str:
    """An id of Gymnasium without its version."""
    return environment.rpartition("-v")[0]


def _preset(name: str, found: Any, data: Trajectories) -> str:
    """Which published hyperparameters were taken for the dataset, or that there are none."""
    like = data.provenance.like or data.provenance.dataset
    preset = registry.preset(found, like)
    told = "no preset, so the defaults count where nothing else was asked for"
    if preset is not None:
        values = ", ".join(f"{key} {value}" for key, value in preset.values.items()) or "the defaults"
        told = f"preset of {like} ({preset.source}): {values}"
    scores = {score.updates for score in published_scores(name) if score.dataset == like and score.updates}
    budgets = " or ".join(f"{updates:,}" for updates in sorted(scores))
    return f"{told}; the score published for {like} belongs to {budgets} updates" if budgets else told
