"""The native file format: one safetensors file, memory-mapped when loaded.

Tensors are the columns of ``Trajectories`` by name, with ``action_low`` and ``action_high``. The metadata hold::

    format       "offbench-trajectories"
    version      "1"
    digest       SHA-256 of the content, as Trajectories.digest
    provenance   JSON of Provenance

and what `offbench.formats.caching` adds to those that are caches.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from offbench.basis.known import LARGE, keep_known, known_digest
from offbench.basis.plain import plain
from offbench.basis.shapes import Array
from offbench.basis.streams import tell
from offbench.basis.tensors import Pieces, map_tensors, write_tensors
from offbench.data.digest import digest_of
from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import DataError
from offbench.formats.source import Source

FORMAT, PREFERENCES = "offbench-trajectories", "offbench-preferences"
VERSION = "1"
SUFFIX = ".offbench"

_LONG = 2**32  # bytes, which take a while to be read
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
    write(trajectories, Path(path), {})


def load(path: Path | str, verify: bool = False) -> Trajectories:
    """The trajectories of a native file. Columns are read-only views of the mapped file: no copy, shared by processes.

    A large file is read through once, to be checked and compared with its recorded digest, and not again until it
    changes.

    Args:
        path: the file.
        verify: whether to compare the content with the recorded digest, which reads all of it.

    Raises:
        DataError: the file is missing, not in this format or version, damaged, or contradicts the layout.
    """
    return load_with_metadata(Path(path), verify)[0]


def load_with_metadata(path: Path, verify: bool = False) -> tuple[Trajectories, dict[str, str]]:
    """(what `load` gives, the metadata of the file)."""
    known = "" if verify else known_digest(path)
    columns, metadata = map_tensors(path, FORMAT, VERSION, "trajectories", known=bool(known))
    provenance = read_provenance(path, metadata)
    if not known and path.stat().st_size >= _LONG:
        size = f"{path.stat().st_size / 1e9:,.0f} GB"
        tell(f"{plain(path)} is new here: all its {size} are read once, to be checked")
    trajectories = _build(path, columns, provenance, known)
    if verify or (not known and path.stat().st_size >= LARGE):
        digest = trajectories.digest
        if digest != metadata.get("digest"):
            raise DataError(
                f"the content of {path} does not have the recorded digest; it was damaged, so write it anew"
            )
        keep_known(path, digest)
        trajectories = _build(path, columns, provenance, digest)
    return trajectories, metadata


def recorded_digest(path: Path) -> str | None:
    """The digest that a native file was written with; raises DataError where it is none."""
    return map_tensors(path, FORMAT, VERSION, "trajectories", known=True)[1].get("digest")


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


# -------------------------------------------------------------------- writing


def write(trajectories: Trajectories, path: Path, more: Mapping[str, str]) -> str:
    """Write one native file with more entries in its metadata and return the digest; raises as `save` does."""
    columns: dict[str, Array | Pieces] = dict(trajectories.columns())
    if trajectories.action_range is not None:
        columns["action_low"], columns["action_high"] = trajectories.action_range
    return write_columns(columns, trajectories.provenance, path, more, trajectories.digest)


def write_columns(
    columns: Mapping[str, Array | Pieces], provenance: Provenance, path: Path, more: Mapping[str, str], digest: str = ""
) -> str:
    """Write checked columns, some of them in pieces that follow one another, as one native file.

    Args:
        columns: those of `Trajectories.columns`, and ``action_low`` and ``action_high`` where a range is declared.
        provenance: of all of them.
        path: the file.
        more: further entries of its metadata.
        digest: of the columns, where it is known; else they are read for it.

    Returns:
        The digest.

    Raises:
        DataError: a column has a dtype that the format lacks.
        OffbenchError: the file cannot be written.
    """
    digest = digest or digest_of(columns)
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "digest": digest,
        "provenance": json.dumps(asdict(provenance), sort_keys=True),
    }
    write_tensors(path, columns, metadata | dict(more))
    keep_known(path, digest)
    return digest


# -------------------------------------------------------------------- loading


def _build(path: Path, columns: dict[str, Array], provenance: Provenance, known: str) -> Trajectories:
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
        return Trajectories(**named, extras=extras, action_range=action_range, provenance=provenance, known=known)
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
