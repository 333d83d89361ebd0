"""A lock between processes and threads: a file that one of them holds."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_POLL = 0.05  # seconds between two looks at a lock that another holds


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock file ``path`` for the block, waiting for whoever holds it; the system frees it if a holder dies.

    Raises:
        BlockingIOError: another holds it and ``wait`` is false.
        OSError: the file cannot be created.
    """
    handle = _acquire(path, wait)
    try:
        yield
    finally:
        # Unlinked while it is held: whoever waits for the old file finds out below and opens the new one.
        if sys.platform != "win32":
            with suppress(OSError):
                path.unlink()
        os.close(handle)


def _acquire(path: Path, wait: bool) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            while not _try(handle):
                if not wait:
                    raise BlockingIOError(errno.EAGAIN, "another process holds this lock", str(path))
                time.sleep(_POLL)
            if _is_at(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file still is the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _try(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
