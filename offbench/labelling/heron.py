"""HERON, Bukharin et al. 2023 (arXiv 2308.16772): labels by a few quantities in order of importance.

Two segments are compared factor by factor, higher being better. The first factor whose difference exceeds its margin
decides; where none does, the teacher is unsure. Margins are c times the standard deviation of a factor over random
segments of the data.

Margins make the order intransitive, which is meant. By margins (0.5, 1), of A = (3.0, 0), B = (2.6, 2) and C = (2.2, 4)
B beats A and C beats B by the second factor, and A beats C by the first. What is learned from such labels is a
compromise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.segments import draw
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, OffbenchError
from offbench.labelling.asking import piece
from offbench.nn.random import stream

if TYPE_CHECKING:
    from jaxtyping import Float

# What a segment is worth by one factor, or by all of them in order.
Factor = Callable[[Trajectories], float]


@dataclass(frozen=True)
class Heron:
    """A teacher for `offbench.labelling.asking.ask` that compares segments by factors.

    Attributes:
        factors: of a segment, the most important one first; more is better.
        margins: the difference of each that must be exceeded to decide.

    Raises:
        OffbenchError: no factors, or not one margin of at least 0 for each.
    """

    factors: tuple[Factor, ...]
    margins: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.factors or len(self.factors) != len(self.margins) or not min(self.margins) >= 0:
            raise OffbenchError(
                f"{len(self.factors)} factors with margins {self.margins} make no order; one margin of at least 0 for "
                "each factor would be right"
            )

    def __call__(self, first: Trajectories, second: Trajectories) -> float | None:
        """1 where the second is better, 0 where the first is, None where no factor decides."""
        return decided([[factor(each) for factor in self.factors] for each in (first, second)], self.margins)

    @property
    def identity(self) -> str:
        """The names of the factors and the margins."""
        return f"HERON {self}"

    def __str__(self) -> str:
        names = [getattr(each, "__name__", repr(each)) for each in self.factors]
        return ", then ".join(f"{name} by {margin:.4g}" for name, margin in zip(names, self.margins, strict=True))


def decided(values: Sequence[Sequence[float]], margins: Sequence[float]) -> float | None:
    """The label for two rows of factors: that of the first factor that differs by more than its margin."""
    for one, two, margin in zip(*values, margins, strict=True):
        if abs(two - one) > margin:
            return float(two > one)
    return None


def heron(
    trajectories: Trajectories,
    factors: Sequence[Factor],
    margin: float = 0.5,
    length: int = 50,
    segments: int = 1000,
    seed: int = 0,
) -> Heron:
    """The teacher whose margins are ``margin`` standard deviations of each factor over random segments.

    Args:
        trajectories: the data that will be labelled.
        factors: see `Heron`.
        margin: c. The authors' mountain car has none for the first factor: set it with ``dataclasses.replace``.
        length: steps of a segment, as they will be asked.
        segments: how many are drawn.
        seed: of the draw.

    Raises:
        DataError: no episode of that length, or a factor that is not finite or the same everywhere.
        OffbenchError: no factors, or a margin below 0.
    """
    starts = draw(trajectories, length, segments, stream(seed, "heron/segments"))
    found = values_of([piece(trajectories, int(start), length) for start in starts], factors)
    spreads = found.std(0)
    for factor, spread in zip(factors, spreads, strict=True):
        if not (np.isfinite(spread) and spread > 0):
            name = getattr(factor, "__name__", repr(factor))
            what = "the same for all segments" if spread == 0 else "not finite for all segments"
            raise DataError(f"the factor {name} is {what} of {trajectories.name}, so that it orders none")
    return Heron(tuple(factors), tuple(float(margin * spread) for spread in spreads))


def values_of(segments: Sequence[Trajectories], factors: Sequence[Factor]) -> Float[Array, "segments factors"]:
    """All factors of all segments."""
    return np.array([[factor(each) for factor in factors] for each in segments], np.float64)


# -------------------------------------------------------------------- Pendulum


def upright(segment: Trajectories) -> float:
    """Minus the mean angle from upright, in radians, of the pendulum's states after each action."""
    after = segment.observations[1:]
    return -float(np.abs(np.arctan2(after[:, 1], after[:, 0])).mean())


def slow(segment: Trajectories) -> float:
    """Minus the mean speed of the pendulum, in radians a second, after each action."""
    return -float(np.abs(segment.observations[1:, 2]).mean())


def gentle(segment: Trajectories) -> float:
    """Minus the mean size of the actions."""
    if segment.actions is None:
        raise DataError(f"{segment.name} has no actions, by whose size it could be told how gentle they are")
    return -float(np.abs(segment.actions).mean())


PENDULUM: tuple[Factor, ...] = (upright, slow, gentle)
"""Factors of the swing-up task, the most important one first."""
