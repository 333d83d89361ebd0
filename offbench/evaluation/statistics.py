"""Means with their uncertainty: over the seeds of one dataset, and over the runs of several.

The unit is a run. Episodes of one seed share a policy and are therefore averaged first; an interval over pooled
episodes would be far too narrow (Henderson et al., 2018; Agarwal et al., 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

Interval = tuple[float, float]

# Resampled scores held at a time, which bounds the memory of a bootstrap.
_BLOCK = 4_000_000


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


def interquartile_mean(scores: Float[Array, "*repetitions runs"]) -> Float[Array, "*repetitions"]:
    """Mean of the middle half of scores: floor(n / 4) values are left out at each end.

    Over the pooled runs of all datasets this is the IQM of Agarwal et al. (2021), "Deep Reinforcement Learning at the
    Edge of the Statistical Precipice".
    """
    cut = scores.shape[-1] // 4
    ordered = np.sort(scores, axis=-1)
    return np.asarray(ordered[..., cut : scores.shape[-1] - cut].mean(axis=-1))


def bootstrap_interval(
    scores: Sequence[npt.ArrayLike],
    statistic: Callable[[Float[Array, "repetitions runs"]], Float[Array, " repetitions"]] = interquartile_mean,
    *,
    generator: np.random.Generator,
    repetitions: int = 50_000,
    level: float = 0.95,
) -> Interval:
    """Stratified percentile bootstrap of a statistic over several datasets.

    In each repetition the runs of every dataset are drawn again, with replacement and separately for each dataset, and
    pooled. Equal to rliable's ``get_interval_estimates`` for the same draws; datasets may differ in their runs.

    Args:
        scores: for each dataset the scores (seeds,).
        statistic: of the pooled runs of all datasets, in each repetition.
        generator: where the draws come from.
        repetitions: how many times the runs are drawn.
        level: coverage.
    """
    strata = [_finite(values) for values in scores]
    if not strata:
        raise OffbenchError("a bootstrap needs the scores of at least one dataset")
    runs = sum(values.size for values in strata)
    block = max(1, _BLOCK // runs)
    estimates = []
    for start in range(0, repetitions, block):
        count = min(block, repetitions - start)
        drawn = [values[generator.integers(values.size, size=(count, values.size))] for values in strata]
        estimates.append(statistic(np.concatenate(drawn, axis=1)))
    tail = 50 * (1 - level)
    low, high = np.percentile(np.concatenate(estimates), [tail, 100 - tail])
    return float(low), float(high)


def _finite(scores: npt.ArrayLike) -> Float64[Array, " runs"]:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise OffbenchError(f"scores must be finite numbers of shape (seeds,), at least one; got {scores!r}")
    return values
