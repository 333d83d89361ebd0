"""Files: written so that a crash never leaves a half-written one, told apart by identity, and the cache folder."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from offbench.basis.failures import disk_is_full, system_error
from offbench.basis.shapes import Array
from offbench.errors import OffbenchError, UnwritableError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; when the block ends well it is flushed to disk and renamed to ``path``.

    Raises:
        UnwritableError: the folder cannot be created or written to, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise UnwritableError(
            f"cannot write {path}: {error.strerror or error}; name a folder that can be written to"
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # mkstemp makes files private; a finished one gets the permissions any new file would have.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        os.replace(temporary, path)
    except Exception as error:
        if isinstance(error, OffbenchError) or not disk_is_full(error):
            raise
        reason = os.strerror(system_error(error) or errno.ENOSPC)
        raise UnwritableError(f"cannot write {path}: {reason}; what was there before is left as it was") from error
    finally:
        temporary.unlink(missing_ok=True)


def clear_unfinished(path: Path) -> None:
    """Remove what processes that were killed in writing ``path`` left; for whoever holds the lock to write it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.????????.part"):
        with suppress(OSError):
            left.unlink()


def cache_folder() -> Path:
    """The folder for everything that can be made again: OFFBENCH_CACHE where set, else the system's for caches."""
    return Path(os.environ.get("OFFBENCH_CACHE") or platformdirs.user_cache_dir("offbench", appauthor=False))


def slug_of(dataset: str) -> str:
    """A dataset's id as the name of a folder."""
    return re.sub(r"[^A-Za-z0-9_.=-]", "-", dataset.replace("/", "--").replace("?", "--"))


def identity(path: Path) -> dict[str, Any]:
    """What changes whenever the content of a file, or of any file in a folder, does.

    Size, time of the last change of content, time of the last change of anything (which nobody can set) and inode; of a
    folder the digest of those of all its files, by name.

    Raises:
        OSError: it is not there or cannot be looked at.
    """
    if not path.is_dir():
        state = path.stat()
        return {"size": state.st_size, "mtime": state.st_mtime_ns, "ctime": state.st_ctime_ns, "inode": state.st_ino}
    made = hashlib.sha256()
    for folder, below, names in os.walk(path):
        below.sort()
        for name in sorted(names):
            file = Path(folder) / name
            made.update(f"{file.relative_to(path)} {sorted(identity(file).items())}\n".encode(errors="surrogateescape"))
    return {"files": made.hexdigest()}


def room_for(count: int, dtype: Any) -> Array:
    """An array (count,) to be filled: in memory or, where it is large, in a file of the cache folder without a name.

    The system writes that one to disk when it needs the memory, and it is gone with the array.
    """
    if count * np.dtype(dtype).itemsize <= _MOST_IN_MEMORY:
        return np.empty(count, dtype)
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=cache_folder()) as file:
        return np.asarray(np.memmap(file, dtype, "w+", shape=(count,)))


_MOST_IN_MEMORY = 2**28  # bytes
