"""The compiled update of a method, and what compiling it took on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch
from torch import Tensor

from offbench.algorithms.base import Algorithm, View
from offbench.basis.compiler import any_length, compiled_folder
from offbench.basis.compiler import compiled as compiled_whole
from offbench.basis.files import atomic
from offbench.basis.locks import locked
from offbench.errors import OffbenchError

Step = Callable[[Algorithm, View, Tensor], Tensor]

# What a method's first compilation is taken to cost until one was measured here; docs/speed.md has a table of them.
FIRST_SECONDS = 20.0
# The share of that which it costs once compiled code lies in the cache and was not measured yet: tracing is left.
AGAIN_SHARE = 0.25


def update_step(algorithm: type[Algorithm], compiled: bool, device: str = "cpu") -> Step:
    """``Algorithm.step``, compiled for a device or as it is."""
    return compiled_whole(algorithm.step, torch.device(device)) if compiled else algorithm.step


def of_any_length(view: View) -> None:
    """Let the columns of a view have any number of rows in compiled code."""
    any_length(*(column for column in vars(view).values() if isinstance(column, Tensor) and column.dim()))


# Keys of code that this process has compiled or loaded: its next run of that kind has it at once.
_HERE: set[str] = set()


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
        """Seconds that this process must be expected to spend before its first compiled update."""
        if self.key in _HERE:
            return 0.0
        own = self._read(self._path)
        if own:
            return float(own.get("again", AGAIN_SHARE * float(own["first"])))
        others = [self._read(path) for path in sorted(self._path.parent.glob("*.json"))]
        like = [float(other["first"]) for other in others if other.get("method") == self.method]
        return max(like, default=FIRST_SECONDS)

    def keep(self, seconds: float) -> None:
        """Remember what it took, the first time or again; a folder that cannot be written to forgets it."""
        if self.key in _HERE:
            return
        _HERE.add(self.key)
        own = self._read(self._path)
        stored = own | {"again": seconds} if own else {"method": self.method, "first": seconds}
        stored["all"] = float(own.get("all", own.get("first", 0.0))) + seconds  # of all processes, for benchmarks
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
