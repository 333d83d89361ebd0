"""Transitions: the view for algorithms that learn from single steps, one packed row a step on the device."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from offbench.data.trajectories import Array, Trajectories
from offbench.errors import DataError

RewardTransform = Literal["none", "return_range", "minus_one"]

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
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    terminations: Tensor


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

    def actions(self, actions: Array) -> Array:
        """Actions (..., action) of the data as a learner sees them, in [-1, 1]."""
        scaled: Array = 2 * (actions - self.low) / (self.high - self.low) - 1
        return scaled

    def to_environment(self, actions: Array) -> Array:
        """Actions (..., action) of a learner in the units of the environment."""
        scaled: Array = self.low + (actions + 1) * (self.high - self.low) / 2
        return scaled


class Transitions:
    """All usable steps of a dataset as rows of one tensor, so that a batch is one gather.

    A step is usable if its next observation is known or not needed: the last step of an episode that did not
    terminate and whose final observation was not recorded is left out.

    Attributes:
        rows: (transitions, observation + action + 1 + observation + 1): s, a, r, s', termination.
        scaling: what was done to states, actions and rewards.
        transforms: the same as plain data, for the record of a run.
    """

    def __init__(
        self,
        trajectories: Trajectories,
        normalise_states: bool = False,
        reward_transform: RewardTransform = "none",
        action_range: tuple[Array, Array] | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Pack ``trajectories``.

        Args:
            trajectories: the data; observations must be vectors.
            normalise_states: standardise each state dimension by its mean and (standard deviation + 1e-3) over the
                data.
            reward_transform: "return_range" multiplies by 1000 / (highest - lowest return), "minus_one" subtracts 1.
            action_range: (low, high) of the task's actions; the range declared by the data if None.
            device: where the rows live.
            dtype: of the rows.

        Raises:
            DataError: no usable step, observations that are no vectors, an unknown or too narrow action range.
        """
        if trajectories.observations.ndim != 2:
            shape = trajectories.observations.shape[1:]
            raise DataError(f"transitions need observations that are vectors, not of shape {shape}")
        kept = _usable(trajectories)
        if not kept.any():
            raise DataError("the dataset has no usable transition; every episode ends without its final observation")
        self.observation_size = trajectories.observations.shape[1]
        self.action_size = 0 if trajectories.actions is None else trajectories.actions.shape[1]
        self.scaling = _scaling(trajectories, kept, normalise_states, reward_transform, action_range)
        self.transforms = _describe(self.scaling, normalise_states, reward_transform)
        self.rows = torch.from_numpy(_pack(trajectories, self.scaling, kept)).to(device=device, dtype=dtype)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Tensor) -> Batch:
        """The transitions at ``indices`` (seeds, batch)."""
        rows = self.rows[indices]
        size, first = self.observation_size, self.observation_size + self.action_size
        return Batch(
            observations=rows[..., :size],
            actions=rows[..., size:first],
            rewards=rows[..., first],
            next_observations=rows[..., first + 1 : first + 1 + size],
            terminations=rows[..., -1],
        )


def _usable(t: Trajectories) -> Array:
    """(episodes,) int64, how many steps of each episode are usable: all, or all but the last."""
    assert t.final_observations is not None
    kept: Array = t.lengths - ~(t.final_observations | t.terminations[t.offsets[1:] - 1])
    return kept


