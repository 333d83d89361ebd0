"""Reading D4RL-style HDF5 files.

Layout of such a file, N rows that hold one episode after the other (specification: Fu et al. 2020, "D4RL: Datasets for
Deep Data-Driven Reinforcement Learning", https://arxiv.org/abs/2004.07219, and the published files themselves)::

    observations, next_observations? (N, observation)    actions (N, action)    rewards (N,) or (N, 1)
    terminals, timeouts?             (N,) 0 or 1         infos/* (N, ...)       metadata/* anything

A file is foreign: nothing outside it is read (links, external storage and virtual datasets are refused), and no memory
is taken for rows that it only declares.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import DataError

Array = npt.NDArray[Any]

# By name, because h5py carries no types: mypy takes a module that is imported so as it is.
h5py = import_module("h5py")

# Part of what makes a cache file valid: to be raised whenever the same file would be read differently.
READER_VERSION = 1

# Rows i and i+1 belong to one episode if next_observations[i] and observations[i+1] are this near, relative to the
# latter's norm where that exceeds 1 (the rule by which the official IQL code finds the ends of episodes).
SAME_OBSERVATION = 1e-6

# Deflate cannot shrink data more than 1,032 times, so a column that declares more than that holds nothing real.
_MOST_COMPRESSED = 1100
_ALWAYS_ALLOWED = 16 * 2**20  # bytes a column

_ROW_COLUMNS = ("observations", "actions", "rewards", "terminals", "timeouts", "next_observations")
_LONGEST_TEXT = 200  # characters of a metadata value that are worth a note


@dataclass
class _Contents:
    """What a file holds: columns and infos by name, small metadata as text, and names that nobody reads."""

    columns: dict[str, Array] = field(default_factory=dict)
    infos: dict[str, Array] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    present: set[str] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)


def read_hdf5(
    path: Path | str, action_range: tuple[Array, Array] | None = None, episode_limit: int | None = None
) -> Trajectories:
    """The trajectories of a D4RL-style HDF5 file; ``provenance.notes`` say what it lacks and what was done about it.

    Episodes end at terminals and timeouts. Without timeouts they also end where ``next_observations`` does not continue
    in the next row, and after ``episode_limit`` steps. A row with both flags is a termination. A tail without a flag
    is kept, as an episode that was cut off. The last observation of an episode is the file's next observation; in
    files without one it repeats the one before, and ``final_observations`` is False. Floating-point observations,
    actions and rewards become float32; infos keep their dtype and become extras, named without the prefix.

    Args:
        path: the file.
        action_range: (low, high), each (action,), that the actions are declared to keep.
        episode_limit: steps after which the task's clock truncates, for files without timeouts.

    Raises:
        DataError: the file is missing, no HDF5 file, damaged, reaches outside itself, or holds columns that are
            missing, of unequal length, not numeric or not finite.
    """
    path = Path(path)
    if episode_limit is not None and episode_limit < 1:
        raise DataError(f"the episode limit must be at least one step, not {episode_limit}")
    contents = _read(path)
    notes = _describe(contents)
    columns = _prepare(path, contents, notes)
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
        extras=contents.infos,
        final_observations=np.full(len(ends), has_next),
        action_range=action_range,
        provenance=Provenance(dataset=str(path), notes=tuple(notes)),
    )


# -------------------------------------------------------------------- meaning of the columns


def _describe(contents: _Contents) -> list[str]:
    """Notes on what the file lacks, its metadata and what was left unread."""
    absent = [name for name in (*_ROW_COLUMNS, "infos", "metadata") if name not in contents.present]
    notes = [f"the file has no {', '.join(absent)}"] if absent else []
    notes += [f"metadata/{name} is {value}" for name, value in contents.metadata.items()]
    if contents.unread:
        more = f" and {len(contents.unread) - 8} more" if len(contents.unread) > 8 else ""
        notes.append(f"not read: {', '.join(contents.unread[:8])}{more}")
    return notes


def _prepare(path: Path, contents: _Contents, notes: list[str]) -> dict[str, Array]:
    """The row columns with equal lengths, agreed shapes and dtypes."""
    columns = dict(contents.columns)
    if "observations" not in columns:
        raise DataError(f"{path} has no observations; a D4RL-style file has a dataset of that name at its root")
    rows = len(columns["observations"])
    if rows == 0:
        raise DataError(f"{path} has no rows; at least one step is needed")
    for name, column in (columns | {f"infos/{name}": column for name, column in contents.infos.items()}).items():
        if len(column) != rows:
            raise DataError(f"{name} of {path} has {len(column)} rows; {rows} would be right, as in observations")
    for name in {"rewards", "terminals", "timeouts"} & columns.keys():
        if columns[name].size != rows:
            raise DataError(f"{name} of {path} has shape {columns[name].shape}; one number a row would be right")
        columns[name] = columns[name].reshape(rows)
    for name in {"terminals", "timeouts"} & columns.keys():
        columns[name] = _flags(path, name, columns[name])
    shape = columns["observations"].shape
    if "next_observations" in columns and columns["next_observations"].shape != shape:
        raise DataError(
            f"next_observations of {path} has shape {columns['next_observations'].shape}; {shape} would be right"
        )
    _to_float32(columns, notes)
    return columns


def _flags(path: Path, name: str, column: Array) -> Array:
    wrong = np.flatnonzero((column != 0) & (column != 1))
    if len(wrong):
        raise DataError(f"{name} of {path} is {column[wrong[0]]} in row {wrong[0]}; only 0 and 1 are flags")
    return column.astype(bool)


def _to_float32(columns: dict[str, Array], notes: list[str]) -> None:
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
    jumps = _jumps(columns["observations"], columns.get("next_observations"))
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


def _jumps(observations: Array, following: Array | None) -> Array:
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


# -------------------------------------------------------------------- reading a foreign file


def _read(path: Path) -> _Contents:
    """Everything of use in the file, whole columns at a time."""
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise DataError(f"{path} {what}; give the path of a D4RL-style HDF5 file")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path} may not be read; change its permissions or give another file")
    if not h5py.is_hdf5(path):
        raise DataError(f"{path} is not an HDF5 file; give the path of a D4RL-style HDF5 file")
    try:
        with h5py.File(path, "r") as file:
            return _read_root(path, file)
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{path} does not fit into memory") from error
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError) as error:
        # What h5py raises depends on where the file is broken; its documentation rules none of these out.
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is truncated or damaged, so fetch or write it anew ({reason})") from error


def _read_root(path: Path, file: Any) -> _Contents:
    contents = _Contents()
    datasets: dict[str, Any] = {}
    for name, item in _items(path, file, ""):
        contents.present.add(name)
        if name in _ROW_COLUMNS:
            datasets[name] = item
        elif name == "infos" and isinstance(item, h5py.Group):
            datasets |= _below(path, item, "infos/", set())
        elif name == "metadata" and isinstance(item, h5py.Group):
            contents.metadata = _read_metadata(path, item)
        else:
            contents.unread.append(repr(name))
    _check_sizes(path, datasets)
    for name, dataset in datasets.items():
        column = dataset[...]
        column = column.astype(column.dtype.newbyteorder("="), copy=False)
        if name.startswith("infos/"):
            contents.infos[name.removeprefix("infos/")] = column
        else:
            contents.columns[name] = column
    return contents


def _items(path: Path, group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Members of a group by name; raises at links, through which a file could have others read."""
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise DataError(f"{prefix + name!r} of {path} is a link; only data that the file itself holds are read")
        yield name, group[name]


