"""Reading D4RL-style HDF5 files.

Layout of such a file, N rows that hold one episode after the other (specification: Fu et al. 2020, "D4RL: Datasets for
Deep Data-Driven Reinforcement Learning", https://arxiv.org/abs/2004.07219, and the published files themselves)::

    observations, next_observations? (N, observation)    actions (N, action)    rewards (N,) or (N, 1)
    terminals, timeouts?             (N,) 0 or 1         infos/* (N, ...)       metadata/* anything
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from offbench.data.trajectories import Trajectories
from offbench.formats.hdf5_file import below, check_sizes, h5py, items, open_hdf5, values
from offbench.formats.rows import ROW_COLUMNS, from_rows
from offbench.formats.source import Source

Array = npt.NDArray[Any]

_KIND = "a D4RL-style HDF5 file"
_RANGE = ("metadata/action_low", "metadata/action_high")  # as offbench writes it
_LONGEST_TEXT = 200  # characters of a metadata value that are worth a note


@dataclass
class _Contents:
    """What a file holds: columns, infos and bounds by name, small metadata as text, and names that nobody reads."""

    columns: dict[str, Array] = field(default_factory=dict)
    infos: dict[str, Array] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    action_range: dict[str, Array] = field(default_factory=dict)
    present: set[str] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)


def recognises(source: Source) -> bool:
    """Whether an HDF5 file has D4RL's columns at its root, or some of them."""
    return not set(source.names).isdisjoint(ROW_COLUMNS)


def read_hdf5(
    path: Path | str, action_range: tuple[Array, Array] | None = None, episode_limit: int | None = None
) -> Trajectories:
    """The trajectories of a D4RL-style HDF5 file; ``provenance.notes`` say what it lacks and what was done about it.

    ``offbench.formats.rows.from_rows`` says how rows become episodes; infos become extras, named without the prefix.

    Args:
        path: the file.
        action_range: (low, high), each (action,), that the actions are declared to keep; by default those that the
            file's metadata name action_low and action_high.
        episode_limit: steps after which the task's clock truncates, for files without timeouts.

    Raises:
        DataError: the file is missing, no HDF5 file, damaged, reaches outside itself, or holds columns that are
            missing, of unequal length, not numeric or not finite.
    """
    path = Path(path)
    with open_hdf5(path, _KIND) as file:
        contents = _read_root(path, file)
    notes = _describe(contents)
    if action_range is None and contents.action_range.keys() == set(_RANGE):
        action_range = contents.action_range[_RANGE[0]], contents.action_range[_RANGE[1]]
    return from_rows(
        path, contents.columns, contents.infos, notes, action_range=action_range, episode_limit=episode_limit
    )


def raw_rows(path: Path) -> tuple[dict[str, Array], dict[str, Array]]:
    """(columns, infos) as they lie in the file, of whatever lengths and values; raises as `read_hdf5` does."""
    with open_hdf5(path, _KIND) as file:
        contents = _read_root(path, file)
    return contents.columns, contents.infos


def _describe(contents: _Contents) -> list[str]:
    """Notes on what the file lacks, its metadata and what was left unread."""
    absent = [name for name in (*ROW_COLUMNS, "infos", "metadata") if name not in contents.present]
    notes = [f"the file has no {', '.join(absent)}"] if absent else []
    notes += [f"metadata/{name} is {value}" for name, value in contents.metadata.items()]
    if contents.unread:
        more = f" and {len(contents.unread) - 8} more" if len(contents.unread) > 8 else ""
        notes.append(f"not read: {', '.join(contents.unread[:8])}{more}")
    return notes


def _read_root(path: Path, file: Any) -> _Contents:
    contents = _Contents()
    datasets: dict[str, Any] = {}
    for name, item in items(path, file, ""):
        contents.present.add(name)
        if name in ROW_COLUMNS:
            datasets[name] = item
        elif name == "infos" and isinstance(item, h5py.Group):
            datasets |= below(path, item, "infos/", set())
        elif name == "metadata" and isinstance(item, h5py.Group):
            contents.metadata = _read_metadata(path, item)
            bounds = {name: item.get(name.removeprefix("metadata/")) for name in _RANGE}
            datasets |= {n: bound for n, bound in bounds.items() if isinstance(bound, h5py.Dataset) and bound.shape}
        else:
            contents.unread.append(repr(name))
    check_sizes(path, datasets)
    for name, dataset in datasets.items():
        column = values(dataset)
        if name in _RANGE:
            contents.action_range[name] = column
        elif name.startswith("infos/"):
            contents.infos[name.removeprefix("infos/")] = column
        else:
            contents.columns[name] = column
    return contents


def _read_metadata(path: Path, group: Any) -> dict[str, str]:
    """Numbers and texts directly in the group, as they are printed; groups in it are named only."""
    found: dict[str, str] = {}
    for name, item in items(path, group, "metadata/"):
        if isinstance(item, h5py.Group):
            found[name] = f"a group of {len(item)}"
        elif isinstance(item, h5py.Dataset) and item.shape == () and not item.is_virtual and not item.external:
            text = h5py.check_string_dtype(item.dtype)
            if text is not None and text.length is None:
                # Kept in a heap on which HDF5 2.0 searches for ever where it is damaged; published files have none.
                found[name] = "a text of variable length, which is not read"
            elif text is not None or item.dtype.kind in "fiub":
                value = item.asstr(errors="replace")[()] if text is not None else item[()].item()
                found[name] = repr(value)[:_LONGEST_TEXT]  # repr: a foreign text may hold terminal commands
    return found
