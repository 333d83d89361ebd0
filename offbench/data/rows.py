"""Arithmetic of rows: which rows of the columns belong to which episodes and steps."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from offbench.basis.shapes import Array

if TYPE_CHECKING:
    from jaxtyping import Int, Int64

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


def share(fraction: float, count: int) -> int:
    """floor(fraction * count) for the fraction as it is written: 0.29 of 100 is 29, although 0.29 * 100 < 29."""
    return int(round(fraction * count, 9))