def _below(path: Path, group: Any, prefix: str, seen: set[int]) -> dict[str, Any]:
    """All datasets below a group by path; ``seen`` holds addresses of groups, because groups can contain themselves."""
    address = h5py.h5o.get_info(group.id).addr
    if address in seen:
        raise DataError(f"group {prefix!r} of {path} is contained in itself or twice; each group once would be right")
    seen.add(address)
    found: dict[str, Any] = {}
    for name, item in _items(path, group, prefix):
        found |= _below(path, item, f"{prefix}{name}/", seen) if isinstance(item, h5py.Group) else {prefix + name: item}
    return found


def _check_sizes(path: Path, datasets: dict[str, Any]) -> None:
    """Raise unless every dataset is plain numbers that the file holds itself and that fit into memory."""
    total = sum(_declared_bytes(path, name, dataset) for name, dataset in datasets.items())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else math.inf
    if total > memory:
        raise DataError(f"{path} holds {total:,} bytes of data, more than the {memory:,} bytes of memory here")


def _declared_bytes(path: Path, name: str, dataset: Any) -> int:
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"{name!r} of {path} is not a dataset; one array with a row a step would be right")
    if dataset.is_virtual or dataset.external:
        raise DataError(
            f"{name!r} of {path} has its data in other files; only data that the file itself holds are read"
        )
    if dataset.dtype.kind not in "fiub" or dataset.dtype.itemsize > 8:
        raise DataError(
            f"{name!r} of {path} has dtype {dataset.dtype}; numbers or bools of up to 8 bytes would be right"
        )
    if not dataset.shape:
        raise DataError(f"{name!r} of {path} is a single value; an array with a row a step would be right")
    declared: int = math.prod(dataset.shape) * dataset.dtype.itemsize
    needed = max(declared, math.prod(dataset.chunks or ()) * dataset.dtype.itemsize)
    stored: int = min(dataset.id.get_storage_size(), path.stat().st_size)
    if dataset.id.get_create_plist().get_nfilters():
        stored *= _MOST_COMPRESSED
    if needed > stored + _ALWAYS_ALLOWED:
        raise DataError(
            f"{name!r} of {path} declares shape {dataset.shape}, {needed:,} bytes, but the file holds only "
            f"{dataset.id.get_storage_size():,} for it"
        )
    return declared


def _read_metadata(path: Path, group: Any) -> dict[str, str]:
    """Numbers and texts directly in the group, as they are printed; groups in it are named only."""
    found: dict[str, str] = {}
    for name, item in _items(path, group, "metadata/"):
        if isinstance(item, h5py.Group):
            found[name] = f"a group of {len(item)}"
        elif isinstance(item, h5py.Dataset) and item.shape == () and not item.is_virtual and not item.external:
            is_text = h5py.check_string_dtype(item.dtype) is not None
            if is_text or item.dtype.kind in "fiub":
                value = item.asstr(errors="replace")[()] if is_text else item[()].item()
                found[name] = repr(value)[:_LONGEST_TEXT]  # repr: a foreign text may hold terminal commands
    return found
