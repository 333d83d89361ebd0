"""Batches gathered on the host ahead of the device, for data that do not fit on it.

Which rows an update learns from depends on seed and block alone, so it is known what comes next. A thread gathers the
rows of the coming updates from the mapped columns into one of two buffers, while the device works on the other. A
buffer holds what the columns hold (`offbench.data.transitions.Transitions.rows`), and batches are made of that on the
device as they are of columns that lie there: the same rows, in the same order, by the same arithmetic, to the last
bit.

On a GPU there are two buffers on either side, those of the host pinned. Each is copied on a stream of its own as soon
as it is gathered: the copy waits until the updates that read the device's buffer are done, and the updates that will
read it wait for the copy, both on the device. All calls of CUDA are made by the thread that makes the updates, between
them, so that none falls into the recording of a CUDA graph; a recorded update finds both buffers where they were. On a
CPU the thread fills the buffers that updates read.

Tested on a CPU: order, rows, both buffers, updates that are asked for out of order, errors of the thread; and, with
stand-ins for streams and events, what waits for what. Not tested, for want of a GPU: that CUDA's own do as they are
described, pinned memory, and the recording of graphs beside copies.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from offbench.algorithms.base import View
from offbench.basis.shapes import Array

BUFFER = 2**26  # bytes that each of the buffers may take, unless one update takes more


class Gathered(View, Protocol):
    """A view whose batches are made in two halves: of indices, rows at home; of rows on the device, a batch."""

    device: torch.device
    home: torch.device

    def rows(self, indices: Int[Tensor, "seeds batch"]) -> dict[str, Shaped[Tensor, "seeds batch ..."]]:
        """What the columns hold at ``indices``, by name, at home."""
        ...

    def finished(self, rows: Any) -> Any:
        """The batch of such rows, which are on the device."""
        ...


class Ahead:
    """The rows of a group's updates, in the order of the updates, gathered before they are asked for.

    Attributes:
        view: what an update learns from in the place of the data; its indices are places in the buffers.
        updates: how many a buffer holds.
    """

    def __init__(self, data: Gathered, drawn: Callable[[int], Tensor], block: int) -> None:
        """Gather from ``data`` what ``drawn(number)`` (updates, seeds, batch) says of each block of updates.

        Args:
            data: the view, whose columns are at home.
            drawn: the indices of block ``number``, a function of it alone.
            block: updates of a block.
        """
        self._data, self._drawn, self._block = data, drawn, block
        first = drawn(0)
        found = data.rows(first[0])
        size = sum(rows.nelement() * rows.element_size() for rows in found.values())
        self.updates = max(
            each for each in range(1, block + 1) if block % each == 0 and (each == 1 or each * size <= BUFFER)
        )
        self._places = torch.arange(2 * self.updates * first[0].nelement(), device=data.device)
        self._places = self._places.view(2, self.updates, *first[0].shape)
        count = 2 * self.updates * first[0].nelement()
        shapes = {name: (count, *rows.shape[2:]) for name, rows in found.items()}
        self._stage = {name: torch.empty(shapes[name], dtype=found[name].dtype, device=data.device) for name in found}
        self._cuda = is_cuda(data.device)
        self._host = self._stage
        if self._cuda:
            self._host = {name: pinned(shapes[name], found[name].dtype) for name in found}
            self._stream = torch.cuda.Stream(data.device)  # type: ignore[no-untyped-call]
            self._copied, self._free = _events(), _events()
        self.view: View = _Staged(data, self._stage)
        self._thread = ThreadPoolExecutor(1, "offbench-ahead")
        self._now = -1  # which stretch of updates the device works on
        self._coming: tuple[int, Future[None]] | None = None
        self._sent = False  # whether the copy of what is coming was begun
        self._indices: tuple[int, Tensor] | None = None  # the thread's own

    def places(self, update: int) -> Int[Tensor, "seeds batch"]:
        """Where ``view`` has the rows of an update, on the device; waits until they are there.

        Updates are asked for in order, or from any one on; what was gathered for others is then dropped.
        """
        stretch, row = divmod(update, self.updates)
        if stretch != self._now:
            self._turn(stretch)
        elif self._cuda and not self._sent and self._coming is not None and self._coming[1].done():
            self._send(*self._coming)
        return self._places[stretch % 2, row]

    def _turn(self, stretch: int) -> None:
        """Go on to the updates of a stretch, and have those of the next gathered."""
        if self._coming is None or self._coming[0] != stretch:
            if self._cuda and self._now >= 0:
                # Of the same half as the one in use, it is copied behind the updates that were begun.
                self._free[stretch % 2].record(torch.cuda.current_stream(self._data.device))
            self._gather(stretch)
        assert self._coming is not None
        if not self._sent:
            self._send(*self._coming)
        if self._cuda:
            current = torch.cuda.current_stream(self._data.device)
            current.wait_event(self._copied[stretch % 2])
            self._free[1 - stretch % 2].record(current)
        self._now = stretch
        self._gather(stretch + 1)

    def _gather(self, stretch: int) -> None:
        """Let the thread gather a stretch, once what lies in its buffer on the host was copied."""
        if self._cuda:
            self._copied[stretch % 2].synchronize()
        self._coming, self._sent = (stretch, self._thread.submit(self._fill, stretch)), False

    def _fill(self, stretch: int) -> None:
        """Gather the rows of a stretch into its buffer; runs in the thread."""
        half = self._half(self._host, stretch)
        number, first = divmod(stretch * self.updates, self._block)
        if self._indices is None or self._indices[0] != number:
            self._indices = number, self._drawn(number)
        for row in range(self.updates):
            indices = self._indices[1][first + row]
            size = indices.nelement()
            for name, rows in self._data.rows(indices).items():
                half[name][row * size : (row + 1) * size].view(rows.shape).copy_(rows)

    def _send(self, stretch: int, filled: Future[None]) -> None:
        """Begin to copy a stretch to the device once it was gathered; raises what the thread did."""
        filled.result()
        self._sent = True
        if not self._cuda:
            return
        self._stream.wait_event(self._free[stretch % 2])
        with torch.cuda.stream(self._stream):
            target = self._half(self._stage, stretch)
            for name, rows in self._half(self._host, stretch).items():
                target[name].copy_(rows, non_blocking=True)
            self._copied[stretch % 2].record(self._stream)

    def _half(self, buffers: dict[str, Tensor], stretch: int) -> dict[str, Tensor]:
        return {name: both.tensor_split(2)[stretch % 2] for name, both in buffers.items()}

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)


def is_cuda(device: torch.device) -> bool:
    """Whether rows are copied to a GPU."""
    return device.type == "cuda"


def pinned(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Memory of the host that a GPU copies from while other work goes on."""
    return torch.empty(shape, dtype=dtype, pin_memory=True)


def _events() -> list[torch.cuda.Event]:
    return [torch.cuda.Event() for _ in range(2)]  # type: ignore[no-untyped-call]


class _Staged:
    """A view of rows that lie on the device, as many as the data by its length."""

    def __init__(self, data: Gathered, stage: dict[str, Tensor]) -> None:
        self.scaling, self.transforms, self.dtype = data.scaling, data.transforms, data.dtype
        self.observation_size, self.action_size = data.observation_size, data.action_size
        self._data, self._stage = data, stage

    def __len__(self) -> int:
        return len(self._data)

    def batch(self, indices: Int[Tensor, "seeds batch"]) -> Any:
        """The batch of the rows in these places."""
        return self._data.finished({name: rows[indices] for name, rows in self._stage.items()})


def read_at_random(*columns: Array | None) -> None:
    """Tell the system that mapped columns are read row by row, so that it does not read what stands behind each row."""
    for column in columns:
        base: Any = column
        while base is not None and not isinstance(base, mmap.mmap):
            base = getattr(base, "base", None)
        if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_RANDOM"):
            base.madvise(mmap.MADV_RANDOM)
