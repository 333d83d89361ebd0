"""Which methods of a dataset are not told apart from its best one."""

from __future__ import annotations

from collections.abc import Sequence

from offbench.evaluation.comparison import compare
from offbench.evaluation.record import RunRecord
from offbench.evaluation.significance import holm

LEVEL = 0.05
HOW = f"t test over seeds at {LEVEL:.0%}, paired where starts are shared, else Welch's; Holm for the dataset"


def tied(best: Sequence[RunRecord], others: Sequence[Sequence[RunRecord]], statistic: str = "last") -> list[bool]:
    """For each of the other methods whether its mean over seeds may be that of the best.

    Args:
        best: records of the best, one a seed.
        others: for each other method its records.
        statistic: which evaluation counts, ``last`` or ``best``.

    Returns:
        False where the difference is significant after Holm's correction for all others, and where one of the two has a
        single seed, which no test can use.

    Raises:
        OffbenchError: they were not scored on the same data and task.
    """
    tested = [i for i, records in enumerate(others) if min(len(best), len(records)) > 1]
    p = [compare(best, others[i], test="t", statistic=statistic).p for i in tested]
    adjusted = dict(zip(tested, holm(p), strict=True))
    return [adjusted.get(i, 0.0) > LEVEL for i in range(len(others))]
