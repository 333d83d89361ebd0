"""How well predicted values agree with true ones: error, rank correlation, regret of what they would choose.

Source: Fu et al. 2021, Benchmarks for Deep Off-Policy Evaluation (arXiv 2103.16596), and its code: values are
normalised by the worst and the best true value of the policies compared, predictions are cut off at 2 then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError
from offbench.nn.random import stream

HIGHEST = 2.0  # of a normalised prediction


class Agreement(NamedTuple):
    """Of predictions with the truth, over the policies.

    Attributes:
        error: mean absolute error of normalised values.
        spearman: rank correlation, ties by average ranks; 0 where it is not defined.
        regret: of the best of the k highest predictions, by k, in normalised values: 0 is the best policy, 1 the worst.
        defined: whether the predictions differ, so that there is a rank correlation.
    """

    error: float
    spearman: float
    regret: dict[int, float]
    defined: bool


def agreement(
    truth: Float[Array, " policies"], predicted: Float[Array, " policies"], top: Sequence[int] = (1,)
) -> Agreement:
    """How well ``predicted`` agrees with ``truth``; where predictions tie, the first of them counts as the highest.

    Raises:
        OffbenchError: fewer than two policies, true values that do not differ, or numbers that are not finite.
    """
    from scipy.stats import rankdata

    truth, predicted = np.asarray(truth, float), np.asarray(predicted, float)
    if len(truth) < 2 or truth.shape != predicted.shape or np.ptp(truth) == 0:
        raise OffbenchError("agreement takes a prediction for each of two or more policies whose true values differ")
    if not (np.isfinite(truth).all() and np.isfinite(predicted).all()):
        raise OffbenchError("true and predicted values must be finite numbers")
    true = (truth - truth.min()) / np.ptp(truth)
    guess = np.minimum((predicted - truth.min()) / np.ptp(truth), HIGHEST)
    order = np.argsort(-predicted, kind="stable")
    defined = np.ptp(predicted) > 0
    rank = float(np.corrcoef(rankdata(truth), rankdata(predicted))[0, 1]) if defined else 0.0
    return Agreement(
        float(np.abs(guess - true).mean()),
        rank,
        {k: float(1 - true[order[:k]].max()) for k in top},
        bool(defined),
    )


def interval(
    truth: Float[Array, " policies"],
    predicted: Float[Array, " policies"],
    top: Sequence[int] = (1,),
    *,
    seed: int = 0,
    repetitions: int = 1000,
    level: float = 0.95,
) -> tuple[Agreement, Agreement]:
    """The interval of each number of `agreement` by resampling policies (percentile bootstrap): lower and upper ends.

    Resamples whose true values are all equal say nothing and are left out.
    """
    truth, predicted = np.asarray(truth, float), np.asarray(predicted, float)
    generator = stream(seed, "selection/bootstrap")
    drawn = [generator.integers(len(truth), size=len(truth)) for _ in range(repetitions)]
    found = [agreement(truth[rows], predicted[rows], top) for rows in drawn if np.ptp(truth[rows]) > 0]
    ends = ((1 - level) / 2, (1 + level) / 2)
    errors, ranks = (np.quantile([one[field] for one in found], ends) for field in (0, 1))
    regrets = {k: np.quantile([one.regret[k] for one in found], ends) for k in top}
    low, high = (
        Agreement(float(errors[end]), float(ranks[end]), {k: float(r[end]) for k, r in regrets.items()}, True)
        for end in (0, 1)
    )
    return low, high
