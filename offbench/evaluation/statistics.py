"""Means over the seeds of one dataset, with their uncertainty; `offbench.evaluation.aggregates` has those over several.

The unit is a run. Episodes of one seed share a policy and are therefore averaged first; an interval over pooled
episodes would be far too narrow (Henderson et al., 2018; Agarwal et al., 2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError

if TYPE_CHECKING:
    from jaxtyping import Float64

Interval = tuple[float, float]


@dataclass(frozen=True)
class Summary:
    """Scores of one algorithm on one dataset over its seeds.

    Attributes:
        mean: mean over seeds of the seeds' mean scores.
        std: sample standard deviation over seeds (divided by n - 1); None for one seed.
        population_std: the same divided by n, as CORL and most published tables have it; for comparison with them only.
        interval: 95% interval of the mean, Student t; None for one seed.
        seeds: how many.
    """

    mean: float
    std: float | None
    population_std: float
    interval: Interval | None
    seeds: int


def summarize(scores: npt.ArrayLike) -> Summary:
    """Mean, spread and interval of the scores (seeds,), one mean score for each seed."""
    values = _finite(scores)
    several = values.size > 1
    return Summary(
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if several else None,
        population_std=float(values.std()),
        interval=student_interval(values),
        seeds=values.size,
    )


def student_interval(scores: npt.ArrayLike, level: float = 0.95) -> Interval | None:
    """Student t interval of the mean of scores (seeds,): mean -+ t(n - 1) std / sqrt(n); None for one seed.

    It is exact for normal scores. For the five or so seeds of this field it is wider, and more honest, than a
    percentile bootstrap, which covers less than it claims with so few values.
    """
    from scipy import stats

    values = _finite(scores)
    if values.size < 2:
        return None
    quantile = float(stats.t.ppf(0.5 + level / 2, df=values.size - 1))
    margin = quantile * float(values.std(ddof=1)) / math.sqrt(values.size)
    mean = float(values.mean())
    return mean - margin, mean + margin


def _finite(scores: npt.ArrayLike) -> Float64[Array, " runs"]:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise OffbenchError(f"scores must be finite numbers of shape (seeds,), at least one; got {scores!r}")
    return values
