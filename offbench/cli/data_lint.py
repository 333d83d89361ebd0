"""``offbench data lint``: what is wrong with a dataset although it loads."""

from __future__ import annotations

import sys
from pathlib import Path

from offbench.basis.plain import plain
from offbench.catalog.loading import fetch_shown, find, is_split
from offbench.cli.data_sources import Id, whole
from offbench.environments.own_tasks import chosen_task
from offbench.errors import OffbenchError
from offbench.lint.checks import lint
from offbench.lint.files import lint_file
from offbench.lint.findings import Finding, TaskFacts


def lint_dataset(source: Id, /, task: str | None = None) -> int:
    """Look for what is wrong with a dataset although it loads; exit code 1 if there is an error among the findings.

    Examples:
        offbench data lint offbench/pointmaze/stitch-v0
        offbench data lint recorded.hdf5 --task hopper

    Args:
        source: Dataset id, or a file or folder of data.
        task: Task whose bounds, time limit and rewards the data should keep, by its name or as a TOML file; by default
            the dataset's own.
    """
    findings = _findings(source, task)
    for finding in findings:
        print(plain(finding))
    errors = sum(finding.severity == "error" for finding in findings)
    found = sum(finding.code != "reading" for finding in findings)  # a note on reading is no fault of the data
    told = f"{errors} errors among {found} findings" if found else "nothing found"
    print(f"{plain(source)}: {told}")
    return int(errors > 0)


def _findings(source: str, task: str | None) -> list[Finding]:
    """What is found in a source, in its files as they are where it has any."""
    found = None if is_split(source) else find(source)
    if isinstance(found, Path):
        return lint_file(found, _task_facts(task))
    if found is not None and found.files:
        facts = _task_facts(task or found.task)
        return [each for file in found.files for each in lint_file(fetch_shown(found, file), facts, found.reader)]
    trajectories = whole(source)
    return lint(trajectories, _task_facts(task or trajectories.provenance.task))


def _task_facts(name: str | None) -> TaskFacts | None:
    """What the lint wants to know of a task; of one that cannot be simulated here, only its time limit and rewards."""
    if name is None:
        return None
    # Imported here because it pulls in the simulators.
    from offbench.environments.task_facts import facts, reward_formula

    chosen = chosen_task(name)
    try:
        return facts(chosen)
    except OffbenchError as error:
        print(f"bounds of actions are not checked: {plain(error)}", file=sys.stderr)
        return TaskFacts(chosen.name, chosen.episode_limit, expected_rewards=reward_formula(chosen))
