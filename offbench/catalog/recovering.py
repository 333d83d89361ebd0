"""The environment that data were recorded in: its name, and the environment itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from offbench.catalog.cards import cards
from offbench.data.trajectories import Trajectories
from offbench.environments.task import task as find_task
from offbench.environments.task import tasks
from offbench.errors import OffbenchError

if TYPE_CHECKING:
    from gymnasium import Env


def recover_environment(data: Trajectories) -> Env[Any, Any]:
    """The environment of Gymnasium that data were recorded in, or, where only that is known, that of their task.

    It is the one that the data name (those of Minari do); else that of their task or of the dataset that they are named
    like. An environment of a task has the task's time limit and dynamics.

    Raises:
        OffbenchError: nothing says which that is, it was made with arguments that are not known, or it cannot be made.
    """
    # Imported here because whoever only asks for names needs no simulator.
    from offbench.environments.single import make_by_id, make_environment

    origin = data.provenance
    said = recorded_environment(origin.notes)
    known = cards().get(origin.like)
    name = origin.task or (known.task if known else None)
    if name and (not said or find_task(name).environment == said):
        return make_environment(find_task(name))
    if not said and known is not None and known.environment:
        said = known.environment
    if not said:
        raise OffbenchError(
            f"nothing says which environment {data.name} was recorded in; make it with gymnasium.make, or name "
            "a task: offbench.tasks() lists them"
        )
    if any(note.startswith(f"recorded in {said} with the arguments") for note in origin.notes):
        raise OffbenchError(
            f"{data.name} was recorded in {said} with arguments that are not read; "
            "minari.load_dataset(ID).recover_environment() knows them"
        )
    return make_by_id(said)


def recorded_in(data: Trajectories) -> str:
    """Id of the environment that data were recorded in: as they say, else that of their dataset's task; else empty."""
    origin = data.provenance
    if said := recorded_environment(origin.notes):
        return said
    known = cards().get(origin.like)
    name = origin.task or (known.task if known else None)
    return find_task(name).environment if name else ""


def recorded_task(data: Trajectories) -> str | None:
    """Name of the task of the environment, with no arguments, that data say they were recorded in; None if none is."""
    said = recorded_environment(data.provenance.notes)
    if f"recorded in {said}" not in data.provenance.notes:
        return None
    return next((each.name for each in tasks().values() if said in each.aliases), None)


def recorded_environment(notes: Sequence[str]) -> str:
    """Id of the environment that the notes of a reader name, empty where none does."""
    found = [match[1] for note in notes if (match := _RECORDED.match(note))]
    return found[0] if found else ""


_RECORDED = re.compile(r"recorded in (\S+-v\d+)(?:\s|$)")
