"""What tuning with so many episodes in the environment comes to: a bandit over trained policies.

Each policy of a pool, one for each run of a random search, is an arm, and its arms' rewards are returns that were
stored after training. In each of many repetitions some arms are drawn and UCB plays them; after every pull the arm
with the best mean so far would be handed in, and what counts is its true mean over all stored returns.

Source: Jackson et al. (2025), "A Clean Slate for Offline Reinforcement Learning" (Unifloral, arXiv 2504.11453). Two
things differ from its code: an arm that was never pulled is never handed in (there it has mean 0 and wins over arms
whose mean is negative), and ties between best arms are broken by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError

if TYPE_CHECKING:
    from jaxtyping import Float64

EXPLORATION = 2.0  # alpha of UCB
_RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class BudgetCurve:
    """Expected score of what is handed in, after 1 to ``pulls`` episodes.

    Attributes:
        mean: (pulls,) over repetitions.
        low, high: (pulls,) 95% interval of that mean over repetitions, percentile bootstrap.
        arms: how many policies were played in each repetition.
    """

    mean: Float64[Array, " pulls"]
    low: Float64[Array, " pulls"]
    high: Float64[Array, " pulls"]
    arms: int


def tuning_curve(
    policies: Sequence[npt.ArrayLike],
    *,
    subsample: int = 20,
    pulls: int = 200,
    repetitions: int = 1000,
    scale: float = 100.0,
    seed: int = 0,
) -> BudgetCurve:
    """The curve of a pool of policies.

    Args:
        policies: for each policy its scores (episodes,), all on the same scale; seeds of one configuration are policies
            of their own.
        subsample: arms drawn in each repetition, without replacement; all where the pool has no more.
        pulls: episodes that tuning may take.
        repetitions: how many times tuning is simulated.
        scale: what scores are divided by where UCB weighs them against its bonus of about 1; 100 for scores.
        seed: of all that is drawn. The same seed gives the same curve.

    Raises:
        OffbenchError: there is no policy, one without finite scores, or a count that is not positive.
    """
    arrays = [np.asarray(scores, dtype=np.float64) for scores in policies]
    if not arrays or any(a.ndim != 1 or not a.size or not np.isfinite(a).all() for a in arrays):
        raise OffbenchError("tuning needs at least one policy, each with finite scores of at least one episode")
    if min(subsample, pulls, repetitions) < 1 or not scale > 0:
        raise OffbenchError("subsample, pulls, repetitions and scale must be positive")
    generator = np.random.default_rng(seed)
    handed_in = _played(arrays, min(subsample, len(arrays)), pulls, repetitions, scale, generator)
    resamples = generator.multinomial(repetitions, np.full(repetitions, 1 / repetitions), size=_RESAMPLES)
    low, high = np.percentile(resamples @ handed_in / repetitions, [2.5, 97.5], axis=0)
    return BudgetCurve(handed_in.mean(axis=0), low, high, min(subsample, len(arrays)))


def _played(
    arrays: Sequence[Float64[Array, " _"]],
    arms: int,
    pulls: int,
    repetitions: int,
    scale: float,
    generator: np.random.Generator,
) -> Float64[Array, "repetitions pulls"]:
    """True mean of the arm that would be handed in after each pull, all repetitions side by side."""
    rows = np.arange(repetitions)
    pool = np.argsort(generator.random((repetitions, len(arrays))), axis=1)[:, :arms]
    sizes, means = np.array([a.size for a in arrays]), np.array([a.mean() for a in arrays])
    starts, flat = np.concatenate([[0], np.cumsum(sizes)[:-1]]), np.concatenate(arrays)
    counts, sums = np.zeros((repetitions, arms)), np.zeros((repetitions, arms))
    found = np.empty((repetitions, pulls))
    for pull in range(pulls):
        # The first pull has no bonus (log 1 = 0), so that chance alone chooses; then every arm is tried once.
        average = sums / np.maximum(counts, 1)
        bonus = np.sqrt(EXPLORATION * np.log(pull + 1) / (counts + 1e-9))
        chosen = _best(average / scale + bonus, generator)
        policy = pool[rows, chosen]
        sums[rows, chosen] += flat[starts[policy] + (generator.random(repetitions) * sizes[policy]).astype(int)]
        counts[rows, chosen] += 1
        best = _best(np.where(counts > 0, sums / np.maximum(counts, 1), -np.inf), generator)
        found[:, pull] = means[pool[rows, best]]
    return found


def _best(values: Float64[Array, "repetitions arms"], generator: np.random.Generator) -> Array:
    """(repetitions,) index of the greatest value, drawn where several are."""
    ties = values == values.max(axis=1, keepdims=True)
    return np.asarray(np.argmax(np.where(ties, generator.random(values.shape), -1.0), axis=1))
