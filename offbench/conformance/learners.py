"""The checks of a learner: of whatever has ``fit(data, task, seed, budget)``, in any framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from offbench.algorithms import registry
from offbench.basis.policy import Policy
from offbench.basis.shapes import Array
from offbench.conformance.check import BrokenError, Check, require
from offbench.conformance.toys import LEARNING_STEPS, OBSERVATION, as_asked, best_actions, toy
from offbench.data.trajectories import Trajectories
from offbench.errors import OffbenchError
from offbench.training.learner import Budget, fit
from offbench.training.views import check_requirements


@dataclass(frozen=True)
class Subject:
    """A learner under test.

    Attributes:
        found: as `registry.find` gives it.
        changes: hyperparameters that differ from its defaults.
        steps: budget of each fit.
        say: hears of each fit before it begins.
    """

    found: Any
    changes: Mapping[str, Any] = field(default_factory=dict)
    steps: int = LEARNING_STEPS
    say: Callable[[str], None] = lambda line: None
    _kept: list[Policy] = field(default_factory=list)

    def first(self) -> Policy:
        """The policy that is fitted to the toy with seed 0, which several checks look at; see `fitted`."""
        if not self._kept:
            self._kept.append(self.fitted())
        return self._kept[0]

    def fitted(self, seed: int = 0, data: Trajectories | None = None) -> Policy:
        """The policy fitted to ``data``, the toy of sixty short episodes if None.

        Raises:
            BrokenError: fit failed, or gave no policy.
        """
        chosen = as_asked(self.found, toy(60, 5) if data is None else data)
        check_requirements(self.found, chosen)
        config = registry.configure(self.found, "", self.changes)
        self.say(f"fitting seed {seed} with a budget of {self.steps:,} steps")
        try:
            return fit(self.found, config, chosen, None, seed, Budget(self.steps))
        except OffbenchError as error:
            raise BrokenError(str(error)) from error


def _acted(policy: Policy, observations: Array) -> Array:
    """The actions in the first step of episodes; what act does wrong is a finding."""
    try:
        policy.reset(np.ones(len(observations), bool))
        return policy.act(observations)
    except OffbenchError as error:
        raise BrokenError(str(error)) from error


def _observations(count: int) -> Array:
    return np.random.default_rng(1).normal(size=(count, OBSERVATION)).astype(np.float32)


def shapes(subject: Subject) -> None:
    """Actions have a row an observation, for one and for many."""
    policy = subject.first()
    for count in (1, 7):
        _acted(policy, _observations(count))


def determinism(subject: Subject) -> None:
    """A seed decides the policy, and the policy its actions."""
    observations = _observations(20)
    one, other = subject.fitted(3), subject.fitted(3)
    first = _acted(one, observations)
    require(
        bool(np.array_equal(first, _acted(one, observations))),
        "act gives different actions for the same observations after reset(mask); policies are scored without sampling",
    )
    require(
        bool(np.array_equal(first, _acted(other, observations))),
        "two fits with the same seed act differently; draw all random numbers from a generator made of the seed",
    )


def independence(subject: Subject) -> None:
    """Each environment's action is its own: it does not matter which others are acted in."""
    observations, policy = _observations(7), subject.first()
    together = _acted(policy, observations)
    alone = np.concatenate([_acted(policy, observations[i : i + 1]) for i in range(7)])
    far = float(np.abs(together - alone).max())
    require(
        far < 1e-4,
        f"the action for an observation differs by {far:.2g} when others are asked for with it; act must treat each "
        "environment by itself",
    )


def extremes(subject: Subject) -> None:
    """States and rewards in the thousands lead to finite actions."""
    _acted(subject.fitted(data=toy(60, 5, scale=1e3)), 1e3 * _observations(20))


def learning(subject: Subject) -> None:
    """It finds the best actions of the toy problem, to within half of what doing nothing misses them by."""
    observations = _observations(500)
    best = best_actions(observations)
    missed = float(np.abs(_acted(subject.first(), observations) - best).mean() / np.abs(best).mean())
    require(
        missed < 0.5,
        f"it does not learn: with a budget of {subject.steps:,} steps its actions miss the best ones by "
        f"{100 * missed:.0f}% of what actions of zero do, where 50% would pass (states drawn at random, rewards "
        "-4 |a - best(s)|^2, actions of the data best(s) + N(0, 0.3^2))",
    )


CHECKS = (
    Check("shapes", shapes),
    Check("determinism", determinism, ("shapes",)),
    Check("independence", independence, ("determinism",)),
    Check("extreme inputs", extremes, ("shapes",)),
    Check("learning", learning, ("shapes",)),
)
