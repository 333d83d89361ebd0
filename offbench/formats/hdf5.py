"""Reading D4RL-style HDF5 files.

Layout of such a file, N rows that hold one episode after the other (specification: Fu et al. 2020, "D4RL: Datasets for
Deep Data-Driven Reinforcement Learning", https://arxiv.org/abs/2004.07219, and the published files themselves)::

    observations, next_observations? (N, observation)    actions (N, action)    rewards (N,) or (N, 1)
    terminals, timeouts?             (N,) 0 or 1         infos/* (N, ...)       metadata/* anything

Other names of these columns, and other flags, are those of `offbench.formats.row_names`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.formats.hdf5_file import below, check_sizes, h5py, is_column, items, open_hdf5, values
from offbench.formats.row_names import by_role, described, lacking, role
from offbench.formats.rows import from_rows, not_read, usable_infos
from offbench.formats.source import Source

_KIND = "a D4RL-style HDF5 file"
# As offbench writes them: bounds of actions, and where episodes begin.
_RANGE = ("metadata/action_low", "metadata/action_high")
_OFFSETS = "metadata/offsets"
_LONGEST_TEXT = 200  # characters of a metadata value that are worth a note


@dataclass
class _Contents:
    """What a file holds.

    Attributes:
        columns: by role, see `offbench.formats.row_names`.
        names: what the file calls them.
        infos: further columns, below ``infos`` or at the root.
        metadata: small ones, as they are printed.
        arrays: bounds of actions and offsets, by path.
        present: names at the root, or the roles that they have.
        unread: names that nobody reads, each with the reason where that is not plain.
        policy: whether there is one in the metadata.
    """

    columns: dict[str, Array] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    infos: dict[str, Array] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    present: set[str] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)
    policy: bool = False


def recognises(source: Source) -> bool:
    """Whether an HDF5 file has columns of rows at its root, by whatever name, or some of them."""
    return any(role(name) for name in source.names)


def read_hdf5(
    path: Path | str, action_range: tuple[Array, Array] | None = None, episode_limit: int | None = None
) -> Trajectories:
    """The trajectories of a D4RL-style HDF5 file; ``provenance.notes`` say what it lacks and what was done about it.

    ``offbench.formats.rows.from_rows`` says how rows become episodes; infos become extras, named without the prefix,
    as do further columns with a row a step (DSRL's costs). Infos that are no numbers, not finite or not one row a step
    are left out, and a note says so.

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
    infos = usable_infos(contents.infos, len(contents.columns.get("observations", ())), contents.unread)
    notes = _describe(contents)
    if action_range is None and set(_RANGE) <= contents.arrays.keys():
        action_range = contents.arrays[_RANGE[0]], contents.arrays[_RANGE[1]]
    offsets = contents.arrays.get(_OFFSETS)
    return from_rows(path, contents.columns, infos, notes, contents.names, action_range, episode_limit, offsets)


def raw_rows(path: Path) -> tuple[dict[str, Array], dict[str, Array]]:
    """(columns, infos) as they lie in the file, of whatever lengths and values; raises as `read_hdf5` does."""
    with open_hdf5(path, _KIND) as file:
        contents = _read_root(path, file)
    return contents.columns, contents.infos


def _describe(contents: _Contents) -> list[str]:
    """Notes on what the file lacks, its metadata and what was left unread."""
    notes = lacking(contents.present, "infos", "metadata")
    if contents.metadata:
        notes.append(f"the file says: {', '.join(f'{name} {value}' for name, value in contents.metadata.items())}")
    if contents.policy:
        notes.append("the file also holds a policy, with which offbench data regenerate records")
    notes += described(contents.names)
    notes += not_read(contents.unread)
    return notes


def _read_root(path: Path, file: Any) -> _Contents:
    contents = _Contents()
    columns: dict[str, Any] = {}
    others: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    for name, item in items(path, file, ""):
        contents.present.add(role(name) or name)
        if role(name):
            columns[name] = item
        elif name == "infos" and isinstance(item, h5py.Group):
            others |= below(path, item, "infos/", set())
        elif name == "metadata" and isinstance(item, h5py.Group):
            contents.metadata = _read_metadata(path, item, contents)
            found = {name: item.get(name.removeprefix("metadata/")) for name in (*_RANGE, _OFFSETS)}
            metadata = {n: array for n, array in found.items() if isinstance(array, h5py.Dataset) and array.shape}
        else:
            others[name] = item
    rows = next((len(item) for name, item in columns.items() if role(name) == "observations" and is_column(item)), None)
    for name in list(others):
        if not is_column(others[name]) or ("/" not in name and len(others[name]) != rows):
            contents.unread.append(repr(name))
            del others[name]
    check_sizes(path, columns | others | metadata)
    contents.columns, contents.names = by_role(path, {name: values(dataset) for name, dataset in columns.items()})
    contents.infos = {name.removeprefix("infos/"): values(dataset) for name, dataset in others.items()}
    contents.arrays = {name: values(dataset) for name, dataset in metadata.items()}
    return contents


def _read_metadata(path: Path, group: Any, contents: _Contents) -> dict[str, str]:
    """Numbers and texts directly in the group, as they are printed; other groups than a policy are left unread."""
    found: dict[str, str] = {}
    for name, item in items(path, group, "metadata/"):
        if isinstance(item, h5py.Group):
            contents.policy |= name == "policy"
            contents.unread += [] if name == "policy" else [repr(f"metadata/{name}")]
        elif isinstance(item, h5py.Dataset) and item.shape == () and not item.is_virtual and not item.external:
            text = h5py.check_string_dtype(item.dtype)
            if text is not None and text.length is None:
                # Kept in a heap on which HDF5 2.0 searches for ever where it is damaged; published files have none.
                contents.unread.append(f"{f'metadata/{name}'!r} (a text of variable length)")
            elif text is not None or item.dtype.kind in "fiub":
                value = item.asstr(errors="replace")[()] if text is not None else item[()].item()
                found[name] = repr(value)[:_LONGEST_TEXT]  # repr: a foreign text may hold terminal commands
    return found
