"""Other people's algorithms: whatever has ``fit`` is trained and scored as ours are, one seed after the other.

    class Mine:
        def fit(self, data: Trajectories, task: Task | None, seed: int, budget: Budget) -> Policy: ...

It may be written in any framework. Named as ``module:Mine``, or by an entry point in the group
``offbench.algorithms``, it is given whole trajectories and gives a policy; the harness does the rest. If the class is a
dataclass, its fields are hyperparameters and flags. A class attribute ``requires`` names the columns that it learns
from, actions and rewards if there is none, or the kind of data: ``requires = (SemiSupervised,)``, ``(Preferences,)``.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import random
from typing import Any, Protocol

import numpy as np
import torch

from offbench.algorithms import registry
from offbench.basis.foreign import foreign
from offbench.basis.policy import ObservingPolicy, Policy, not_finite
from offbench.basis.shapes import Array
from offbench.data.learned import Learned, whole
from offbench.data.trajectories import Trajectories
from offbench.environments.simulator import make_simulator
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.nn.random import stream


@dataclasses.dataclass(frozen=True)
class Budget:
    """What one call of fit may spend, and where.

    Attributes:
        steps: gradient updates, or whatever unit the method counts in.
        device: "cpu", "cuda" or "cuda:<number>", of which a method may make use.
    """

    steps: int
    device: str = "cpu"


class BarePolicy(Protocol):
    """The least that fit must return; ``reset(mask)`` and ``observe(rewards)`` are called as well if it has them."""

    def act(self, observations: Array) -> Any:
        """Actions (environments, action) for float32 observations (environments, observation), in their own units."""
        ...


class Learner(Protocol):
    """Somebody else's algorithm."""

    def fit(self, data: Any, task: Task | None, seed: int, budget: Budget) -> BarePolicy:
        """Learn from ``data`` a policy for ``task``, where one is known; runs of other seeds are independent."""
        ...


class CheckedPolicy(ObservingPolicy):
    """A policy that fit returned. Each of its answers is checked, and an error says whose it is."""

    def __init__(self, policy: BarePolicy, name: str, action_size: int) -> None:
        """Check the actions of ``policy`` for their ``action_size``; 0 where that is not known."""
        self.policy, self.name, self.action_size = policy, name, action_size

    def act(self, observations: Array) -> Array:
        """Actions (environments, action), float32, for observations (environments, observation).

        Raises:
            OffbenchError: act failed, or its actions are no finite numbers of this shape.
        """
        # A copy: a policy may standardise what it is given in place, and a simulator may still need it.
        given = np.array(observations, dtype=np.float32)
        answer = self._call("act", given)
        told = f"the policy of {self.name} gave actions that are no NumPy array of numbers, but a "
        if _is_masked(answer):  # which NumPy would make numbers of, silently
            raise OffbenchError(
                f"{told}masked array, where nobody knows what the masked ones are; its filled(value) would be right"
            )
        # What is too large for float32 is refused below.
        with foreign(self._whose, lambda why: f"{told}{type(answer).__name__} ({why})"), np.errstate(over="ignore"):
            actions = np.asarray(answer).astype(np.float32, casting="same_kind")
        wanted = (len(given), self.action_size or (actions.shape[-1] if actions.ndim else 1))
        if actions.shape != wanted:
            raise OffbenchError(
                f"the policy of {self.name} gave actions of shape {actions.shape}; {wanted} would be right"
            )
        if not np.isfinite(actions).all():
            raise OffbenchError(f"{self._whose} gave actions that are not finite: {not_finite(actions)}")
        return actions

    def reset(self, mask: Array) -> None:
        """Tell the policy, if it listens, that episodes begin where mask (environments,) is true."""
        if self._listens("reset"):
            self._call("reset", mask)

    def observe(self, rewards: Array) -> None:
        """Tell the policy, if it listens, the rewards (environments,) of the last actions."""
        if self._listens("observe"):
            self._call("observe", rewards)

    @property
    def _whose(self) -> str:
        return f"the policy of {self.name}"

    def _listens(self, method: str) -> bool:
        with foreign(self._whose, lambda why: f"{self._whose} failed in {method}: {why}"):
            return hasattr(self.policy, method)

    def _call(self, method: str, *arguments: Array) -> Any:
        with foreign(self._whose, lambda why: f"{self._whose} failed in {method}: {why}"):
            return getattr(self.policy, method)(*arguments)


def _is_masked(answer: Any) -> bool:
    """Whether actions, or the rows of a list of them, are masked arrays."""
    parts = [answer, *answer] if isinstance(answer, list | tuple) else [answer]
    return any(isinstance(part, np.ma.MaskedArray) for part in parts)


def fit(found: Any, config: Any, data: Learned, task: Task | None, seed: int, budget: Budget) -> Policy:
    """The policy that a learner fits with one seed.

    Args:
        found: the learner, as `registry.find` gives it.
        config: its hyperparameters, as `registry.configure` gives them.
        data: what it asks for, in the environment's units.
        task: what the policy will be scored in, where that is known.
        seed: of the run.
        budget: what may be spent.

    Raises:
        OffbenchError: the learner failed, or what it returned has no ``act``.
    """
    name = registry.title(found)
    learner = _learner(found, config)
    # Many libraries draw from the global generators: a learner that forgets its seed then still depends on it alone.
    number = int(stream(seed, "fit").integers(2**32))
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)
    with foreign(name, lambda why: f"{name} failed in fit with seed {seed}: {why}"):
        policy = learner.fit(data, task, seed, budget)
        acts = callable(getattr(policy, "act", None))
    if inspect.isclass(policy) or not acts:
        gave = f"the class {policy.__name__}" if inspect.isclass(policy) else type(policy).__name__
        raise OffbenchError(
            f"the fit of {name} gave {gave}; an object with act(observations) that gives actions would be right"
        )
    return CheckedPolicy(policy, name, action_size(whole(data), task))


def _learner(found: Any, config: Any) -> Any:
    """A learner for one seed: what fit leaves in it, a list in a field included, must not reach the next."""
    if not inspect.isclass(found):
        return found
    name = registry.title(found)

    def told(why: str) -> str:
        return (
            f"{name} cannot be made anew for each seed ({why}); a class without arguments, or a dataclass of plain "
            "values, would be right"
        )

    with foreign(name, told):
        return copy.deepcopy(config) if dataclasses.is_dataclass(found) else found()


def action_size(data: Trajectories, task: Task | None) -> int:
    """Numbers in one action, by the data or else by the task; 0 where neither says."""
    if data.actions is not None:
        return int(data.actions.shape[1])
    if task is None:
        return 0
    simulator = make_simulator(task, 1)
    try:
        return len(simulator.action_low)
    finally:
        simulator.close()
