"""What reading large files through has found, so that they need not be read again before each use.

A file that is larger than memory takes minutes to read, and each use would begin with that: to compare its content with
its digest, to see that its numbers are numbers, and for the mean of its columns. What was found of a file is kept in
the cache folder and holds as long as the file's identity does (size, both times, inode), which whoever writes to it
changes; what follows from its content is kept by the digest of that.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from offbench.basis.files import atomic, cache_folder, identity
from offbench.errors import OffbenchError

LARGE = 2**28  # bytes; what is smaller is read in the time that it takes to look this up


def known_digest(path: Path) -> str:
    """The digest that the content of a large file was found to have, empty where nothing is known of it as it is."""
    try:
        if path.stat().st_size < LARGE:
            return ""
        kept = json.loads(_place(path).read_text(encoding="utf-8"))
        digest = kept["digest"] if kept["identity"] == identity(path) else ""
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    return digest if isinstance(digest, str) else ""


def keep_known(path: Path, digest: str) -> None:
    """Remember the digest of a large file that was read through, or written; where that cannot be kept it is not."""
    with suppress(OSError, OffbenchError):
        if path.stat().st_size < LARGE:
            return
        content = json.dumps({"path": os.path.abspath(path), "identity": identity(path), "digest": digest})
        with atomic(_place(path)) as temporary:
            temporary.write_text(content, encoding="utf-8")


def forget_known(path: Path) -> None:
    """Forget a file that is about to go."""
    with suppress(OSError):
        _place(path).unlink(missing_ok=True)


def kept_numbers(name: str, make: Callable[[], dict[str, list[float]]]) -> dict[str, list[float]]:
    """What ``make`` finds by reading large data through, kept by a ``name`` that says all that it depends on."""
    place = _file(name)
    with suppress(OSError, ValueError):
        kept = json.loads(place.read_text(encoding="utf-8"))
        if isinstance(kept, dict) and all(isinstance(n, int | float) for row in kept.values() for n in row):
            return kept
    found = make()
    with suppress(OSError, OffbenchError), atomic(place) as temporary:
        temporary.write_text(json.dumps(found), encoding="utf-8")
    return found


def _place(path: Path) -> Path:
    return _file(os.path.abspath(path))


def _file(name: str) -> Path:
    return cache_folder() / "known" / f"{hashlib.sha256(os.fsencode(name)).hexdigest()}.json"
