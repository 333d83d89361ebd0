"""Preferences as native files: one safetensors file, memory-mapped when loaded.

Tensors are the columns of ``Preferences`` by name (``first/observations``, ..., ``labels``; ``raters`` where they are
known). The metadata hold::

    format       "offbench-preferences"
    version      "1"
    digest       SHA-256 of the content, as Preferences.digest
    provenance   JSON of Provenance
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from offbench.basis.shapes import Array
from offbench.basis.tensors import map_tensors, write_tensors
from offbench.data.preferences import Preferences
from offbench.data.segments import Segments
from offbench.data.trajectories import Provenance
from offbench.errors import DataError
from offbench.formats.native import read_provenance

FORMAT = "offbench-preferences"
VERSION = "1"


def save(preferences: Preferences, path: Path | str) -> None:
    """Write one native file.

    Raises:
        DataError: a column has a dtype that the format lacks.
        OffbenchError: the file cannot be written.
    """
    provenance = json.dumps(asdict(preferences.provenance), sort_keys=True)
    metadata = {"format": FORMAT, "version": VERSION, "digest": preferences.digest, "provenance": provenance}
    write_tensors(Path(path), preferences.columns(), metadata)


def load(path: Path | str, verify: bool = False) -> Preferences:
    """The preferences of a native file. Columns are read-only views of the mapped file.

    Args:
        path: the file.
        verify: whether to compare the content with the recorded digest, which reads all of it.

    Raises:
        DataError: the file is missing, not in this format or version, damaged, or contradicts the layout.
    """
    path = Path(path)
    columns, metadata = map_tensors(path, FORMAT, VERSION, "preferences")
    preferences = _build(path, columns, read_provenance(path, metadata))
    if verify and preferences.digest != metadata.get("digest"):
        raise DataError(f"the content of {path} does not have the recorded digest; it was damaged, so write it anew")
    return preferences


def _build(path: Path, columns: dict[str, Array], provenance: Provenance) -> Preferences:
    sides: dict[str, dict[str, Array]] = {"first": {}, "second": {}}
    try:
        labels, raters = columns.pop("labels"), columns.pop("raters", None)
        for name, column in columns.items():
            side, _, own = name.partition("/")
            sides[side][own] = column
        return Preferences(Segments(**sides["first"]), Segments(**sides["second"]), labels, provenance, raters)
    except (DataError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}); write it anew") from error
