"""The global random generators, which an update must not draw from and a check must leave where they stood."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def kept() -> Iterator[None]:
    """The global generators go on afterwards where they stood."""
    python, legacy, ours = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
        torch.set_rng_state(ours)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The global generators begin at ``seed``, and go on afterwards where they stood."""
    with kept():
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        yield


def states() -> tuple[object, ...]:
    """States of the global generators, which any draw changes."""
    _, numbers, position, *_ = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), np.asarray(numbers).tobytes(), position, random.getstate()
