"""The native file format: one safetensors file, memory-mapped when loaded, and the cache that is made of such files.

Tensors are the columns of ``Trajectories`` by name, with ``action_low`` and ``action_high``. The metadata hold::

    format       "offbench-trajectories"
    version      "1"
    digest       SHA-256 of the content, as Trajectories.digest
    provenance   JSON of Provenance
    source       in cache files: JSON of what makes the file valid, see cached()
    source_path  in cache files: the path that was read
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs

from offbench.basis.tensors import little_endian, map_tensors, write_tensors
from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import DataError, OffbenchError
from offbench.formats.source import Source

Array = npt.NDArray[Any]

FORMAT, PREFERENCES = "offbench-trajectories", "offbench-preferences"
VERSION = "1"
SUFFIX = ".offbench"

_REQUIRED = {"observations", "offsets", "terminations", "truncations", "final_observations"}
_OPTIONAL = {"actions", "rewards"}
_RANGE = {"action_low", "action_high"}


def recognises(source: Source) -> bool:
    """Whether a safetensors file is a native one of trajectories."""
    return source.metadata.get("format") == FORMAT


def recognises_preferences(source: Source) -> bool:
    """Whether a safetensors file is a native one of preferences."""
    return source.metadata.get("format") == PREFERENCES


def save(trajectories: Trajectories, path: Path | str) -> None:
    """Write one native file.

    Raises:
        DataError: a column has a dtype that the format lacks.
        OffbenchError: the file cannot be written.
    """
    _save(trajectories, Path(path), {})


def load(path: Path | str, verify: bool = False) -> Trajectories:
    """The trajectories of a native file. Columns are read-only views of the mapped file: no copy, shared by processes.

    Args:
        path: the file.
        verify: whether to compare the content with the recorded digest, which reads all of it.

    Raises:
        DataError: the file is missing, not in this format or version, damaged, or contradicts the layout.
    """
    path = Path(path)
    columns, metadata = _map(path)
    trajectories = _build(path, columns, read_provenance(path, metadata))
    if verify and trajectories.digest != metadata.get("digest"):
        raise DataError(f"the content of {path} does not have the recorded digest; it was damaged, so write it anew")
    return trajectories


def recorded_digest(path: Path) -> str | None:
    """The digest that a native file was written with; raises DataError where it is none."""
    return _map(path)[1].get("digest")


def file_of(trajectories: Trajectories, digest: str) -> Path | None:
    """The native file that all of the trajectories, whose digest is given, are mapped from; None if there is none."""
    base: Any = trajectories.observations
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    if base is None or base.filename is None:
        return None
    path = Path(base.filename)
    try:
        return path if recorded_digest(path) == digest else None
    except DataError:
        return None


def cached(
    path: Path | str, read: Callable[[Path], Trajectories], folder: Path | None = None, options: str = ""
) -> Trajectories:
    """``read(path)``, kept in a native file so that the next call maps that instead.

    The cache of ``x.hdf5`` is ``x.hdf5.offbench`` beside it, or in ``cache_folder()`` where that folder is read-only.
    It is valid while size and time of the source and ``options`` are those recorded in it; one that is stale or broken
    is written anew. Where none can be written, a note in the provenance says so.

    Args:
        path: the source.
        read: makes trajectories of it, and raises what is wrong with it.
        folder: where the cache file goes instead.
        options: whatever else the result of ``read`` depends on, its version included.
    """
    path = Path(path)
    try:
        state = path.stat()
    except OSError:
        return read(path)
    source = {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "options": options}
    stamp = json.dumps(source, sort_keys=True)
    places = _places(path, folder)
    for place in places:
        found = _load_cache(place, stamp, path)
        if found is not None:
            return found
    trajectories = read(path)
    reason = "no folder for it is writable"
    for place in places:
        if place.parent.is_dir() and not place.parent.stat().st_mode & 0o222:
            continue  # marked read-only, which an administrator could write to all the same
        try:
            _save(trajectories, place, {"source": stamp, "source_path": str(path)})
            return trajectories
        except (OffbenchError, OSError) as error:
            reason = str(error)
    note = f"no cache file could be written ({reason}), so that every load reads the source"
    provenance = replace(trajectories.provenance, notes=(*trajectories.provenance.notes, note))
    return replace(trajectories, provenance=provenance)


def cache_folder() -> Path:
    """The folder for everything that can be made again: OFFBENCH_CACHE where set, else the system's for caches."""
    return Path(os.environ.get("OFFBENCH_CACHE") or platformdirs.user_cache_dir("offbench", appauthor=False))


