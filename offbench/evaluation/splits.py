"""Seeds that succeed or fail: scores that fall into two groups far apart, between which no mean is typical of a seed.

The rule looks at the largest gap between neighbouring scores: at least 40 points, and neither group wider than two
thirds of it. ``offbench study coverage`` measures how often it is wrong; docs/statistics.md has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from offbench.basis.shapes import Array

if TYPE_CHECKING:
    from jaxtyping import Float64

LEAST_GAP = 40.0  # points of a score on which 0 and 100 are the references
WIDEST_GROUP = 2 / 3  # of the gap


@dataclass(frozen=True)
class Split:
    """Two groups of seeds.

    Attributes:
        low, high: mean score of either group.
        lower, seeds: how many seeds the lower group has, and both together.
    """

    low: float
    high: float
    lower: int
    seeds: int


def is_split(scores: Float64[Array, "*sets seeds"]) -> Any:
    """Whether each set of scores (seeds,), two at least, falls into two groups: (sets...)."""
    ordered = np.sort(scores, axis=-1)
    gaps = np.diff(ordered, axis=-1)
    below = gaps.argmax(axis=-1)[..., None]
    gap = gaps.max(axis=-1)
    ends = (np.take_along_axis(ordered, below + shift, axis=-1)[..., 0] for shift in (0, 1))
    widest = np.maximum(next(ends) - ordered[..., 0], ordered[..., -1] - next(ends))
    return (gap >= LEAST_GAP) & (widest <= WIDEST_GROUP * gap)


def split(scores: Float64[Array, " seeds"]) -> Split | None:
    """The two groups that scores (seeds,) fall into; None where they do not, or for one seed."""
    if scores.size < 2 or not is_split(scores):
        return None
    ordered = np.sort(scores)
    lower = int(np.diff(ordered).argmax()) + 1
    return Split(float(ordered[:lower].mean()), float(ordered[lower:].mean()), lower, scores.size)
