"""What every estimator predicts of every policy, and which policy it would choose.

The naive choices stand beside the estimators, because they are what people use: chance, the learner's own Q at the
first states, and how near a policy stays to the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from offbench.basis.compiler import Compile
from offbench.basis.shapes import Array
from offbench.data.transitions import Transitions
from offbench.selection.behaviour import clone, log_ratios, padded
from offbench.selection.candidates import (
    MOST_BYTES,
    Candidate,
    actions_of,
    cloning_errors,
    first_states,
    next_states,
    own_values,
    present_states,
)
from offbench.selection.fqe import FQEConfig, fit
from offbench.selection.importance import doubly_robust, estimates

FQE, WEIGHTED, DOUBLY_ROBUST = "FQE", "weighted importance sampling", "doubly robust"
OWN, CLONING = "the learner's own Q", "nearness to the data"
Say = Callable[[str], None]
ACTIONS = 10  # drawn for the value of a state, as in policy_eval


@dataclass(frozen=True)
class Predictions:
    """Of several policies.

    Attributes:
        values: by estimator, (policies,); those of `CLONING` are negative distances, and no returns.
        spreads: standard deviation of FQE over its members, (policies,); 0 for a single one.
        effective: share of the episodes that importance sampling rests on, (policies,).
        behaviour: mean discounted return of the data.
    """

    values: dict[str, Float[Array, " policies"]]
    spreads: Float[Array, " policies"]
    effective: Float[Array, " policies"]
    behaviour: float


def predict(
    found: Sequence[Candidate],
    view: Transitions,
    config: FQEConfig,
    seed: int = 0,
    say: Say = lambda line: None,
    compile: Compile = "auto",
) -> Predictions:
    """Everything that is said of the policies without playing them.

    ``view`` has the dataset's rewards as they are; its states may be standardised.
    """
    policies = [candidate.policy for candidate in found]
    say(f"actions of {len(policies)} policies in {len(view):,} states")
    every = view.batch(torch.arange(len(view), device=view.device).unsqueeze(0))
    first, firsts = view.first_steps, first_states(view)
    at_next = actions_of(policies, view, next_states(view))
    at_first = actions_of(policies, view, firsts)
    fitted = fit(view, at_next, config, seed, say, compile)
    fqe = fitted.at(every.observations[0, first], at_first, seed)
    rewards = padded(view, every.rewards[0].double().cpu().numpy())
    # Of every state: Q of the data's own action, and V where the step leads to and where an episode begins.
    q = fitted.of_rows(every.observations[0], every.actions.expand(len(policies), -1, -1))
    following = fitted.of_rows(every.next_observations[0], at_next, ACTIONS, seed)
    following *= 1 - every.terminations[0].double().cpu().numpy()
    begins = fitted.of_rows(every.observations[0, first], at_first, ACTIONS, seed)
    behaviour, states = clone(view, seed, say=say), present_states(view)
    said, robust = [], []
    for row, policy in enumerate(policies):
        here = actions_of([policy], view, states)[0]
        ratios = padded(view, log_ratios(behaviour, view, here, config.action_std))
        said.append(estimates(ratios, rewards, config.discount))
        v = np.concatenate([begins[row][:, None], padded(view, following[row])], 1)
        robust.append(doubly_robust(ratios, rewards, padded(view, q[row]), v, config.discount))
    return Predictions(
        {
            FQE: fqe.mean(1),
            WEIGHTED: np.array([one.weighted_per_decision for one in said]),
            DOUBLY_ROBUST: np.array(robust),
            OWN: own_values(found, firsts),
            CLONING: -cloning_errors(found, view),
        },
        fqe.std(1),
        np.array([one.effective for one in said]),
        float((rewards @ config.discount ** np.arange(rewards.shape[1])).mean()),
    )


def fqe_values(
    found: Sequence[Candidate], view: Transitions, config: FQEConfig, seed: int = 0, say: Say = lambda line: None
) -> Float[Array, " policies"]:
    """What fitted Q evaluation alone says of the policies, as many at a time as there is room for their actions.

    All see the same rows and noise, so that a policy's value does not depend on the others by more than rounding.
    """
    at_once = max(1, MOST_BYTES // (len(view) * view.action_size * 4))
    states = view.batch(torch.arange(len(view), device=view.device).unsqueeze(0)).observations[0, view.first_steps]
    firsts, following, values = first_states(view), next_states(view), list[float]()
    for first in range(0, len(found), at_once):
        policies = [candidate.policy for candidate in found[first : first + at_once]]
        fitted = fit(view, actions_of(policies, view, following), config, seed, say)
        values += fitted.at(states, actions_of(policies, view, firsts), seed).mean(1).tolist()
    return np.array(values)
