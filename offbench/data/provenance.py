"""Where data come from: carried along, and never part of their digest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

_NAMED = 3  # parts of a mix whose names are spelt out


@dataclass(frozen=True)
class Provenance:
    """Where trajectories come from; it is carried along and never part of the digest.

    Attributes:
        dataset: dataset id (``d4rl/hopper-medium-v2``) or the path of a file.
        revision: revision of the dataset's card, 0 for a file.
        task: name of the task in which a policy trained on it is scored, where known.
        notes: what the source lacked or what was done to it, one sentence each.
        like: id of the published dataset that it is the file of, or is named or made like, so that what was published
            for that one (presets) may be taken for this.
    """

    dataset: str = ""
    revision: int = 0
    task: str | None = None
    notes: tuple[str, ...] = ()
    like: str = ""


def short(name: str) -> str:
    """The name of a dataset within a text: an id as it is, of a path the name of the file and no folder."""
    return PurePath(name).name if PurePath(name).is_absolute() else name


def mixed(parts: Sequence[Provenance], notes: Sequence[str]) -> Provenance:
    """That of all parts together, which is each one's own where they agree.

    Parts that name no task take that of the others. Where two tasks are named, none is taken, and a note says so. Notes
    that not all parts have begin with the name of the part, where the names differ.

    Args:
        parts: at least one.
        notes: what mixing has to remark.
    """
    names = list(dict.fromkeys(part.dataset for part in parts if part.dataset))
    tasks = list(dict.fromkeys(part.task for part in parts if part.task))
    likes, revisions = {part.like for part in parts}, {part.revision for part in parts}
    shared = set(parts[0].notes).intersection(*(part.notes for part in parts))
    told = [
        note if note in shared or len(names) <= 1 or not part.dataset else f"{short(part.dataset)}: {note}"
        for part in parts
        for note in part.notes
    ]
    if len(tasks) > 1:
        told.append(f"its parts belong to the tasks {', '.join(tasks)}, so that it has none of its own")
    shown = names if len(names) <= _NAMED + 1 else [*names[:_NAMED], f"{len(names) - _NAMED} more"]
    return Provenance(
        dataset=" + ".join(short(name) for name in shown) if len(shown) > 1 else "".join(shown),
        revision=revisions.pop() if len(names) <= 1 and len(revisions) == 1 else 0,
        task=tasks[0] if len(tasks) == 1 else None,
        notes=tuple(dict.fromkeys([*told, *notes])),
        like=likes.pop() if len(likes) == 1 else "",
    )
