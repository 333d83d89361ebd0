"""The row order of D4RL's transition arrays, into which published preference labels point."""

from __future__ import annotations

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories


def qlearning_rows(trajectories: Trajectories) -> Array:
    """(rows,) int64, the step that each row of D4RL's ``qlearning_dataset`` comes from.

    That function (https://github.com/Farama-Foundation/D4RL, d4rl/__init__.py, with ``terminate_on_end=False``) takes
    the rows of the file in order, leaves out those with a time-out, and never reaches the last one. A step that is both
    terminal and timed out in the file, which D4RL leaves out too, counts as a termination here and is kept.
    """
    steps = np.arange(max(0, trajectories.steps - 1), dtype=np.int64)
    rows: Array = steps[~trajectories.truncations[: len(steps)]]
    return rows
