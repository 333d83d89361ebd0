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
    Candidate,
    actions_of,
    cloning_errors,
    first_states,
    next_states,
    own_values,
)
from offbench.selection.fqe import FQEConfig, Values, fit
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
    fitted = fit(view, actions_of(policies, view, next_states(view)), config, seed, say, compile)
    starts, rows = first_states(view), view.first_steps
    at_starts = view.batch(rows.unsqueeze(0)).observations[0]
    fqe = fitted.at(at_starts, actions_of(policies, view, starts), seed)
    weighted, robust, effective = _importance(found, view, fitted, config, seed, say)
    rewards = padded(view, view.batch(torch.arange(len(view)).unsqueeze(0)).rewards[0].double().numpy())
    return Predictions(
        {
            FQE: fqe.mean(1),
            WEIGHTED: weighted,
            DOUBLY_ROBUST: robust,
            OWN: own_values(found, starts),
            CLONING: -cloning_errors(found, view),
        },
        fqe.std(1),
        effective,
        float((rewards @ config.discount ** np.arange(rewards.shape[1])).mean()),
    )


def _importance(
    found: Sequence[Candidate], view: Transitions, fitted: Values, config: FQEConfig, seed: int, say: Say
) -> tuple[Float[Array, " policies"], Float[Array, " policies"], Float[Array, " policies"]]:
    """Weighted importance sampling per decision, doubly robust with FQE's Q, and the effective share."""
    behaviour = clone(view, seed, say=say)
    every = view.batch(torch.arange(len(view), device=view.device).unsqueeze(0))
    states = view.observations[view.sources].float().cpu().numpy()
    rewards = padded(view, every.rewards[0].double().cpu().numpy())
    unended = 1 - every.terminations[0].double().cpu().numpy()
    weighted, robust, effective = [], [], []
    for row, candidate in enumerate(found):
        here, there = (actions_of([candidate.policy], view, part) for part in (states, next_states(view)))
        ratios = padded(view, log_ratios(behaviour, view, here[0], config.action_std))
        said, alone = estimates(ratios, rewards, config.discount), fitted.of(row)
        q = padded(view, alone.of_rows(every.observations, every.actions))
        first = alone.of_rows(every.observations, here, ACTIONS, seed)[view.first_steps.cpu().numpy()]
        following = padded(view, unended * alone.of_rows(every.next_observations, there, ACTIONS, seed))
        v = np.concatenate([first[:, None], following], 1)
        weighted.append(said.weighted_per_decision)
        robust.append(doubly_robust(ratios, rewards, q, v, config.discount))
        effective.append(said.effective)
    return np.array(weighted), np.array(robust), np.array(effective)
