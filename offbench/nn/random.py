"""Random streams that depend on nothing but a run's seed and a name.

Every number that a run of seed s draws comes from ``stream(s, name, ...)``: which other seeds train beside it, on which
device and after how many interruptions does not matter.
"""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """An independent generator for the given seed and names (strings are hashed, so that order and spelling count)."""
    words = [zlib.crc32(name.encode()) if isinstance(name, str) else name for name in names]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *words])))
