"""Shares of successes, with intervals that hold for outcomes of 0 and 1.

``wilson`` and ``clopper_pearson`` are for independent trials. The episodes of a seed are no such: they share a policy.
``clustered`` lets them count for as much as they say about other seeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError
from offbench.evaluation.intervals import Ends

if TYPE_CHECKING:
    from jaxtyping import Float64


def wilson(successes: npt.ArrayLike, trials: npt.ArrayLike, level: float = 0.95) -> Ends:
    """Wilson's score interval (1927) of the chance of a success, for independent trials, each (sets...)."""
    from scipy.special import ndtri

    count, number = _checked(successes, trials)
    z2 = float(ndtri(0.5 + level / 2)) ** 2
    centre = (count + z2 / 2) / (number + z2)
    margin = np.sqrt(z2 * (count * (number - count) / number + z2 / 4)) / (number + z2)
    return np.clip(centre - margin, 0.0, 1.0), np.clip(centre + margin, 0.0, 1.0)


def clopper_pearson(successes: npt.ArrayLike, trials: npt.ArrayLike, level: float = 0.95) -> Ends:
    """Clopper and Pearson's exact interval (1934), for independent trials, each (sets...); fractions are allowed."""
    from scipy.special import betaincinv

    count, number = _checked(successes, trials)
    tail = (1 - level) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(count > 0, betaincinv(count, number - count + 1, tail), 0.0)
        high = np.where(count < number, betaincinv(count + 1, number - count, 1 - tail), 1.0)
    return low[()], high[()]


def clustered(
    successes: Float64[Array, "*sets seeds"], trials: Float64[Array, "*sets seeds"], level: float = 0.95
) -> Ends:
    """Korn and Graubard's interval (1998) of the share of successes, seeds being the clusters of their episodes.

    Clopper and Pearson's for as many independent episodes as give the variance that is seen between seeds, fewer
    still because it is estimated from few of them (the ratio of t quantiles), and never more than there are.

    Args:
        successes: successful episodes of each seed.
        trials: episodes of each seed, at least two seeds.
        level: coverage.
    """
    from scipy.special import stdtrit

    count, number = _checked(successes, trials)
    seeds = count.shape[-1]
    if seeds < 2:
        raise OffbenchError("an interval over seeds needs at least two of them; there is one")
    total = number.sum(axis=-1)
    share = count.sum(axis=-1) / total
    deviation = (count - share[..., None] * number) / total[..., None]
    variance = seeds / (seeds - 1) * (deviation**2).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = np.where(variance > 0, share * (1 - share) / variance, np.inf)
    quantile = 0.5 + level / 2
    ratio = stdtrit(np.maximum(total - 1, 1), quantile) / stdtrit(seeds - 1, quantile)
    counted = np.minimum(np.minimum(effective, total) * ratio**2, total)
    return clopper_pearson(share * counted, counted, level)


def _checked(successes: npt.ArrayLike, trials: npt.ArrayLike) -> tuple[Any, Any]:
    count, number = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    if not ((number > 0) & (count >= 0) & (count <= number)).all():
        raise OffbenchError(f"successes lie between 0 and the trials, of which there is one; got {count} of {number}")
    return count, number
