"""How far observations move from one row to the next, which tells a reset from a step where no flag does."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbench.basis.shapes import Array

# In slices of ten files of D4RL, four of NeoRL-2 and four regenerated ones of OGBench no step in an episode moved
# farther than 1.1 but for the buttons of a puzzle, few of many components; most resets move farther than 3, and in
# more than a tenth of the components beyond the usual.
_STEP, _JUMP, _SHARE = 1.0, 3.0, 0.1
# Steps of which at most so many are twice as far as all others are no steps.
_APART, _FEW = 2.0, 0.02
_LEAST_ROWS = 20
_BLOCK = 2**16  # rows looked at together, so that mapped files need not fit into memory
_SAMPLE = 200_000  # rows by which the usual move of a component is estimated
# Where more than so many of some pairs of rows drawn at random would pass for steps, moves tell nothing.
_PAIRS, _ALIKE = 1000, 0.2


class Motion(NamedTuple):
    """Of each row to the next, both (rows - 1,) float64; NaN where nothing can be said.

    Attributes:
        far: root mean square over the moving components, each in units of the 99th percentile of its moves in steps.
        share: of the moving components, those that move farther than that percentile.
        farthest: how far steps move at most, a few that stand apart from all others left out.
    """

    far: Array
    share: Array
    farthest: float

    @property
    def steps(self) -> Array:
        """(rows - 1,) bool, what moves no farther than steps do."""
        found: Array = self.far <= _STEP
        return found

    @property
    def jumps(self) -> Array:
        """(rows - 1,) bool, what moves farther than any step would, as a collision with a wall is one too."""
        found: Array = (self.far > max(_JUMP, _APART * self.farthest)) & (self.share > _SHARE)
        return found


def motion(observations: Array, inside: NDArray[np.bool_]) -> Motion:
    """How far each row is from the next.

    Nothing can be said of fewer than twenty steps, where no component moves in more than one of a hundred of them, nor
    where rows drawn at random are as near as neighbours (noise, one-hot cells).

    Args:
        observations: (rows, ...).
        inside: (rows - 1,), True where a row and the next are known to be a step apart.
    """
    count = max(0, len(observations) - 1)
    far, share = np.full(count, np.nan), np.full(count, np.nan)
    unknown = Motion(far, share, np.nan)
    steps = np.flatnonzero(inside)
    if len(steps) < _LEAST_ROWS or observations.dtype.kind not in "fiu":
        return unknown
    flat = observations.reshape(len(observations), -1)
    some = steps[:: max(1, len(steps) // _SAMPLE)]
    usual = np.quantile(np.abs(_moves(flat, some)), 0.99, axis=0)
    moving = np.flatnonzero(usual > 0)
    if len(moving) == 0:
        return unknown
    drawn = np.random.default_rng(0).integers(len(flat), size=(2, _PAIRS))
    pairs = np.abs(_moves(flat, *drawn)[:, moving]) / usual[moving]
    if (np.sqrt(np.square(pairs).mean(axis=1)) <= _STEP).mean() > _ALIKE:
        return unknown
    for first in range(0, count, _BLOCK):
        rows = np.arange(first, min(first + _BLOCK, count))
        relative = np.abs(_moves(flat, rows)[:, moving]) / usual[moving]
        far[rows], share[rows] = np.sqrt(np.square(relative).mean(axis=1)), (relative > 1).mean(axis=1)
    return Motion(far, share, _farthest(far[steps][share[steps] > _SHARE], len(steps)))


def _farthest(far: Array, steps: int) -> float:
    """The largest of distances, without the few that are so much larger than all others that they are no steps.

    Args:
        far: those of steps that move in more than one component.
        steps: how many steps there are in all.
    """
    sizes = np.append(np.sort(far)[::-1], 0.0)
    most = min(len(sizes) - 1, int(_FEW * steps) + 1)
    apart = np.flatnonzero(sizes[:most] > _APART * sizes[1 : most + 1])
    return float(sizes[apart[-1] + 1 if len(apart) else 0])


def _moves(flat: Array, rows: Array, others: Array | None = None) -> Array:
    """From rows to others, by default those behind them."""
    before, after = (flat[where].astype(np.float64) for where in (rows, rows + 1 if others is None else others))
    moves: Array = after - before
    return moves
