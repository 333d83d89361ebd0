"""Transitions: the view for algorithms that learn from single steps, gathered a batch at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from offbench.data.trajectories import Array, Trajectories
from offbench.errors import DataError

RewardTransform = Literal["none", "return_range", "minus_one", "times_10_minus_5", "times_100"]

# Scale and shift of the rewards of sparse goals, 0 or 1, as methods want them.
_GOAL_REWARDS = {"minus_one": (1.0, -1.0), "times_10_minus_5": (10.0, -5.0), "times_100": (100.0, 0.0)}

# Added to the standard deviation of states, as CORL does: a constant column stays constant and does not explode.
STATE_EPSILON = 1e-3


class Batch(NamedTuple):
    """Transitions of several seeds. ``rewards`` are zero and ``actions`` empty where the data has none.

    Attributes:
        observations: (seeds, batch, observation).
        actions: (seeds, batch, action), scaled to [-1, 1].
        rewards: (seeds, batch), transformed.
        next_observations: (seeds, batch, observation); meaningless where terminations are 1.
        terminations: (seeds, batch), 1 where the bootstrap stops; truncations never set it.
        noise: the standard normal numbers that the algorithm asked for, by name, (seeds, ...) each.
        next_actions: (seeds, batch, action), the data's action at the next observation, zero where terminations are 1;
            None unless asked for.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    terminations: Tensor
    noise: Mapping[str, Tensor] = {}
    next_actions: Tensor | None = None


@dataclass(frozen=True)
class Scaling:
    """How the numbers that a learner sees relate to those of the environment.

    Attributes:
        mean, std: (observation,), a learner sees (s - mean) / std.
        low, high: (action,), a learner's actions in [-1, 1] become low + (a + 1) (high - low) / 2.
        reward_scale, reward_shift: a learner sees reward_scale r + reward_shift; scores always use r itself.
    """

    mean: Array
    std: Array
    low: Array
    high: Array
    reward_scale: float = 1.0
    reward_shift: float = 0.0

    def states(self, observations: Array) -> Array:
        """Observations (..., observation) as a learner sees them."""
        scaled: Array = (observations - self.mean) / self.std
        return scaled

    def to_environment(self, actions: Array) -> Array:
        """Actions (..., action) of a learner in the units of the environment."""
        scaled: Array = self.low + (actions + 1) * (self.high - self.low) / 2
        return scaled


