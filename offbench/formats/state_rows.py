"""Rows of states: T+1 rows an episode, of which the last holds its final observation and an action that leads nowhere.

OGBench's files and RLDS's steps are such rows. They are the layout of Trajectories but for the last row of each column
of steps, which is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import DataError


def from_state_rows(
    path: Path,
    columns: Mapping[str, Array],
    states: Mapping[str, Array],
    last: Array,
    terminal: Array | None,
    notes: list[str],
    action_range: tuple[Array, Array] | None = None,
) -> Trajectories:
    """Trajectories of rows of states.

    Args:
        path: the file, for messages and provenance.
        columns: observations, and actions and rewards where the file has them, (rows, ...) each.
        states: further columns, which keep all rows.
        last: (rows,) bool, the last row of each episode.
        terminal: (rows,) bool, where the state of a row is terminal, so that the step that leads there terminates; None
            where no state is.
        notes: remarks are added to it.
        action_range: (low, high), each (action,), that the actions are declared to keep.

    Raises:
        DataError: an episode of one row, which has no step; what contradicts the layout.
    """
    rows = len(last)
    if not last[-1]:
        tail = rows - 1 - int(np.flatnonzero(last)[-1]) if last.any() else rows
        notes.append(f"the last {tail} rows have no end; they are kept as an episode that was cut off")
    ends = np.flatnonzero(np.append(last[:-1], True))
    starts = np.concatenate([[0], ends[:-1] + 1])
    lone = np.flatnonzero(starts == ends)
    if len(lone):
        raise DataError(
            f"episode {lone[0]} of {path} has one row, row {starts[lone[0]]}, and so no step; leave such episodes out"
        )
    steps = np.ones(rows, dtype=bool)
    steps[ends] = False
    before = np.flatnonzero(steps)
    terminations = np.zeros(len(before), dtype=bool) if terminal is None else terminal[before + 1]
    truncations = last[before + 1] & ~terminations
    notes.append("the last row of each episode is its final observation, and what else stands there is left out")
    taken = {name: column[before] for name, column in columns.items() if name in ("actions", "rewards")}
    return Trajectories(
        observations=columns["observations"],
        offsets=np.concatenate([[0], ends - np.arange(len(ends))]).astype(np.int64),
        terminations=terminations,
        truncations=truncations,
        actions=taken.get("actions"),
        rewards=taken.get("rewards"),
        extras=states,
        action_range=action_range,
        provenance=Provenance(dataset=str(path), notes=tuple(notes)),
    )
