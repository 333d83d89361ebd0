"""What every reader checks before it opens a file that came from elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from offbench.basis.memory import free_memory
from offbench.errors import DataError


def check_readable(path: Path, kind: str) -> None:
    """Raise DataError unless ``path`` is a file that may be read; ``kind`` (with article) is what would be right."""
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise DataError(f"{path} {what}; give the path of {kind}")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path} may not be read; change its permissions or give another file")


def check_memory(path: Path, needed: int) -> None:
    """Raise DataError if ``needed`` bytes are more than the machine has free."""
    memory = free_memory()
    if needed > memory:
        raise DataError(f"{path} holds {needed:,} bytes of data, more than the {memory:,} bytes of memory free here")
