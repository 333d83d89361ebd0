"""Means over the seeds of one dataset, with their uncertainty; `offbench.evaluation.aggregates` has those over several.

The unit is a run. Episodes of one seed share a policy and are therefore averaged first; an interval over pooled
episodes would be far too narrow (Henderson et al., 2018; Agarwal et al., 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError
from offbench.evaluation.intervals import student
from offbench.evaluation.proportions import clopper_pearson
from offbench.evaluation.splits import split

if TYPE_CHECKING:
    from jaxtyping import Float64

Interval = tuple[float, float]

METHOD = "Student t over seeds"


@dataclass(frozen=True)
class Summary:
    """Scores of one algorithm on one dataset over its seeds.

    Attributes:
        mean: mean over seeds of the seeds' mean scores.
        std: sample standard deviation over seeds (divided by n - 1); None for one seed.
        population_std: the same divided by n, as CORL and most published tables have it; for comparison with them only.
        interval: 95% interval of the mean; None for one seed.
        seeds: how many.
        method: name of the interval, as captions have it.
        caution: one sentence where neither mean nor interval can be taken as they stand; to be told with them.
    """

    mean: float
    std: float | None
    population_std: float
    interval: Interval | None
    seeds: int
    method: str = METHOD
    caution: str | None = None


def summarize(scores: npt.ArrayLike) -> Summary:
    """Mean, spread and interval of the scores (seeds,), one mean score for each seed on the scale of 0 to 100."""
    values = _finite(scores)
    several = values.size > 1
    return Summary(
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if several else None,
        population_std=float(values.std()),
        interval=student_interval(values),
        seeds=values.size,
        caution=caution(values),
    )


def student_interval(scores: npt.ArrayLike, level: float = 0.95) -> Interval | None:
    """Student t interval of the mean of scores (seeds,): mean -+ t(n - 1) std / sqrt(n); None for one seed.

    It is exact for normal scores. docs/statistics.md has the simulation that it was chosen by, and what it shows of
    skewed seeds and of seeds that fail at times.
    """
    values = _finite(scores)
    if values.size < 2:
        return None
    low, high = student(values, level)
    return float(low), float(high)


def caution(scores: npt.ArrayLike) -> str | None:
    """What to say of scores (seeds,) that fall into two groups far apart; None where they do not.

    The share of seeds that may fail is Clopper and Pearson's interval of 95%, seeds being the trials.
    """
    found = split(_finite(scores))
    if found is None:
        return None
    least, most = clopper_pearson(found.lower, found.seeds)
    return (
        f"seeds succeed or fail, {found.lower} of {found.seeds} near {found.low:.0f} and "
        f"{found.seeds - found.lower} near {found.high:.0f}: the mean is typical of none; of all seeds {least:.0%} to "
        f"{most:.0%} may fail"
    )


def _finite(scores: npt.ArrayLike) -> Float64[Array, " runs"]:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise OffbenchError(f"scores must be finite numbers of shape (seeds,), at least one; got {scores!r}")
    return values
