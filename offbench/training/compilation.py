"""Where a compiler is, an update is one compiled function; elsewhere the same Python runs eagerly."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from offbench.algorithms.base import Algorithm, View
from offbench.errors import OffbenchError

Compile = Literal["auto", "always", "never"]
Step = Callable[[Algorithm, View, Tensor], Tensor]

# Updates of single seeds above which the 15 seconds that a first compilation takes are won back on two cores.
WORTH_COMPILING = 20_000


def compiler() -> str | None:
    """The C++ compiler that torch.compile would use on a CPU, or None."""
    return next(filter(None, (shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++"))), None)


def update_step(algorithm: type[Algorithm], mode: Compile, device: torch.device, updates: int = 0) -> tuple[Step, bool]:
    """``Algorithm.step``, compiled or not, and whether it is.

    Args:
        algorithm: its class.
        mode: "auto" compiles where a compiler is and ``updates`` are many; "always" insists.
        device: where updates run.
        updates: updates of single seeds that the run will make; only "auto" asks.

    Raises:
        OffbenchError: mode "always" on a CPU without a C++ compiler.
    """
    available = device.type != "cpu" or compiler() is not None
    if mode == "always" and not available:
        raise OffbenchError(
            "compiling was asked for and there is no C++ compiler; install g++ or leave compile on auto"
        )
    if mode == "never" or not available or (mode == "auto" and updates < WORTH_COMPILING):
        return algorithm.step, False
    # One function serves every algorithm, configuration and group size of a process, each a graph of its own.
    torch._dynamo.config.recompile_limit = 256
    return torch.compile(algorithm.step, fullgraph=True), True


def keep_memory() -> None:
    """Let glibc keep freed memory instead of returning it to the kernel after each update.

    An update frees and takes back the same few hundred kilobytes many times; with glibc's defaults each time costs page
    faults. Measured with one seed of IQL on two cores: 190 updates a second before, 280 after.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
        mallopt(mmap_threshold, 2**30)
        mallopt(trim_threshold, 2**31 - 1)


def group_size(algorithm: Algorithm, seeds: int, compiled: bool) -> int:
    """How many seeds to update together, given one seed's algorithm.

    On a GPU and in eager mode all of them: what costs there is the number of operations. Compiled on a CPU, what
    costs is memory traffic, so a group's parameters and moments should fit in a few megabytes of cache; groups are of
    equal size, so that one compiled graph serves all.
    """
    if not compiled or algorithm.device.type != "cpu":
        return seeds
    one = sum(value.nelement() * value.element_size() for value in algorithm.state().values())
    fitting = max(1, CACHED_BYTES // one)
    return max(size for size in range(1, seeds + 1) if seeds % size == 0 and size <= fitting)


CACHED_BYTES = 6 * 2**20