def _scaling(
    t: Trajectories, kept: Array, normalise: bool, reward: RewardTransform, action_range: tuple[Array, Array] | None
) -> Scaling:
    size = t.observations.shape[1]
    mean, std = np.zeros(size, np.float32), np.ones(size, np.float32)
    if normalise:
        sources = np.ones(len(t.observations), dtype=bool)
        final = t.offsets[1:] + np.arange(len(t))
        sources[final] = False
        sources[(final - 1)[kept < t.lengths]] = False
        states = t.observations[sources]
        mean = states.mean(axis=0, dtype=np.float64).astype(np.float32)
        std = (states.std(axis=0, dtype=np.float64) + STATE_EPSILON).astype(np.float32)
    scale, shift = 1.0, 0.0
    if reward != "none" and t.rewards is None:
        raise DataError(f"the reward transform {reward!r} needs rewards, and the dataset has none")
    if reward == "return_range":
        spread = float(np.ptp(t.returns))
        if spread == 0:
            raise DataError("all returns are equal, so rewards cannot be scaled by their range; use 'none'")
        scale = 1000 / spread
    elif reward == "minus_one":
        shift = -1.0
    low, high = _action_range(t, action_range)
    return Scaling(mean, std, low, high, scale, shift)


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


# Rows that are packed before the next ones, so that all their columns are written while the cache holds them.
_BLOCK = 4096


def _pack(t: Trajectories, scaling: Scaling, kept: Array) -> Array:
    """The rows (transitions, columns) in float32, of the first ``kept`` (episodes,) steps of each episode.

    States are copied episode by episode and each as one item, which numpy does twice as fast as number by number.
    """
    size = t.observations.shape[1]
    action_size = 0 if t.actions is None else t.actions.shape[1]
    starts = np.concatenate([[0], np.cumsum(kept)])
    fields = {"state": size, "action": action_size, "reward": 1, "next_state": size, "termination": 1}
    rows = np.empty(starts[-1], [(name, f"V{4 * width}") for name, width in fields.items() if width])
    numbers = rows.view(np.float32).reshape(len(rows), -1)
    every = np.ones(t.steps, dtype=bool)
    every[(t.offsets[1:] - 1)[kept < t.lengths]] = False
    steps = slice(None) if every.all() else every
    states, terminations = _items(t.observations), t.terminations[steps]
    actions = None if t.actions is None else _items(t.actions[steps])
    rewards = np.zeros(len(rows), np.float32) if t.rewards is None else t.rewards[steps]
    places = (t.offsets[:-1] + np.arange(len(t))).tolist()
    bounds = starts.tolist()
    cuts = np.unique(np.append(np.searchsorted(starts, np.arange(0, len(rows), _BLOCK)), len(t)))
    state, next_state = rows["state"], rows["next_state"]
    for first, last in pairwise(cuts.tolist()):
        for episode in range(first, last):
            begin, end, place = bounds[episode], bounds[episode + 1], places[episode]
            state[begin:end] = states[place : place + end - begin]
            next_state[begin:end] = states[place + 1 : place + 1 + end - begin]
        block = slice(bounds[first], bounds[last])
        if actions is not None:
            rows["action"][block] = actions[block]
        numbers[block, size + action_size] = rewards[block]
        numbers[block, -1] = terminations[block]
        _scale(numbers[block], scaling, size, action_size)
    return numbers


def _items(column: Array) -> Array:
    """(rows,) with all float32 numbers of a row of ``column`` (rows, numbers) as one item."""
    plain = np.ascontiguousarray(column, dtype=np.float32)
    items: Array = plain.view(f"V{4 * plain.shape[1]}")[:, 0]
    return items


def _scale(numbers: Array, scaling: Scaling, size: int, action_size: int) -> None:
    """Apply the scaling in place to ``numbers`` (rows, columns), where it changes anything."""
    if scaling.mean.any() or (scaling.std != 1).any():
        for first in (0, size + action_size + 1):
            numbers[:, first : first + size] = scaling.states(numbers[:, first : first + size])
    if (scaling.low != -1).any() or (scaling.high != 1).any():
        numbers[:, size : size + action_size] = scaling.actions(numbers[:, size : size + action_size])
    if scaling.reward_scale != 1 or scaling.reward_shift != 0:
        rewards = numbers[:, size + action_size]
        numbers[:, size + action_size] = scaling.reward_scale * rewards + scaling.reward_shift
