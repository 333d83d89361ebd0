"""D4RL's returns of its nine policies of locomotion, and its measures of how well somebody estimates them.

Numbers and definitions are those of https://github.com/Farama-Foundation/D4RL, ``d4rl/ope.py``; a policy is called
``hopper-medium``. Scores are those of version 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offbench.d4rl.registry import score
from offbench.errors import OffbenchError, UnknownNameError

UNDISCOUNTED_POLICY_RETURNS = {
    "halfcheetah-medium": 3985.8150261686337,
    "halfcheetah-random": -199.26067391425954,
    "halfcheetah-expert": 12330.945945279545,
    "hopper-medium": 2260.1983114487352,
    "hopper-random": 1257.9757846810203,
    "hopper-expert": 3624.4696022560997,
    "walker2d-medium": 2760.3310101980005,
    "walker2d-random": 896.4751989935487,
    "walker2d-expert": 4005.89370727539,
}
DISCOUNTED_POLICY_RETURNS = {
    "halfcheetah-medium": 324.83583782709877,
    "halfcheetah-random": -16.836944753939207,
    "halfcheetah-expert": 827.7278887047698,
    "hopper-medium": 235.7441494727478,
    "hopper-random": 215.04955086664955,
    "hopper-expert": 271.6925087260701,
    "walker2d-medium": 202.23983424823822,
    "walker2d-random": 78.46052021427765,
    "walker2d-expert": 396.8752247768766,
}


def get_returns(policy_id: str, discounted: bool = False) -> float:
    """The mean return of a policy, discounted by 0.995 a step where that is asked for."""
    known = DISCOUNTED_POLICY_RETURNS if discounted else UNDISCOUNTED_POLICY_RETURNS
    if policy_id not in known:
        raise UnknownNameError("policy of D4RL", policy_id, known)
    return known[policy_id]


def normalize(policy_id: str, score_or_return: float) -> float:
    """The score of a return, as a fraction."""
    return float(score(f"{policy_id}-v0", score_or_return))


def ranking_correlation_metric(policies: Sequence[str], discounted: bool = False) -> float:
    """Spearman's correlation of an order of policies, best first, with that of their returns, as D4RL computes it."""
    returns = np.array([get_returns(policy, discounted) for policy in policies])
    difference = np.argsort(-returns) - np.arange(len(policies))
    count = len(policies)
    return float(1.0 - 6 * np.sum(difference**2) / (count * (count**2 - 1)))


def precision_at_k_metric(
    policies: Sequence[str], k: int = 1, n_rel: int | None = None, discounted: bool = False
) -> float:
    """The share of the first k policies of an order that are among the n_rel best (k by default)."""
    best = _best(policies, k, n_rel, discounted)
    return sum(policy in best for policy in policies[:k]) / k


def recall_at_k_metric(
    policies: Sequence[str], k: int = 1, n_rel: int | None = None, discounted: bool = False
) -> float:
    """How many of the n_rel best policies (k by default) are among the first k of an order, over k as in D4RL."""
    best = _best(policies, k, n_rel, discounted)
    return sum(policy in policies[:k] for policy in best) / k


def value_error_metric(policy: str, value: float, discounted: bool = False) -> float:
    """The difference of an estimated return from the true one, in scores."""
    return abs(normalize(policy, value) - normalize(policy, get_returns(policy, discounted)))


def policy_regret_metric(policy: str, expert_policies: Sequence[str], discounted: bool = False) -> float:
    """How far the score of a policy is below that of the best of some others, both in the policy's scores."""
    best = max(get_returns(each, discounted) for each in expert_policies)
    return normalize(policy, best) - normalize(policy, get_returns(policy, discounted))


def _best(policies: Sequence[str], k: int, n_rel: int | None, discounted: bool) -> list[str]:
    if not 1 <= k <= len(policies):
        raise OffbenchError(f"k is {k}; 1 to {len(policies)}, the number of policies, would be right")
    return sorted(policies, key=lambda policy: -get_returns(policy, discounted))[: n_rel or k]
