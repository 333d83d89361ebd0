"""The spaces of Gymnasium that columns of data belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from offbench.basis.shapes import Array

if TYPE_CHECKING:
    from gymnasium import Space


def space_of(column: Array, bounds: tuple[Array, Array] | None = None) -> Space[Any]:
    """The space whose samples look like the rows of a column.

    One whole number a row is a Discrete space from the lowest to the highest. Anything else is a Box within
    ``bounds``, or without any where none are given.

    Args:
        column: (rows, ...).
        bounds: (low, high) of a row, where they are declared.
    """
    from gymnasium.spaces import Box, Discrete

    dtype: Any = column.dtype.newbyteorder("=").type
    whole = column.dtype.kind in "iu"
    if whole and column[0:1].size == 1 and len(column):
        low, high = (int(b.item()) for b in bounds) if bounds else (int(column.min()), int(column.max()))
        return Discrete(high - low + 1, start=low)
    if bounds is not None:
        lowest, highest = (np.asarray(bound, column.dtype) for bound in bounds)
        return Box(lowest, highest, dtype=dtype)
    limits = np.iinfo(column.dtype) if whole else None
    least, most = (limits.min, limits.max) if limits else (0, 1) if column.dtype.kind == "b" else (-np.inf, np.inf)
    return Box(least, most, shape=column.shape[1:], dtype=dtype)