class Transitions:
    """All usable steps of a dataset. On a CPU the columns are the data's own: those of a mapped file stay mapped.

    A step is usable if its next observation is known or not needed: the last step of an episode that did not
    terminate and whose final observation was not recorded is left out. With ``next_actions`` the last step of every
    episode that did not terminate is, for no action follows it.

    Attributes:
        observations: (steps + episodes, observation), in the dtype of the data, as all columns.
        actions: (steps, action), empty where the data has none.
        rewards: (steps,), zero where the data has none.
        terminations: (steps,).
        sources: (transitions,) row of ``observations`` with the state; the row after it holds the next state.
        steps: (transitions,) row of the other columns; None where all steps are usable.
        next_actions: whether batches have them.
        scaling: what batches do to states, actions and rewards.
        transforms: the same as plain data, for the record of a run.
        observation_size, action_size: sizes of the vectors.
        device, dtype: of batches.
    """

    def __init__(
        self,
        trajectories: Trajectories,
        normalise_states: bool = False,
        reward_transform: RewardTransform = "none",
        action_range: tuple[Array, Array] | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        next_actions: bool = False,
        top_fraction: float = 1.0,
    ) -> None:
        """Index ``trajectories``, and move them to the device where that is not the CPU.

        Args:
            trajectories: the data; observations must be vectors.
            normalise_states: standardise each state dimension by its mean and (standard deviation + 1e-3) over the
                data.
            reward_transform: "return_range" multiplies by 1000 / (highest - lowest return), "minus_one" subtracts 1,
                "times_10_minus_5" and "times_100" do what they say.
            action_range: (low, high) of the task's actions; the range declared by the data if None.
            device: where the columns live.
            dtype: of batches.
            next_actions: give batches the data's next action.
            top_fraction: share of the episodes that are kept, those of highest return (``Trajectories.best``).

        Raises:
            DataError: no usable step, observations that are no vectors, an unknown or too narrow action range.
        """
        t = trajectories if top_fraction == 1 else trajectories.best(top_fraction)
        if t.observations.ndim != 2:
            shape = t.observations.shape[1:]
            raise DataError(f"transitions need observations that are vectors, not of shape {shape}")
        sources, steps = _usable(t, next_actions)
        if len(sources) == 0:
            lacking = "a second action" if next_actions else "its final observation"
            raise DataError(f"the dataset has no usable transition; every episode ends without {lacking}")
        self.device, self.dtype = torch.device(device), dtype
        self.scaling = _scaling(t, sources, normalise_states, reward_transform, action_range)
        self.transforms = _describe(self.scaling, normalise_states, reward_transform)
        if top_fraction != 1:
            kept = {"name": "best_episodes", "fraction": top_fraction, "episodes": len(t)}
            self.transforms.insert(0, kept | {"lowest_return": float(t.returns.min())})
        self.next_actions = next_actions
        self.sources, self.steps = self._tensor(sources), None if steps is None else self._tensor(steps)
        self.observations, self.terminations = self._tensor(t.observations), self._tensor(t.terminations)
        self.actions = self._tensor(np.zeros((t.steps, 0), np.float32) if t.actions is None else t.actions)
        self.rewards = self._tensor(np.zeros(1, np.float32) if t.rewards is None else t.rewards).expand(t.steps)
        self.observation_size, self.action_size = self.observations.shape[1], self.actions.shape[1]
        self._numbers = self._changing_numbers()

    def __len__(self) -> int:
        return len(self.sources)

    def batch(self, indices: Tensor) -> Batch:
        """The transitions at ``indices`` (seeds, batch), scaled and in ``dtype``."""
        sources = self.sources[indices]
        steps = indices if self.steps is None else self.steps[indices]
        batch = Batch(
            observations=self._scaled_states(sources),
            actions=self._scaled_actions(steps),
            rewards=self._scaled_rewards(steps),
            next_observations=self._scaled_states(sources + 1),
            terminations=self.terminations[steps].to(self.dtype),
        )
        if not self.next_actions:
            return batch
        following = self._scaled_actions((steps + 1).clamp(max=len(self.actions) - 1))
        return batch._replace(next_actions=following * (1 - batch.terminations).unsqueeze(-1))

    def _scaled_states(self, rows: Tensor) -> Tensor:
        states = self.observations[rows].to(self.dtype)
        if "normalise_states" not in self._numbers:
            return states
        mean, std = self._numbers["normalise_states"]
        return (states - mean) / std

    def _scaled_actions(self, rows: Tensor) -> Tensor:
        actions = self.actions[rows].to(self.dtype)
        if "scale_actions" not in self._numbers:
            return actions
        low, high = self._numbers["scale_actions"]
        return 2 * (actions - low) / (high - low) - 1

    def _scaled_rewards(self, rows: Tensor) -> Tensor:
        rewards = self.rewards[rows].to(self.dtype)
        if "transform_rewards" not in self._numbers:
            return rewards
        scale, shift = self._numbers["transform_rewards"]
        return scale * rewards + shift

    def _changing_numbers(self) -> dict[str, list[Tensor]]:
        """The numbers of those transforms that change anything, by name, on the device in ``dtype``."""
        s = self.scaling
        pairs = {
            "normalise_states": (s.mean, s.std),
            "scale_actions": (s.low, s.high),
            "transform_rewards": (np.array(s.reward_scale), np.array(s.reward_shift)),
        }
        names = [step["name"] for step in self.transforms if step["name"] in pairs]
        return {name: [self._tensor(number).to(self.dtype) for number in pairs[name]] for name in names}

    def _tensor(self, column: Array) -> Tensor:
        """The column on the device, and on a CPU the very same memory, unless torch cannot read it as it lies there."""
        dtype = np.dtype(np.float64) if column.dtype.itemsize > 8 else column.dtype.newbyteorder("=")
        return torch.from_numpy(np.asarray(_Readable(np.require(column, dtype, ["C", "A"])))).to(self.device)


class _Readable:
    """An array for torch, which has no tensors that are only read and warns of arrays that are; nothing writes here."""

    def __init__(self, column: Array) -> None:
        self.column = column  # whose memory it is
        address, _ = column.__array_interface__["data"]
        self.__array_interface__ = column.__array_interface__ | {"data": (address, False)}


