"""What a batched simulator is, and what its authors share: the flags of episodes that started together, and checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError


class Step(NamedTuple):
    """What one step of all environments gives; every array has the leading axis environments.

    Attributes:
        observations: (environments, observation).
        rewards: (environments,) float64; 0 where the episode had ended before.
        terminations: (environments,) bool; stays true once it was.
        truncations: (environments,) bool, the time limit was reached; never together with a termination.
    """

    observations: Array
    rewards: Array
    terminations: Array
    truncations: Array


class Simulator(Protocol):
    """A fixed number of environments of one task.

    There is no automatic reset: an environment whose episode has ended stays as it is, costs nothing, rewards 0 and
    repeats its flags and its last observation until the next `reset`. Actions are clipped to the action bounds.
    """

    @property
    def count(self) -> int:
        """Number of environments."""
        ...

    @property
    def observation_size(self) -> int:
        """Length of one observation."""
        ...

    @property
    def action_low(self) -> Array:
        """(action,) float32, lower bounds."""
        ...

    @property
    def action_high(self) -> Array:
        """(action,) float32, upper bounds."""
        ...

    @property
    def episode_limit(self) -> int:
        """Steps after which an episode is truncated."""
        ...

    def reset(self, seeds: Sequence[int]) -> Array:
        """Start an episode in every environment, each from its own seed: observations (environments, observation)."""
        ...

    def step(self, actions: Array) -> Step:
        """Advance every environment whose episode has not ended by actions (environments, action).

        Raises:
            OffbenchError: wrong shape, or an action that is not finite (the environment is named).
        """
        ...

    def close(self) -> None:
        """Free what the environments hold."""
        ...


@runtime_checkable
class StateSimulator(Simulator, Protocol):
    """A simulator that can start at states of the caller's choice, for studies of the true dynamics."""

    def set_states(self, observations: Array) -> Array:
        """Start an episode in every environment at the state that its observation describes.

        As a reset it forgets all else: the time, ended episodes, the solver's warm start. What an observation hides is
        zero; each simulator says what that is.

        Args:
            observations: (environments, observation).

        Returns:
            Observations (environments, observation) of the new states.

        Raises:
            OffbenchError: wrong shape, or an observation that is not finite (the environment is named).
        """
        ...


@runtime_checkable
class ExactSimulator(Simulator, Protocol):
    """A simulator whose state can be read and restored, so that an episode goes on from there bit for bit."""

    @property
    def state_sizes(self) -> Mapping[str, int]:
        """What makes up a state, the time aside: names, and how many numbers each has."""
        ...

    def states(self) -> dict[str, Array]:
        """The states as they are, by name: (environments, numbers) float64 each, copies."""
        ...

    def restore(self, states: Mapping[str, Array]) -> Array:
        """Start an episode in every environment at states that `states` gave, here or in another of the same task.

        As a reset it forgets the time and ended episodes, and nothing that later steps depend on.

        Args:
            states: (environments, numbers) each, by the names of `state_sizes`; others are left alone.

        Returns:
            Observations (environments, observation) of the new states.

        Raises:
            OffbenchError: a column is absent, of a wrong shape or not finite (column and environment are named).
        """
        ...


# -------------------------------------------------------------------- shared by all simulators


class Episodes:
    """Which episodes of a batch that started together go on, for simulators that step arrays.

    Attributes:
        limit: steps after which an episode is truncated.
    """

    def __init__(self, count: int, limit: int) -> None:
        self.limit = limit
        self._terminations = np.zeros(count, dtype=bool)
        self._elapsed: int | None = None

    def start(self) -> None:
        """All episodes begin."""
        self._terminations[:] = False
        self._elapsed = 0

    def live(self) -> Array:
        """(environments,) bool, the episodes that have not ended.

        Raises:
            OffbenchError: none was ever started.
        """
        if self._elapsed is None:
            raise OffbenchError("the simulator was stepped before its first reset; call reset(seeds) first")
        return ~self._terminations & (self._elapsed < self.limit)

    def finish(self, live: Array, observations: Array, rewards: Array, terminations: Array) -> Step:
        """Count one step of the environments ``live``; what the others would get is masked.

        Takes observations (environments, observation), rewards and terminations (environments,), which a time limit
        does not override: the bootstrap must stop there.
        """
        assert self._elapsed is not None
        self._elapsed += bool(live.any())
        self._terminations |= live & terminations
        truncations = ~self._terminations & (self._elapsed >= self.limit)
        return Step(observations, np.where(live, rewards, 0.0), self._terminations.copy(), truncations)


def check_seeds(seeds: Sequence[int], count: int) -> None:
    """One seed an environment, or an OffbenchError."""
    if len(seeds) != count:
        raise OffbenchError(f"reset was given {len(seeds)} seeds for {count} environments; one each would be right")


def checked_actions(actions: Array, low: Array, high: Array, count: int) -> Array:
    """Actions (environments, action) clipped to the bounds, in their dtype; an OffbenchError if they cannot be used."""
    actions = np.asarray(actions)
    if actions.shape != (count, len(low)):
        raise OffbenchError(
            f"actions have shape {actions.shape}; (environments, action) = {(count, len(low))} is right"
        )
    if not np.isfinite(actions).all():
        worst = int(np.flatnonzero(~np.isfinite(actions).all(axis=1))[0])
        raise OffbenchError(f"the action {actions[worst].tolist()} for environment {worst} is not finite")
    clipped: Array = np.clip(actions, low, high).astype(low.dtype, copy=False)
    return clipped


def checked_columns(states: Mapping[str, Array], sizes: Mapping[str, int], count: int) -> dict[str, Array]:
    """Columns (environments, numbers) of states in float64; an OffbenchError if they are not all there and right."""
    absent = [name for name in sizes if name not in states]
    if absent:
        raise OffbenchError(f"the states have no {absent[0]}; they need {', '.join(sizes)}")
    return {name: checked_states(states[name], count, size, name) for name, size in sizes.items()}


def checked_states(observations: Array, count: int, size: int, what: str = "observation") -> Array:
    """Observations (environments, observation) in float64; an OffbenchError if they cannot be states."""
    observations = np.asarray(observations, dtype=np.float64)
    if observations.shape != (count, size):
        raise OffbenchError(
            f"states have shape {observations.shape}; (environments, {what}) = {(count, size)} is right"
        )
    if not np.isfinite(observations).all():
        worst = int(np.flatnonzero(~np.isfinite(observations).all(axis=1))[0])
        raise OffbenchError(f"the state {observations[worst].tolist()} for environment {worst} is not finite")
    return observations
