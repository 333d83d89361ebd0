"""Where a compiler is, an update is one compiled function; elsewhere the same Python runs eagerly."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from offbench.algorithms.base import Algorithm, View
from offbench.basis.files import atomic, cache_folder
from offbench.basis.locks import locked
from offbench.errors import OffbenchError

Compile = Literal["auto", "always", "never"]
Step = Callable[[Algorithm, View, Tensor], Tensor]

# What a method's first compilation is taken to cost until one was measured here; docs/speed.md has a table of them.
FIRST_SECONDS = 20.0
# The share of that which it costs once compiled code lies in the cache and was not measured yet: tracing is left.
AGAIN_SHARE = 0.25


def compiler() -> str | None:
    """The C++ compiler that torch.compile would use on a CPU, or None."""
    return next(filter(None, (shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++"))), None)


def can_compile(mode: Compile, device: torch.device) -> bool:
    """Whether a run of this mode may compile its updates.

    Raises:
        OffbenchError: mode "always" on a CPU without a C++ compiler.
    """
    available = device.type != "cpu" or compiler() is not None
    if mode == "always" and not available:
        raise OffbenchError(
            "compiling was asked for and there is no C++ compiler; install g++ or leave compile on auto"
        )
    return mode != "never" and available


def update_step(algorithm: type[Algorithm], compiled: bool) -> Step:
    """``Algorithm.step``, compiled or as it is."""
    if not compiled:
        return algorithm.step
    _keep_compiled_code()
    # One function serves every algorithm, configuration and group size of a process, each a graph of its own.
    torch._dynamo.config.recompile_limit = 256
    return torch.compile(algorithm.step, fullgraph=True)


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


# -------------------------------------------------------------------- compiled code that is kept


def compiled_folder() -> Path:
    """Where code is kept that this machine compiled.

    Torch's own key of a graph holds the graph, torch's version and the kind of vector unit; the code is made for the
    very processor, by the very compiler. A home folder that several machines share has a folder for each of them.
    """
    return cache_folder() / "compiled" / _machine_key()


@cache
def _machine_key() -> str:
    parts = [torch.__version__, sys.version, platform.machine(), _processor_flags(), _compiler_version()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _keep_compiled_code() -> None:
    """Let torch keep compiled code in our cache folder, unless the user named another."""
    folder = compiled_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # torch's own place, in the folder for temporary files, does as well for this process
    if os.access(folder, os.W_OK):
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def _processor_flags() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _compiler_version() -> str:
    path = compiler()
    if path is None:
        return ""
    try:
        return subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return path


class CompileTimes:
    """Seconds that compiling one update took on this machine, kept beside the code.

    Attributes:
        key: digest of all that the compiled code depends on.
        method: name of the algorithm, whose other configurations take about as long.
    """

    def __init__(self, key: str, method: str) -> None:
        self.key, self.method = key, method

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let others wait for the code while the block makes it, unless it lies in the cache."""
        with ExitStack() as stack:
            if not self.known:
                with suppress(OSError):
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                    stack.enter_context(locked(self._path.with_suffix(".lock")))
            yield

    @property
    def known(self) -> bool:
        """Whether the code lies in the cache."""
        return bool(self._read(self._path))

    def expected(self) -> float:
        """Seconds that a process must be expected to spend before its first compiled update."""
        own = self._read(self._path)
        if own:
            return float(own.get("again", AGAIN_SHARE * float(own["first"])))
        others = [self._read(path) for path in sorted(self._path.parent.glob("*.json"))]
        like = [float(other["first"]) for other in others if other.get("method") == self.method]
        return max(like, default=FIRST_SECONDS)

    def keep(self, seconds: float) -> None:
        """Remember what it took, the first time or again; a folder that cannot be written to forgets it."""
        own = self._read(self._path)
        stored = own | {"again": seconds} if own else {"method": self.method, "first": seconds}
        try:
            with atomic(self._path) as temporary:
                temporary.write_text(json.dumps(stored), encoding="utf-8")
        except (OSError, OffbenchError):
            return

    @property
    def _path(self) -> Path:
        return compiled_folder() / "seconds" / f"{self.key}.json"

    @staticmethod
    def _read(path: Path) -> dict[str, float | str]:
        """What a file holds; nothing where it is missing or damaged."""
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        sound = isinstance(stored, dict) and isinstance(stored.get("first"), float | int)
        return stored if sound and isinstance(stored.get("again", 0.0), float | int) else {}
