"""Writing files so that a crash never leaves a half-written one."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from offbench.basis.failures import disk_is_full, system_error
from offbench.errors import OffbenchError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; when the block ends well it is flushed to disk and renamed to ``path``.

    Raises:
        OffbenchError: the folder cannot be created or written to, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise OffbenchError(
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
        raise OffbenchError(f"cannot write {path}: {reason}; what was there before is left as it was") from error
    finally:
        temporary.unlink(missing_ok=True)
