"""Work on a GPU that is launched as one: recorded as a CUDA graph, then replayed.

The kernels of one update of small networks take less time than it takes to launch them one by one from Python.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM = 3  # calls before the recording, in which libraries set up and compilers work


class Replayed:
    """A function of one tensor, recorded on a GPU and replayed from then on; elsewhere it is just called.

    What it computes is the same to the last bit. It must be work on the device alone: it reads no number on the host,
    changes what it changes in place, and finds what it reads where that was at first. The argument is copied to a place
    of its own, and is of the same shape in every call.
    """

    def __init__(self, function: Callable[[Tensor], None]) -> None:
        self.function = function
        self._calls = 0
        self._argument: Tensor | None = None
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, argument: Tensor) -> None:
        """Do it."""
        if argument.device.type != "cuda":
            self.function(argument)
            return
        if self._argument is None:
            self._argument = torch.empty(argument.shape, dtype=argument.dtype, device=argument.device)
        self._argument.copy_(argument)
        if self._calls < WARM:
            self._calls += 1
            self.function(self._argument)
            return
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self.function(self._argument)
        self._graph.replay()
