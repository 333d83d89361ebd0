"""How much memory this machine has left."""

from __future__ import annotations

import math
import os
from pathlib import Path


def free_memory() -> float:
    """Bytes that can be taken without swapping, as Linux reckons; elsewhere those of the machine."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass  # another system
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else math.inf
