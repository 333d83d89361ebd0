"""Tests of a difference between two methods, exact for the few seeds of this field, and their correction for many."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError

if TYPE_CHECKING:
    from jaxtyping import Float64

Test = Literal["sign-flip", "two-sample", "t"]

# Up to so many arrangements all are gone through; of more, so many are drawn with a fixed seed.
ARRANGEMENTS = 200_000


def sign_flip(differences: Sequence[Float64[Array, " _"]]) -> float:
    """Two-sided p of paired differences (pairs,), one array a task: how often flipped signs give as large a mean.

    If the two methods are alike, a pair's difference is as likely as its negative, for any distribution of the scores
    (Fisher, 1935). What is flipped is the mean over tasks of the mean over pairs.
    """
    # Each difference as it counts in the mean of means.
    parts = np.concatenate([values / values.size for values in differences]) / len(differences)
    pairs = parts.size
    if 2**pairs <= ARRANGEMENTS:
        signs = 1.0 - 2.0 * ((np.arange(2**pairs)[:, None] >> np.arange(pairs)) & 1)
        return _share(signs @ parts, float(parts.sum()), drawn=False)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(ARRANGEMENTS, pairs))
    return _share(signs @ parts, float(parts.sum()), drawn=True)


def two_sample(a: Float64[Array, " runs_a"], b: Float64[Array, " runs_b"]) -> float:
    """Two-sided p of a difference of means: how often runs dealt to the two anew differ as much (Pitman, 1937)."""
    pooled, observed = np.concatenate([a, b]), float(a.mean() - b.mean())
    total, dealt = float(pooled.sum()), a.size
    exact = math.comb(pooled.size, dealt) <= ARRANGEMENTS
    if exact:
        chosen = np.array(list(itertools.combinations(range(pooled.size), dealt)))
    else:
        order = np.tile(np.arange(pooled.size), (ARRANGEMENTS, 1))
        chosen = np.random.default_rng(0).permuted(order, axis=1)[:, :dealt]
    sums = pooled[chosen].sum(axis=1)
    return _share(sums / dealt - (total - sums) / b.size, observed, drawn=not exact)


def combined_t(
    samples: Sequence[Float64[Array, " _"]], weights: Sequence[float], level: float = 0.95
) -> tuple[tuple[float, float], float]:
    """Interval and two-sided p of a weighted sum of means, with the degrees of Welch (1947) and Satterthwaite (1946).

    Student's paired interval for one sample of differences, Welch's for two samples with weights 1 and -1, and that of
    a mean over tasks for equal weights. Each sample has two values at least.
    """
    from scipy.special import stdtr, stdtrit

    sizes = np.array([values.size for values in samples])
    if (sizes < 2).any():
        raise OffbenchError("an interval of a difference needs at least two runs on each side")
    parts = np.square(weights) * [values.var(ddof=1) for values in samples] / sizes
    centre = float(np.dot(weights, [values.mean() for values in samples]))
    variance = float(parts.sum())
    if variance == 0:
        return (centre, centre), 1.0 if centre == 0 else 0.0
    degrees = variance**2 / float((parts**2 / (sizes - 1)).sum())
    error = math.sqrt(variance)
    margin = float(stdtrit(degrees, 0.5 + level / 2)) * error
    return (centre - margin, centre + margin), float(2 * stdtr(degrees, -abs(centre) / error))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p, in the order given: those below 0.05 hold together with 95% confidence.

    They need no independence of the tests.
    """
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted


def least_p(test: Test, ours: int, theirs: int) -> float:
    """The smallest p that a test can give for so many runs (pairs, if it is paired), whatever their scores.

    For t it is 0, and 1 for one run alone, of which nothing can be tested.
    """
    if test == "t":
        return 0.0 if min(ours, theirs) > 1 else 1.0
    if test == "sign-flip":
        return max(2.0 ** (1 - ours), 1 / (ARRANGEMENTS + 1) if 2**ours > ARRANGEMENTS else 0.0)
    deals = math.comb(ours + theirs, ours)
    # With as many runs on either side each deal has its mirror, which differs as much.
    return max((1 + (ours == theirs)) / deals, 1 / (ARRANGEMENTS + 1) if deals > ARRANGEMENTS else 0.0)


def least_pairs(comparisons: int, level: float = 0.05) -> int:
    """Pairs from which on a sign-flip test can be significant among so many comparisons corrected by Holm."""
    return math.ceil(1 + math.log2(comparisons / level) - 1e-9)


def _share(arranged: Float64[Array, " _"], observed: float, *, drawn: bool) -> float:
    # Arrangements that differ from the observed one by rounding alone are as large.
    as_large = int((np.abs(arranged) >= abs(observed) * (1 - 1e-9) - 1e-12).sum())
    return (as_large + 1) / (arranged.size + 1) if drawn else as_large / arranged.size
