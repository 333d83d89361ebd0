"""What the data themselves scored, for datasets that are at hand without a download."""

from __future__ import annotations

from dataclasses import dataclass

from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord

# A built-in dataset of at most so many steps is generated in seconds, and so is always at hand.
QUICK = 200_000


@dataclass(frozen=True)
class DataScores:
    """Scores of a dataset's own episodes in the task of a run.

    Attributes:
        mean: over episodes.
        best: of the best episode.
    """

    mean: float
    best: float


def data_scores(record: RunRecord) -> DataScores | None:
    """Those of the data that a run was trained on; None where they are not at hand, or have no rewards or task.

    Data are at hand where they are cached already, or are built in and generated in seconds, and only if they are the
    very data of the record, by their digest.
    """
    import numpy as np

    from offbench.catalog import store
    from offbench.catalog.cards import card
    from offbench.catalog.loading import load

    try:
        known = card(record.dataset)
        quick = known.recipe is not None and known.steps is not None and known.steps <= QUICK
        if record.task is None or not (quick or store.is_cached(known)):
            return None
        data = load(record.dataset)
    except OffbenchError:  # a file, a split, or something that this version does not know
        return None
    if data.rewards is None or not len(data) or data.digest != record.dataset_digest:
        return None
    low, high = record.task.low, record.task.high
    scores = 100 * (np.asarray(data.returns, dtype=np.float64) - low) / (high - low)
    return DataScores(float(scores.mean()), float(scores.max()))
