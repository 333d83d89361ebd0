"""Importance sampling: returns of the data, weighted by how much likelier the policy makes their actions.

Arrays are padded to the longest episode: rewards with 0, ratios with 1, so that an episode keeps its weight after its
end. Sources: Precup et al. 2000; Jiang and Li 2016 (arXiv 1511.03722); Thomas and Brunskill 2016 (arXiv 1604.00923).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from offbench.basis.shapes import Array

CLIP = (-6.0, 2.0)  # of the log ratio of one step, as in policy_eval


class Estimates(NamedTuple):
    """Values of a policy, discounted.

    Attributes:
        trajectory: importance sampling of whole episodes.
        weighted_trajectory: the same, divided by the sum of the weights.
        per_decision: each reward weighted by the ratios up to it.
        weighted_per_decision: the same, divided by the sum of the weights of each step.
        effective: (E w)^2 / E w^2 of whole episodes, the share of the episodes that the estimate rests on.
    """

    trajectory: float
    weighted_trajectory: float
    per_decision: float
    weighted_per_decision: float
    effective: float


def weights(log_ratios: Float[Array, "episodes steps"]) -> Float[Array, "episodes steps"]:
    """Products of the ratios up to each step."""
    cumulated: Float[Array, "episodes steps"] = np.exp(np.cumsum(log_ratios, axis=1))
    return cumulated


def estimates(
    log_ratios: Float[Array, "episodes steps"], rewards: Float[Array, "episodes steps"], discount: float
) -> Estimates:
    """The value of a policy by four ways of weighting.

    Args:
        log_ratios: log pi(a|s) - log mu(a|s) of each step, 0 after the end of an episode.
        rewards: 0 after the end of an episode.
        discount: gamma.
    """
    w, powers = weights(log_ratios), discount ** np.arange(rewards.shape[1])
    whole, discounted = w[:, -1], rewards @ powers
    return Estimates(
        float((whole * discounted).mean()),
        float((whole * discounted).sum() / whole.sum()),
        float((w * rewards * powers).sum(1).mean()),
        float(((w * rewards).sum(0) / w.sum(0) * powers).sum()),
        float(whole.mean() ** 2 / (whole**2).mean()),
    )


def doubly_robust(
    log_ratios: Float[Array, "episodes steps"],
    rewards: Float[Array, "episodes steps"],
    q: Float[Array, "episodes steps"],
    v: Float[Array, "episodes steps+1"],
    discount: float,
    weighted: bool = True,
) -> float:
    """V(s_0) plus what importance sampling says of the errors of Q: mean of V_0 + sum_t gamma^t w_t delta_t.

    Args:
        log_ratios, rewards, discount: see `estimates`.
        q: Q(s_t, a_t), 0 after the end.
        v: V(s_t), 0 at the state that terminated an episode and after it.
        weighted: divide the weights of each step by their mean.
    """
    w, powers = weights(log_ratios), discount ** np.arange(rewards.shape[1])
    if weighted:
        w = w / w.mean(0)
    errors = rewards + discount * v[:, 1:] - q
    return float((v[:, 0] + (w * errors * powers).sum(1)).mean())
