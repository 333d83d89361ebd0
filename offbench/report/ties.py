"""Which methods a row of a table does not tell apart from its best one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

LEVEL = 0.05
HOW = f"Welch's t over seeds at {LEVEL:.0%}, Holm for the dataset"


def tied(best: npt.ArrayLike, others: Sequence[npt.ArrayLike]) -> list[bool]:
    """For each of the others whether its mean over seeds may be that of the best.

    Args:
        best: (seeds,) the scores of the best.
        others: for each other method its scores (seeds,).

    Returns:
        False where the difference is significant after Holm's correction for all others, and where one of the two has a
        single seed, which no test can use.
    """
    tested = [i for i, values in enumerate(others) if min(np.size(best), np.size(values)) > 1]
    adjusted = dict(zip(tested, _holm([_welch(np.asarray(best), np.asarray(others[i])) for i in tested]), strict=True))
    return [i in adjusted and adjusted[i] > LEVEL for i in range(len(others))]


def _welch(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Two-sided p of a difference of means; 1 for equal constants, 0 for others."""
    from scipy import stats

    if np.ptp(a) == 0 and np.ptp(b) == 0:
        return float(a[0] == b[0])
    return float(stats.ttest_ind(a, b, equal_var=False).pvalue)


def _holm(p: Sequence[float]) -> list[float]:
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = largest
    return adjusted
