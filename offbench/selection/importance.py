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
        trajectory: importance sampling of whole episodes; infinite or NaN where their weights are beyond any number.
        weighted_trajectory: the same, divided by the sum of the weights.
        per_decision: each reward weighted by the ratios up to it; likewise.
        weighted_per_decision: the same, divided by the sum of the weights of each step.
        effective: (E w)^2 / E w^2 of whole episodes, the share of the episodes that the estimate rests on.
    """

    trajectory: float
    weighted_trajectory: float
    per_decision: float
    weighted_per_decision: float
    effective: float


def shares(log_ratios: Float[Array, "episodes steps"]) -> Float[Array, "episodes steps"]:
    """Products of the ratios up to each step, over their sum at that step.

    The highest is taken out first: products of a thousand ratios are beyond what a number holds.
    """
    logs = np.cumsum(log_ratios, axis=1)
    relative = np.exp(logs - logs.max(0))
    found: Float[Array, "episodes steps"] = relative / relative.sum(0)
    return found


def estimates(
    log_ratios: Float[Array, "episodes steps"], rewards: Float[Array, "episodes steps"], discount: float
) -> Estimates:
    """The value of a policy by four ways of weighting.

    Args:
        log_ratios: log pi(a|s) - log mu(a|s) of each step, 0 after the end of an episode.
        rewards: 0 after the end of an episode.
        discount: gamma.
    """
    powers = discount ** np.arange(rewards.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        w = np.exp(np.cumsum(log_ratios, axis=1))
        trajectory = float((w[:, -1] * (rewards @ powers)).mean())
        per_decision = float((w * rewards * powers).sum(1).mean())
    share = shares(log_ratios)
    return Estimates(
        trajectory,
        float(share[:, -1] @ (rewards @ powers)),
        per_decision,
        float((share * rewards * powers).sum()),
        float(1 / (len(share) * (share[:, -1] ** 2).sum())),
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
    powers = discount ** np.arange(rewards.shape[1])
    w = len(rewards) * shares(log_ratios) if weighted else np.exp(np.cumsum(log_ratios, axis=1))
    errors = rewards + discount * v[:, 1:] - q
    return float((v[:, 0] + (w * errors * powers).sum(1)).mean())
