"""The cache of what was read: native files that are mapped the next time, each valid for one content of its source.

A cache file has two more entries in its metadata::

    source       JSON of what makes it valid: the source's path and identity, and the options it was read with
    written      the time of its last change, seconds; one that was changed since is compared with its digest
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from offbench.basis.files import cache_folder, clear_unfinished, identity
from offbench.basis.known import keep_known
from offbench.basis.locks import locked
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, OffbenchError
from offbench.formats import native

_COARSE = 2  # seconds, the coarsest that a file system keeps times


def cached(
    path: Path | str,
    read: Callable[[Path], Trajectories],
    folder: Path | None = None,
    options: str = "",
    source: Path | None = None,
) -> Trajectories:
    """``read(path)``, kept in a native file so that the next call maps that instead.

    The file lies in the cache folder, never beside a user's own: below ``files`` there, or beside a source that lies in
    the cache folder itself. It is valid while the identity of the source (size, both times, inode; of a folder, those
    of all its files) and ``options`` are those recorded in it; one that is stale, broken or edited is written anew.
    Where none can be written, a note in the provenance says so.

    Args:
        path: what is read.
        read: makes trajectories of it, and raises what is wrong with it.
        folder: where the cache file goes instead.
        options: whatever else the result of ``read`` depends on, its version included.
        source: what the identity is taken of, if that is more than ``path``.
    """
    path = Path(path)
    try:
        state = identity(source or path)
    except OSError:
        return read(path)
    place = place_of(path, folder)
    stamp = json.dumps({"path": os.path.abspath(path), "identity": state, "options": options}, sort_keys=True)
    found = _load(place, stamp)
    if found is not None:
        return found
    trajectories = read(path)
    try:
        _write(trajectories, place, stamp)
    except (OffbenchError, OSError) as error:
        return trajectories.noted(f"no cache file could be written ({error}), so that every load reads the source")
    return trajectories


def kept(paths: Sequence[Path], build: Callable[[Path, dict[str, str]], str], options: str) -> Trajectories:
    """What is made of several files, kept as one native file as long as none of them changes.

    Args:
        paths: the files, in their order.
        build: writes the native file in this place, with these further entries in its metadata, and gives its digest.
        options: whatever else the result depends on.

    Raises:
        OffbenchError, OSError: it cannot be written.
    """
    absolute = [os.path.abspath(path) for path in paths]
    place = _named("\0".join(absolute), cache_folder() / "files")
    states = [[path, identity(Path(path))] for path in absolute]
    stamp = json.dumps({"paths": states, "options": options}, sort_keys=True)
    if (found := _load(place, stamp)) is not None:
        return found
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.with_suffix(".lock")):
        if (found := _load(place, stamp)) is None:  # another process may have made it meanwhile
            written = _now()
            _date(place, written, build(place, {"source": stamp, "written": written}))
            found = native.load(place)
    return found


def place_of(path: Path, folder: Path | None) -> Path:
    """Where the cache of a source is."""
    absolute, own = Path(os.path.abspath(path)), cache_folder()
    if folder is None and absolute.is_relative_to(os.path.abspath(own)):
        return absolute.with_name(absolute.name + native.SUFFIX)
    return _named(absolute, own / "files" if folder is None else folder)


def _named(source: Path | str, folder: Path) -> Path:
    return folder / (hashlib.sha256(os.fsencode(source)).hexdigest() + native.SUFFIX)


def _load(place: Path, stamp: str) -> Trajectories | None:
    """The cache in a place, or None where it is absent, broken, edited or made from something else."""
    try:
        trajectories, metadata = native.load_with_metadata(place)
        if metadata.get("source") != stamp:
            return None
        if metadata.get("written", "") + 9 * "0" != str(place.stat().st_mtime_ns):
            if trajectories.digest != metadata.get("digest"):
                return None
            _date(place, metadata.get("written", ""), trajectories.digest)
        return trajectories
    except (DataError, OSError):
        return None


def _write(trajectories: Trajectories, place: Path, stamp: str) -> None:
    written = _now()
    with ExitStack() as held:
        with suppress(OSError):  # a folder without locks has caches as well
            place.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(place.with_name(f"{place.name}.lock")))
            clear_unfinished(place)
        digest = native.write(trajectories, place, {"source": stamp, "written": written})
        _date(place, written, digest)


def _now() -> str:
    return str(int(time.time()) // _COARSE * _COARSE)


def _date(place: Path, written: str, digest: str) -> None:
    """Set the time of a cache file's last change to what is written in it; where that fails, its digest is compared."""
    with suppress(OSError, ValueError):
        os.utime(place, (int(written), int(written)))
    keep_known(place, digest)
