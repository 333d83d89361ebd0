"""What whoever reads a run's numbers has to know of its data, its settings and its task: printed and recorded."""

from __future__ import annotations

from typing import Any

from offbench.algorithms import registry
from offbench.algorithms.published import published_scores
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
        told += [f"task {task.name}: {difference}" for difference in task.known_differences]
    return list(dict.fromkeys(told))


def _preset(name: str, found: Any, data: Trajectories) -> str:
    """Which published hyperparameters were taken for the dataset, or that there are none."""
    like = data.provenance.like or data.provenance.dataset
    preset = registry.preset(found, like)
    told = "no preset, so the defaults count where nothing else was asked for"
    if preset is not None:
        values = ", ".join(f"{key} {value}" for key, value in preset.values.items())
        told = f"preset of {like} ({preset.source}): {values}"
    scores = {score.updates for score in published_scores(name) if score.dataset == like}
    budgets = " or ".join(f"{updates:,}" for updates in sorted(scores))
    return f"{told}; the score published for {like} belongs to {budgets} updates" if budgets else told
