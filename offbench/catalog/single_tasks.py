"""OGBench's single tasks by id: the same file as the dataset's, with rewards and terminations of one of five tasks.

``ogbench/antmaze-large-navigate-singletask-task3-v0`` is task 3 of ``ogbench/antmaze-large-navigate-v0``; without
``-task3`` it is the environment's default task.
"""

from __future__ import annotations

import re
from dataclasses import replace

from offbench.catalog.cards import Card, cards
from offbench.data.trajectories import Trajectories
from offbench.errors import UnknownNameError
from offbench.formats.ogbench_tasks import relabelled, single_task

_ID = re.compile(r"(ogbench/.+)-singletask(?:-task(\d+))?(-v\d+(?:-val)?)")


def single_task_of(dataset: str) -> tuple[Card, int | None] | None:
    """(card of the dataset, number of the task or None for the default one) of such an id; None of any other.

    Raises:
        UnknownNameError: no dataset of OGBench has that id.
    """
    match = _ID.fullmatch(dataset)
    if match is None:
        return None
    whole = match[1] + match[3]
    if whole not in cards():
        known = [name for name in cards() if name.startswith("ogbench/")]
        raise UnknownNameError("dataset of OGBench", whole, known)
    return cards()[whole], None if match[2] is None else int(match[2])


def with_task(trajectories: Trajectories, card: Card, dataset: str, number: int | None) -> Trajectories:
    """The trajectories of a card as those of one of its single tasks, under that one's id.

    Raises:
        UnknownNameError: the environment has no single tasks, or none of that number.
    """
    assert card.environment is not None
    task, targets = single_task(card.environment.removeprefix("visual-"), number)
    done = relabelled(trajectories, targets)
    told = (
        f"rewards and terminations are those of task {task} of {card.environment}, computed as by ogbench 1.2.2 from "
        "the recorded state before each action; terminations stand inside episodes that go on"
    )
    return replace(done, provenance=replace(done.noted(told).provenance, dataset=dataset, like=dataset))