# -------------------------------------------------------------------- writing


def _save(trajectories: Trajectories, path: Path, more: dict[str, str]) -> None:
    columns = trajectories.columns()
    if trajectories.action_range is not None:
        columns["action_low"], columns["action_high"] = trajectories.action_range
    columns = little_endian(columns)
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "digest": trajectories.digest,
        "provenance": json.dumps(asdict(trajectories.provenance), sort_keys=True),
    }
    write_tensors(path, columns, metadata | more)


# -------------------------------------------------------------------- loading


def _map(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    return map_tensors(path, FORMAT, VERSION, "trajectories")


def _build(path: Path, columns: dict[str, Array], provenance: Provenance) -> Trajectories:
    extras = {name.removeprefix("extras/"): columns[name] for name in columns if name.startswith("extras/")}
    names = {name for name in columns if not name.startswith("extras/")}
    wrong = names - _REQUIRED - _OPTIONAL - _RANGE
    if wrong or not names >= _REQUIRED or len(names & _RANGE) == 1:
        raise DataError(
            f"{path} has the columns {sorted(names)}; required are {sorted(_REQUIRED)}, optional {sorted(_OPTIONAL)} "
            f"and, both or none, {sorted(_RANGE)}"
        )
    action_range = (columns["action_low"], columns["action_high"]) if names >= _RANGE else None
    named: dict[str, Any] = {name: columns[name] for name in names - _RANGE}
    try:
        return Trajectories(**named, extras=extras, action_range=action_range, provenance=provenance)
    except DataError as error:
        raise DataError(f"{path} is damaged: {error}") from error


def read_provenance(path: Path, metadata: Mapping[str, str]) -> Provenance:
    """The provenance in the metadata of a native file; raises DataError where it is damaged."""
    try:
        stored = json.loads(metadata["provenance"])
        provenance = Provenance(**(stored | {"notes": tuple(stored["notes"])}))
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise DataError(f"the provenance of {path} is damaged ({error}); write the file anew") from error
    texts = [
        provenance.dataset,
        provenance.like,
        *provenance.notes,
        *([] if provenance.task is None else [provenance.task]),
    ]
    if type(provenance.revision) is not int or not all(isinstance(text, str) for text in texts):
        raise DataError(f"the provenance of {path} is damaged (a field has a wrong type); write the file anew")
    return provenance


# -------------------------------------------------------------------- cache


def _places(path: Path, folder: Path | None) -> list[Path]:
    """Where the cache of a source may be, the first choice first."""
    absolute = Path(os.path.abspath(path))
    name = hashlib.sha256(os.fsencode(absolute)).hexdigest() + SUFFIX
    if folder is not None:
        return [folder / name]
    return [absolute.with_name(absolute.name + SUFFIX), cache_folder() / "files" / name]


def _load_cache(place: Path, stamp: str, path: Path) -> Trajectories | None:
    """The cache in a place, or None where it is absent, broken or made from something else."""
    try:
        columns, metadata = _map(place)
        if metadata.get("source") != stamp:
            return None
        provenance = read_provenance(place, metadata)
        if provenance.dataset == metadata.get("source_path"):  # source and cache may have moved together
            provenance = replace(provenance, dataset=str(path))
        return _build(place, columns, provenance)
    except DataError:
        return None
