"""Arrays in memory, laid out as most buffers have them, become Trajectories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import DataError
from offbench.formats.row_names import by_role, described, role
from offbench.formats.rows import from_rows, not_read, usable_infos


def from_arrays(
    arrays: Mapping[str, Any],
    *,
    name: str = "",
    task: str | None = None,
    action_range: tuple[Any, Any] | None = None,
    episode_limit: int | None = None,
) -> Trajectories:
    """Trajectories of rows, one a step, one episode after the other: the dictionaries of D4RL, your own recordings.

    Args:
        arrays: (steps, ...) each: ``observations``, and where there are any ``actions``, ``rewards``, ``terminals``,
            ``timeouts``, ``next_observations``; the other names that files have for these (``dones``, ``truncated``,
            ...) are known, too. All others become extras.
        name: what the dataset is called in prints and records.
        task: name of the task in which a policy trained on it is scored.
        action_range: (low, high) that the actions keep, numbers or one number a component.
        episode_limit: steps after which the clock ends an episode, where no timeouts are given.

    Raises:
        DataError: columns that are missing, of unequal length, not numbers, not finite, or flags that contradict each
            other.
    """
    called = Path(name or "these arrays")
    read = {key: _numbers(called, key, value) for key, value in arrays.items()}
    columns, names = by_role(called, read)
    others = {key.removeprefix("infos/"): column for key, column in read.items() if role(key) is None}
    unread: list[str] = []
    extras = usable_infos(others, len(columns.get("observations", ())), unread)
    bounds = None
    if action_range is not None and "actions" in columns:
        shape = columns["actions"].shape[1:] or (1,)
        low, high = (np.array(np.broadcast_to(np.float32(bound), shape)) for bound in action_range)
        bounds = (low, high)
    made = from_rows(called, columns, extras, described(names) + not_read(unread), names, bounds, episode_limit)
    return replace(made, provenance=Provenance(dataset=name, task=task, notes=made.provenance.notes))


def _numbers(called: Path, key: str, value: Any) -> Array:
    """A column as an array of at least one axis."""
    column = np.asarray(value)
    if column.dtype.kind not in "fiub" or column.ndim == 0:
        shape = f"dtype {column.dtype}" if column.ndim else "no rows"
        raise DataError(f"{key} of {called} has {shape}; an array of numbers with one row a step would be right")
    return column
