"""The data of a run, handed to its worker processes: files that they map, and how the parts belong together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from offbench.basis.known import forget_known
from offbench.data.learned import Learned
from offbench.data.preference_data import PreferenceData
from offbench.data.preferences import Preferences
from offbench.data.supervision import SemiSupervised
from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import OffbenchError
from offbench.formats import native, preferences


@contextmanager
def handed(data: Learned, digest: str, folder: Path) -> Iterator[dict[str, Any]]:
    """What a worker is told of the data, for `received`, as a table that JSON can hold.

    Trajectories that are mapped from a native file are mapped from there; all else is written to ``folder`` for the
    length of the block.

    Raises:
        OffbenchError: the folder cannot be written to.
    """
    told: dict[str, Any] = {"kind": type(data).__name__, "split": "", "provenance": None}
    parts: dict[str, Trajectories | Preferences]
    if isinstance(data, Trajectories):
        found = native.file_of(data, digest)
        told["provenance"] = asdict(data.provenance)
        if found is not None:
            yield told | {"files": {"whole": str(found)}}
            return
        parts = {"whole": data}
    elif isinstance(data, SemiSupervised):
        parts, told["split"] = {"labelled": data.labelled, "action_free": data.action_free}, data.split
    else:
        parts, told["split"] = {"trajectories": data.trajectories, "preferences": data.preferences}, data.split
    with ExitStack() as stack:
        files = {name: str(stack.enter_context(_scratch(part, name, folder))) for name, part in parts.items()}
        yield told | {"files": files}


@contextmanager
def _scratch(part: Trajectories | Preferences, name: str, folder: Path) -> Iterator[Path]:
    path = folder / f".data-{os.getpid()}-{name}.part"  # a name that the next run in the folder clears away
    try:
        native.save(part, path) if isinstance(part, Trajectories) else preferences.save(part, path)
        yield path
    finally:
        forget_known(path)
        path.unlink(missing_ok=True)


def received(told: dict[str, Any], digest: str) -> Learned:
    """The data that `handed` tells of, mapped.

    Raises:
        OffbenchError: they are not those of this digest.
    """
    files, kind = {name: Path(path) for name, path in told["files"].items()}, told["kind"]
    if kind == "Trajectories":
        path, origin = files["whole"], told["provenance"]
        _check(path, native.recorded_digest(path) == digest)
        provenance = Provenance(**(origin | {"notes": tuple(origin["notes"])}))
        return native.load(path).told(provenance)
    made: Learned
    if kind == "SemiSupervised":
        made = SemiSupervised(native.load(files["labelled"]), native.load(files["action_free"]), told["split"])
    else:
        made = PreferenceData(native.load(files["trajectories"]), preferences.load(files["preferences"]), told["split"])
    _check(next(iter(files.values())), made.digest == digest)
    return made


def _check(path: Path, same: bool) -> None:
    if not same:
        raise OffbenchError(f"the data in {path} changed while the run was about to start; start it again")
