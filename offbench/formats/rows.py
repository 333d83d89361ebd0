"""Flat rows, one episode after the other, become Trajectories: what the readers of HDF5 and ``.npz`` files share.

Columns, N rows each; only observations are required::

    observations, next_observations? (N, observation)    actions (N, action)    rewards (N,) or (N, 1)
    terminals, timeouts?             (N,) 0 or 1
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import DataError

Array = npt.NDArray[Any]

ROW_COLUMNS = ("observations", "actions", "rewards", "terminals", "timeouts", "next_observations")

# Rows i and i+1 belong to one episode if next_observations[i] and observations[i+1] are this near, relative to the
# latter's norm where that exceeds 1 (the rule by which the official IQL code finds the ends of episodes).
SAME_OBSERVATION = 1e-6


def from_rows(
    path: Path,
    columns: Mapping[str, Array],
    infos: Mapping[str, Array],
    notes: list[str],
    names: Mapping[str, str] | None = None,
    action_range: tuple[Array, Array] | None = None,
    episode_limit: int | None = None,
) -> Trajectories:
    """Trajectories of the rows of a file.

    Episodes end at terminals and timeouts. Without timeouts they also end where ``next_observations`` does not continue
    in the next row, and after ``episode_limit`` steps. A row with both flags is a termination. A tail without a flag
    is kept, as an episode that was cut off. The last observation of an episode is the file's next observation; in
    files without one it repeats the one before, and ``final_observations`` is False. Floating-point observations,
    actions and rewards become float32; infos keep their dtype and become extras.

    Args:
        path: the file, for messages and provenance.
        columns: row columns by the names above.
        infos: further columns, (N, ...) each.
        notes: what the reader has to remark; remarks on the rows are added to it.
        names: what the file calls the columns, for messages, where that differs.
        action_range: (low, high), each (action,), that the actions are declared to keep.
        episode_limit: steps after which the task's clock truncates, for files without timeouts.

    Raises:
        DataError: columns that are missing, of unequal length, not finite, or flags that are neither 0 nor 1.
    """
    if episode_limit is not None and episode_limit < 1:
        raise DataError(f"the episode limit must be at least one step, not {episode_limit}")
    columns = _prepare(path, columns, infos, dict(names or {}), notes)
    last, terminations, truncations = _ends(path, columns, episode_limit, notes)
    ends = np.flatnonzero(last)
    has_next = "next_observations" in columns
    final = columns["next_observations" if has_next else "observations"][ends]
    return Trajectories(
        observations=np.insert(columns["observations"], ends + 1, final, axis=0),
        offsets=np.concatenate([[0], ends + 1]).astype(np.int64),
        terminations=terminations,
        truncations=truncations,
        actions=columns.get("actions"),
        rewards=columns.get("rewards"),
        extras=infos,
        final_observations=np.full(len(ends), has_next),
        action_range=action_range,
        provenance=Provenance(dataset=str(path), notes=tuple(notes)),
    )


def _prepare(
    path: Path, given: Mapping[str, Array], infos: Mapping[str, Array], names: dict[str, str], notes: list[str]
) -> dict[str, Array]:
    """The row columns with equal lengths, agreed shapes and dtypes."""
    columns = dict(given)
    names = {name: names.get(name, name) for name in ROW_COLUMNS} | {f"infos/{name}": f"infos/{name}" for name in infos}
    if "observations" not in columns:
        raise DataError(
            f"{path} has no {names['observations']}; a D4RL-style file has a dataset of that name at its root"
        )
    rows = len(columns["observations"])
    if rows == 0:
        raise DataError(f"{path} has no rows; at least one step is needed")
    for name, column in (columns | {f"infos/{name}": column for name, column in infos.items()}).items():
        if len(column) != rows:
            raise DataError(
                f"{names[name]} of {path} has {len(column)} rows; {rows} would be right, as in {names['observations']}"
            )
    for name in {"rewards", "terminals", "timeouts"} & columns.keys():
        if columns[name].size != rows:
            raise DataError(f"{names[name]} of {path} has shape {columns[name].shape}; one number a row would be right")
        columns[name] = columns[name].reshape(rows)
    for name in {"terminals", "timeouts"} & columns.keys():
        columns[name] = flags(path, names[name], columns[name])
    shape = columns["observations"].shape
    if "next_observations" in columns and columns["next_observations"].shape != shape:
        wrong = columns["next_observations"].shape
        raise DataError(f"{names['next_observations']} of {path} has shape {wrong}; {shape} would be right")
    to_float32(columns, notes)
    return columns


def flags(path: Path, name: str, column: Array) -> Array:
    """The column (rows,) as bools; raises DataError at what is neither 0 nor 1."""
    wrong = np.flatnonzero((column != 0) & (column != 1))
    if len(wrong):
        raise DataError(f"{name} of {path} is {column[wrong[0]]} in row {wrong[0]}; only 0 and 1 are flags")
    return column.astype(bool)


def to_float32(columns: dict[str, Array], notes: list[str]) -> None:
    """Make floating-point columns and all rewards float32 in place; whole-number observations and actions stay."""
    converted: dict[str, list[str]] = {}
    for name in ("observations", "next_observations", "actions", "rewards"):
        column = columns.get(name)
        if column is None or column.dtype == np.float32 or (column.dtype.kind != "f" and name != "rewards"):
            continue
        converted.setdefault(str(column.dtype), []).append(name)
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, which Trajectories refuses
            columns[name] = column.astype(np.float32)
    notes += [f"{', '.join(names)} are {dtype} in the file and float32 here" for dtype, names in converted.items()]


def _ends(path: Path, columns: dict[str, Array], limit: int | None, notes: list[str]) -> tuple[Array, Array, Array]:
    """(last row of an episode, terminations, truncations), each (rows,) bool."""
    rows = len(columns["observations"])
    if not columns.keys() & {"terminals", "timeouts", "next_observations"} and limit is None:
        raise DataError(f"nothing in {path} says where its episodes end; give their length as episode_limit")
    terminations = columns.get("terminals", np.zeros(rows, dtype=bool))
    jumps = jump_mask(columns["observations"], columns.get("next_observations"))
    if "timeouts" in columns:
        both = int((terminations & columns["timeouts"]).sum())
        if both:
            notes.append(f"{both} rows are both terminal and timed out; they count as terminated")
        truncations = columns["timeouts"] & ~terminations
        inside = int((jumps & ~terminations & ~truncations).sum())
        if inside:
            notes.append(
                f"{inside} rows inside episodes have a next observation that is not the next row's observation"
            )
        last = terminations | truncations
    else:
        last = terminations | jumps
        truncations = _clock(last, limit) & ~terminations
        last |= truncations
        notes.append(_how_cut(int((jumps & ~terminations).sum()), "next_observations" in columns, limit))
    if not last[-1]:
        tail = rows - 1 - int(np.flatnonzero(last)[-1]) if last.any() else rows
        notes.append(f"the last {tail} steps have no end; they are kept as an episode that was cut off")
        last[-1] = True
    if "next_observations" not in columns:
        notes.append("the last observation of each episode was not recorded and repeats the one before")
    return last, terminations, truncations


def _how_cut(jumps: int, has_next: bool, limit: int | None) -> str:
    ways = ["at terminals"]
    if has_next:
        ways.append(f"at {jumps} further rows whose next observation is not the next row's observation")
    if limit is not None:
        ways.append(f"after {limit} steps")
    return f"without timeouts, episodes end {', '.join(ways)}{' only' if len(ways) == 1 else ''}"


def jump_mask(observations: Array, following: Array | None) -> Array:
    """(rows,) bool, where the next observation differs from the next row's observation; False in the last row."""
    jumps = np.zeros(len(observations), dtype=bool)
    if following is None:
        return jumps
    inner = tuple(range(1, observations.ndim))
    differs = (observations[1:] != following[:-1]).any(axis=inner)
    where = np.flatnonzero(differs)  # few, so that distances are computed for few
    expected = observations[where + 1].astype(np.float64)
    with np.errstate(invalid="ignore"):  # an infinite observation is refused later, with its row
        distance = np.sqrt(np.square(following[where] - expected).sum(axis=inner))
    near = distance <= SAME_OBSERVATION * np.maximum(1.0, np.sqrt(np.square(expected).sum(axis=inner)))
    jumps[where] = ~near  # NaN is near nothing
    return jumps


def _clock(last: Array, limit: int | None) -> Array:
    """(rows,) bool, every ``limit``-th step of an episode, where ``last`` (rows,) marks the ends known so far."""
    if limit is None:
        return np.zeros(len(last), dtype=bool)
    starts = np.concatenate([[0], np.flatnonzero(last[:-1]) + 1])
    step = np.arange(len(last)) - np.repeat(starts, np.diff(starts, append=len(last)))
    reached: Array = (step + 1) % limit == 0
    return reached
