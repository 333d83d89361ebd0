"""Arithmetic of rows: which rows of the columns belong to which episodes and steps."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from offbench.basis.shapes import Array

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int, Int64

# Columns cannot be written to, and torch has no tensors that cannot be: it would warn of each that a user makes of one,
# although reading is all that is done.
warnings.filterwarnings("ignore", message="The given NumPy array is not writ", category=UserWarning)

# What makes random numbers: a whole number, which gives the same ones again, a generator, which goes on, or None.
Seed = int | np.random.Generator | None


def read_only(column: Array | None) -> Array | None:
    """A view that cannot be written through; the caller's own array stays as it is."""
    if column is None:
        return None
    view = column.view()
    view.flags.writeable = False
    return view


def ranges(first: Int64[Array, " ranges"], last: Int64[Array, " ranges"]) -> slice | Array:
    """Row numbers of the half-open ranges [first, last): a slice, hence a view, where the ranges touch."""
    if len(first) and np.array_equal(first[1:], last[:-1]):
        return slice(int(first[0]), int(last[-1]))
    sizes = last - first
    inner = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows: Array = np.repeat(first, sizes) + inner
    return rows


def sources_of(offsets: Int64[Array, " bounds"], steps: Int[Array, " chosen"]) -> Int64[Array, " chosen"]:
    """The row of ``observations`` that each of the steps acts from."""
    rows: Array = steps + np.searchsorted(offsets, steps, side="right") - 1
    return rows


@dataclass(frozen=True)
class Usable:
    """The steps of transitions, by arithmetic on their episodes: an index of all would take as much as small data do.

    Transition i lies in the episode e for which ``first[e] <= i < first[e + 1]``; it is step ``i + skipped[e]``, and
    acts from row ``i + skipped[e] + e`` of the observations.

    Attributes:
        first: how many transitions there are before each episode, and in all.
        skipped: how many steps before each episode are left out.
        all: whether no step is.
    """

    first: Int64[Array, " bounds"]
    skipped: Int64[Array, " episodes"]
    all: bool

    @staticmethod
    def of(offsets: Int64[Array, " bounds"], lost: Bool[Array, " episodes"]) -> Usable:
        """All steps but the last ones of the episodes that are ``lost``."""
        skipped = np.concatenate([[0], np.cumsum(lost)]).astype(np.int64)
        return Usable(offsets - skipped, skipped[:-1], not lost.any())

    def __len__(self) -> int:
        """How many transitions there are."""
        return int(self.first[-1])

    def steps(self, transitions: Int[Array, " chosen"]) -> Int64[Array, " chosen"]:
        """The steps of the transitions of these numbers."""
        steps: Array = transitions + self.skipped[self._episodes(transitions)]
        return steps

    def sources(self, transitions: Int[Array, " chosen"]) -> Int64[Array, " chosen"]:
        """The row of ``observations`` that each of them acts from; the row behind it holds what follows."""
        episodes = self._episodes(transitions)
        rows: Array = transitions + self.skipped[episodes] + episodes
        return rows

    def _episodes(self, transitions: Int[Array, " chosen"]) -> Int64[Array, " chosen"]:
        found: Array = np.searchsorted(self.first, transitions, side="right") - 1
        return found


def blocks(offsets: Int64[Array, " bounds"], size: int) -> Iterator[tuple[int, int]]:
    """Episodes [first, last) that follow each other, as many as have at most ``size`` steps, and at least one."""
    first, count = 0, len(offsets) - 1
    while first < count:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + size, side="right")) - 1)
        yield first, last
        first = last


def returns_of(rewards: Float[Array, " steps"], offsets: Int64[Array, " bounds"]) -> Float64[Array, " episodes"]:
    """The undiscounted sum of the rewards of each episode, in float64, of which no copy is made but of a block."""
    sums = np.zeros(len(offsets) - 1)
    for first, last in blocks(offsets, _BLOCK):
        start, stop = offsets[first], offsets[last]
        sums[first:last] = np.add.reduceat(rewards[start:stop].astype(np.float64), offsets[first:last] - start)
    return sums


_BLOCK = 2**20  # steps


def share(fraction: float, count: int) -> int:
    """floor(fraction * count) for the fraction as it is written: 0.29 of 100 is 29, although 0.29 * 100 < 29."""
    return int(round(fraction * count, 9))
