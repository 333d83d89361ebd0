"""Intervals of the mean of a few seeds, for one set of scores (seeds,) or many at once (sets..., seeds).

Which of them covers what is measured by ``offbench study coverage`` and told in docs/statistics.md. Those of the first
group make of the scores' spread what the mean may be, and none of them knows of seeds that failed to be drawn; those
of the second group hold for any scores between two bounds that are known beforehand, at the price of their width.
Bootstraps draw with a fixed seed, so that the same scores have the same interval.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from offbench.basis.shapes import Array

if TYPE_CHECKING:
    from jaxtyping import Float64

# Lower and upper ends (sets...), one number each for one set of scores.
Ends = tuple[Any, Any]


def student(scores: Float64[Array, "*sets seeds"], level: float = 0.95) -> Ends:
    """Student t: mean -+ t(n - 1) std / sqrt(n), exact for normal scores; at least two seeds."""
    from scipy.special import stdtrit  # scipy.stats, which has it as t.ppf, takes a second to import

    seeds = scores.shape[-1]
    quantile = float(stdtrit(seeds - 1, 0.5 + level / 2))
    means, margin = scores.mean(axis=-1), quantile * scores.std(axis=-1, ddof=1) / math.sqrt(seeds)
    return means - margin, means + margin


def percentile(scores: Float64[Array, "*sets seeds"], level: float = 0.95, repetitions: int = 2_000) -> Ends:
    """Percentile bootstrap (Efron, 1979): the middle 95% of the means of seeds drawn with replacement."""
    means = scores @ _shares(scores.shape[-1], repetitions).T
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2], axis=-1)
    return low, high


def bca(scores: Float64[Array, "*sets seeds"], level: float = 0.95, repetitions: int = 2_000) -> Ends:
    """Bias-corrected and accelerated bootstrap (Efron, 1987), the acceleration from the jackknife.

    Where all scores are equal, both ends are that score.
    """
    from scipy.special import ndtr, ndtri

    means = np.sort(scores @ _shares(scores.shape[-1], repetitions).T, axis=-1)
    centre = scores.mean(axis=-1, keepdims=True)
    deviation = scores - centre
    # In units of the largest, of which cubes neither vanish nor overflow.
    largest = np.abs(deviation).max(axis=-1, keepdims=True)
    deviation = np.divide(deviation, largest, out=np.zeros_like(deviation), where=largest > 0)
    spread = (deviation**2).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        acceleration = np.where(spread > 0, (deviation**3).sum(axis=-1) / (6 * spread**1.5), 0.0)
    # Draws that equal the mean are counted half on each side; rounding must not decide on which.
    slack = 1e-9 * np.abs(scores).max(axis=-1, keepdims=True)
    below = ((means < centre - slack).mean(axis=-1) + (means <= centre + slack).mean(axis=-1)) / 2
    bias = ndtri(np.clip(below, 0.5 / repetitions, 1 - 0.5 / repetitions))
    ends = []
    for share in (0.5 - level / 2, 0.5 + level / 2):
        moved = bias + ndtri(share)
        place = ndtr(bias + moved / (1 - acceleration * moved))
        ends.append(_at(means, place))
    return ends[0], ends[1]


def bootstrap_t(scores: Float64[Array, "*sets seeds"], level: float = 0.95, repetitions: int = 2_000) -> Ends:
    """Studentised bootstrap (Efron, 1981): t quantiles from draws in place of a table.

    An end is infinite where draws of one and the same seed, which have no standard error, are frequent enough to lie
    beyond it: always with 3 seeds.
    """
    seeds = scores.shape[-1]
    weights = _shares(seeds, repetitions)
    means = scores @ weights.T
    squares = scores**2 @ weights.T
    centre = scores.mean(axis=-1, keepdims=True)
    variance = np.clip(squares - means**2, 0.0, None)
    distance = means - centre
    # What is left of rounding where all drawn scores are equal is no spread, and where all scores are, no distance.
    largest = np.abs(scores).max(axis=-1, keepdims=True)
    variance[variance < 1e-12 * largest**2] = 0.0
    distance[np.abs(distance) < 1e-9 * largest] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.nan_to_num(distance / np.sqrt(variance / (seeds - 1)), nan=0.0, posinf=np.inf, neginf=-np.inf)
    t = np.sort(t, axis=-1)
    error = scores.std(axis=-1, ddof=1) / math.sqrt(seeds)
    low, high = (np.take(t, round(place * (repetitions - 1)), axis=-1) for place in (0.5 - level / 2, 0.5 + level / 2))
    with np.errstate(invalid="ignore"):
        margins = [np.where(error > 0, quantile * error, 0.0) for quantile in (high, low)]
    return centre[..., 0] - margins[0], centre[..., 0] - margins[1]


def hoeffding(
    scores: Float64[Array, "*sets seeds"], level: float = 0.95, low: float = 0.0, high: float = 100.0
) -> Ends:
    """Hoeffding (1963), for scores between ``low`` and ``high``: their spread is not looked at."""
    margin = (high - low) * math.sqrt(math.log(2 / (1 - level)) / (2 * scores.shape[-1]))
    means = scores.mean(axis=-1)
    return np.clip(means - margin, low, high), np.clip(means + margin, low, high)


def anderson(scores: Float64[Array, "*sets seeds"], level: float = 0.95, low: float = 0.0, high: float = 100.0) -> Ends:
    """Anderson (1969), for scores between ``low`` and ``high``: means of the distributions in a band of Kolmogorov's.

    The band is exact on each side (Birnbaum and Tingey, 1951) and holds for any distribution, seeds that succeed or
    fail included.
    """
    from scipy import stats

    seeds = scores.shape[-1]
    reach = float(stats.ksone.ppf(0.5 + level / 2, seeds))
    ordered = np.sort(scores, axis=-1)
    # A share ``reach`` of the largest scores might have been ``low``, or of the least ones ``high``.
    kept = np.clip((1 - reach) * seeds - np.arange(seeds), 0.0, 1.0) / seeds
    return reach * low + ordered @ kept, reach * high + ordered @ kept[::-1]


def _shares(seeds: int, repetitions: int) -> Float64[Array, "repetitions {seeds}"]:
    """For each repetition the share of draws that each seed has."""
    generator = np.random.default_rng([seeds, repetitions])
    return generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=repetitions) / seeds


def _at(ordered: Float64[Array, "*sets repetitions"], places: Any) -> Any:
    """The quantile of each set at its own place between 0 and 1, interpolated as np.quantile does."""
    position = np.asarray(places)[..., None] * (ordered.shape[-1] - 1)
    below = np.floor(position).astype(np.int64)
    above = np.minimum(below + 1, ordered.shape[-1] - 1)
    first, second = (np.take_along_axis(ordered, index, axis=-1) for index in (below, above))
    return (first + (position - below) * (second - first))[..., 0]