def _usable(t: Trajectories, next_actions: bool) -> tuple[Array, Array | None]:
    """Of each usable step the row of its state among the observations, and its own number, None if all are usable."""
    assert t.final_observations is not None
    size = np.int32 if len(t.observations) < 2**31 else np.int64  # half the memory, where it holds all numbers
    sources = np.arange(t.steps, dtype=size) + np.repeat(np.arange(len(t), dtype=size), t.lengths)
    last = t.offsets[1:] - 1
    known = t.final_observations & (not next_actions)
    lost = last[~(known | t.terminations[last])]
    if len(lost) == 0:
        return sources, None
    steps = np.delete(np.arange(t.steps, dtype=size), lost)
    return sources[steps], steps


def _scaling(
    t: Trajectories, sources: Array, normalise: bool, reward: RewardTransform, action_range: tuple[Array, Array] | None
) -> Scaling:
    size = t.observations.shape[1]
    mean, std = np.zeros(size, np.float32), np.ones(size, np.float32)
    if normalise:
        mean, std = _statistics(t.observations, sources)
    scale, shift = 1.0, 0.0
    if reward != "none" and t.rewards is None:
        raise DataError(f"the reward transform {reward!r} needs rewards, and the dataset has none")
    if reward == "return_range":
        spread = float(np.ptp(t.returns))
        if spread == 0:
            raise DataError("all returns are equal, so rewards cannot be scaled by their range; use 'none'")
        scale = 1000 / spread
    elif reward != "none":
        scale, shift = _GOAL_REWARDS[reward]
    low, high = _action_range(t, action_range)
    return Scaling(mean, std, low, high, scale, shift)


def _statistics(observations: Array, rows: Array) -> tuple[Array, Array]:
    """Mean and (standard deviation + STATE_EPSILON) of the chosen rows, (observation,) each.

    One pass over blocks that fit in the cache, joined by the formula of Chan, Golub and LeVeque (1983, "Algorithms for
    Computing the Sample Variance"), so that data larger than memory are never copied whole.
    """
    count, mean, squares = 0, np.zeros(observations.shape[1]), np.zeros(observations.shape[1])
    size = 1 + _BLOCK // (1 + len(mean))
    for first in range(0, len(rows), size):
        block = observations[rows[first : first + size]].astype(np.float64)
        ones = np.ones(len(block))
        own = ones @ block / len(block)  # as a product, which is faster than a sum over rows
        block -= own
        change = own - mean
        total = count + len(block)
        squares += ones @ (block * block) + change**2 * (count * len(block) / total)
        mean += change * (len(block) / total)
        count = total
    std = np.sqrt(squares / count) + STATE_EPSILON
    return mean.astype(np.float32), std.astype(np.float32)


_BLOCK = 2**17  # numbers


def _action_range(t: Trajectories, declared: tuple[Array, Array] | None) -> tuple[Array, Array]:
    """The range that is mapped to [-1, 1]: the task's, else the data's own, else [-1, 1] if it holds all actions."""
    if t.actions is None:
        return np.zeros(0, np.float32), np.ones(0, np.float32)
    unit = np.ones(t.actions.shape[1], np.float32)
    low, high = declared or t.action_range or (-unit, unit)
    if low.shape != unit.shape:
        raise DataError(f"actions have {len(unit)} dimensions and their range {len(low)}; name the task of the dataset")
    lowest, highest = t.actions.min(), t.actions.max()
    # Extremes over all components cost little, and settle the usual case of one range for all.
    sure = lowest >= low.max() - 1e-4 and highest <= high.min() + 1e-4
    if not sure and ((t.actions < low - 1e-4).any() or (t.actions > high + 1e-4).any()):
        raise DataError(
            f"actions reach from {lowest:.4g} to {highest:.4g}, outside the range "
            f"{low.min():.4g} to {high.max():.4g}; name the task, whose range then counts"
        )
    return low.astype(np.float32), high.astype(np.float32)


def _describe(scaling: Scaling, normalise: bool, reward: RewardTransform) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = []
    if normalise:
        described.append({"name": "normalise_states", "mean": scaling.mean.tolist(), "std": scaling.std.tolist()})
    if (scaling.low != -1).any() or (scaling.high != 1).any():
        described.append({"name": "scale_actions", "low": scaling.low.tolist(), "high": scaling.high.tolist()})
    if reward != "none":
        scale, shift = scaling.reward_scale, scaling.reward_shift
        described.append({"name": "transform_rewards", "kind": reward, "scale": scale, "shift": shift})
    return described
