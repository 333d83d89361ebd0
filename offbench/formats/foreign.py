"""What every reader checks before it opens a file that came from elsewhere."""

from __future__ import annotations

import math
import os
from pathlib import Path

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
    memory = available_memory()
    if needed > memory:
        raise DataError(f"{path} holds {needed:,} bytes of data, more than the {memory:,} bytes of memory free here")


def available_memory() -> float:
    """Bytes that can be taken without swapping, as Linux reckons; elsewhere those of the machine."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass  # another system
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else math.inf
