"""Flat rows, one episode after the other, become Trajectories: what the readers of HDF5 and ``.npz`` files share.

Columns, N rows each; only observations are required::

    observations, next_observations? (N, observation)    actions (N, action)    rewards (N,) or (N, 1)
    terminals, timeouts? or others   (N,) 0 or 1, see `offbench.formats.row_names`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import DataError
from offbench.formats.row_ends import find_ends
from offbench.formats.row_names import FLAGS, NAMES, check_unread
from offbench.formats.state_rows import from_state_rows

ROW_COLUMNS = ("observations", "actions", "rewards", "terminals", "timeouts", "next_observations")


def from_rows(
    path: Path,
    columns: Mapping[str, Array],
    infos: Mapping[str, Array],
    notes: list[str],
    names: Mapping[str, str] | None = None,
    action_range: tuple[Array, Array] | None = None,
    episode_limit: int | None = None,
    offsets: Array | None = None,
) -> Trajectories:
    """Trajectories of the rows of a file.

    `offbench.formats.row_ends.find_ends` says where episodes end; where a column ``is_last`` marks rows that hold a
    final observation and no action, `offbench.formats.state_rows` does. The last observation of an episode is the
    file's next observation; in files without one it repeats the one before, and ``final_observations`` is False.
    Floating-point observations, actions and rewards become float32; infos keep their dtype and become extras.

    Args:
        path: the file, for messages and provenance.
        columns: row columns by the roles of `offbench.formats.row_names`.
        infos: further columns, (N, ...) each.
        notes: what the reader has to remark; remarks on the rows are added to it.
        names: what the file calls the columns, for messages, where that differs.
        action_range: (low, high), each (action,), that the actions are declared to keep.
        episode_limit: steps after which the task's clock truncates, for files without timeouts.
        offsets: (episodes + 1,) int64 where the file says itself at which rows episodes begin.

    Raises:
        DataError: columns that are missing, of unequal length, not finite, or flags that are neither 0 nor 1, that
            contradict each other, or that are named like ends of episodes and not known.
    """
    if episode_limit is not None and episode_limit < 1:
        raise DataError(f"the episode limit must be at least one step, not {episode_limit}")
    check_unread(path, infos, len(columns.get("observations", ())))
    named = {role: (names or {}).get(role, role) for role in NAMES}
    columns = _prepare(path, columns, infos, named, notes)
    if "valids" in columns or ("is_last" in columns and "next_observations" not in columns):
        return _of_states(path, columns, infos, named, notes, action_range)
    ends = find_ends(path, columns, named, episode_limit, offsets, notes)
    rows = np.flatnonzero(ends.last)
    final = columns["observations"][rows]
    if "next_observations" in columns:
        final = np.where(_against(ends.final[rows], final), columns["next_observations"][rows], final)
    return Trajectories(
        observations=np.insert(columns["observations"], rows + 1, final, axis=0),
        offsets=np.concatenate([[0], rows + 1]).astype(np.int64),
        terminations=ends.terminations,
        truncations=ends.truncations,
        actions=columns.get("actions"),
        rewards=columns.get("rewards"),
        extras=infos,
        final_observations=ends.final[rows],
        action_range=action_range,
        provenance=Provenance(dataset=str(path), notes=tuple(notes)),
    )


def _of_states(
    path: Path,
    columns: dict[str, Array],
    infos: Mapping[str, Array],
    names: Mapping[str, str],
    notes: list[str],
    action_range: tuple[Array, Array] | None,
) -> Trajectories:
    """Where rows of states are marked: by ``is_last``, whose terminals are of states, or by ``valids``, of steps.

    Raises:
        DataError: another flag stands beside them, of which nothing says whether it is of states or of steps.
    """
    read = {"terminals", "is_first", "is_last"} | ({"valids", "masks"} if "valids" in columns else set())
    others = sorted(names[role] for role in columns.keys() & set(FLAGS) - read)
    if others:
        marks = names["valids" if "valids" in columns else "is_last"]
        raise DataError(
            f"{path} marks rows of states by {marks}, beside which {', '.join(others)} cannot be read; say what "
            "terminates by terminals, or leave it out"
        )
    if "valids" not in columns:
        terminal = columns.get("terminals")
        return from_state_rows(path, columns, infos, columns["is_last"], terminal, notes, action_range)
    terminal = None
    if "masks" in columns:  # of the step that a row begins
        terminal = np.append(False, ~columns["masks"][:-1])
    return from_state_rows(path, columns, infos, ~columns["valids"], terminal, notes, action_range)


def _against(flags: Array, rows: Array) -> Array:
    """Flags (rows,) with as many axes as the rows have."""
    return flags.reshape(-1, *[1] * (rows.ndim - 1))


def _prepare(
    path: Path, given: Mapping[str, Array], infos: Mapping[str, Array], names: dict[str, str], notes: list[str]
) -> dict[str, Array]:
    """The row columns with equal lengths, agreed shapes and dtypes."""
    columns = dict(given)
    names = names | {f"infos/{name}": f"infos/{name}" for name in infos}
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
    for name in {"rewards", *FLAGS} & columns.keys():
        if columns[name].size != rows:
            raise DataError(f"{names[name]} of {path} has shape {columns[name].shape}; one number a row would be right")
        columns[name] = columns[name].reshape(rows)
    if "actions" in columns and columns["actions"].ndim == 1:
        columns["actions"] = columns["actions"].reshape(rows, 1)
    for name in columns.keys() & set(FLAGS):
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


def usable_infos(infos: Mapping[str, Array], rows: int, unread: list[str]) -> dict[str, Array]:
    """The infos that can ride along: finite, with one row a step; the names of the others are added to ``unread``."""
    usable = {}
    for name, column in infos.items():
        if len(column) != rows:
            unread.append(f"{name!r} ({len(column)} rows)")
        elif column.dtype.kind == "f" and not np.isfinite(column).all():
            wrong = int((~np.isfinite(column.reshape(rows, -1)).all(axis=1)).sum())
            unread.append(f"{name!r} (NaN or infinite in {wrong} rows)")
        else:
            usable[name] = column
    return usable


def not_read(names: Sequence[str]) -> list[str]:
    """A note on what a reader left out, if that is anything."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return [f"not read: {', '.join(names[:8])}{more}"] if names else []


def _flattened(name: str, exact: Array, rounded: Array) -> list[str]:
    """A note on components that change in the file and not in float32, as times since 1970 do."""
    if len(exact) < 2 or exact.size == 0:
        return []
    before, after = (column.reshape(len(column), -1) for column in (exact, rounded))
    lost = np.flatnonzero((after.min(axis=0) == after.max(axis=0)) & (before.min(axis=0) != before.max(axis=0)))
    if len(lost) == 0:
        return []
    listed = ", ".join(map(str, lost[:8].tolist())) + (f" and {len(lost) - 8} more" if len(lost) > 8 else "")
    return [
        f"{name} change in column {listed} by less than float32 tells apart, and are constant here; subtract a start"
    ]


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
        notes += _flattened(name, column, columns[name])
    notes += [f"{', '.join(names)} are {dtype} in the file and float32 here" for dtype, names in converted.items()]
