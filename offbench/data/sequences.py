"""Sequences: the view for algorithms that learn from stretches of episodes, gathered a batch at a time.

A window begins at any step with equal chance, hence in an episode in proportion to its length, and ends after K steps
or with its episode, be that a termination or a truncation. What is missing to K steps is padded at the end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Int64, Shaped
from torch import Tensor

from offbench.basis.files import room_for
from offbench.basis.shapes import Array
from offbench.data.rows import blocks
from offbench.data.scaling import SEQUENCE_STATE_EPSILON, ActionRange
from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions, check_vectors, checked_indices, row_of, sent
from offbench.errors import DataError


class SequenceBatch(NamedTuple):
    """Windows of several seeds. Where ``mask`` is 0, all numbers but ``timesteps`` are 0.

    Attributes:
        observations: scaled.
        actions: scaled to [-1, 1].
        rewards: as the environment gave them.
        returns_to_go: undiscounted sum of this and all later rewards of the episode over the scale.
        timesteps: number of the step in its episode; goes on counting where the mask is 0.
        mask: 1 at steps of the episode and 0 after its end.
        noise: the standard normal numbers that the algorithm asked for, by name.
    """

    observations: Float[Tensor, "seeds batch context observation"]
    actions: Float[Tensor, "seeds batch context action"]
    rewards: Float[Tensor, "seeds batch context"]
    returns_to_go: Float[Tensor, "seeds batch context"]
    timesteps: Int64[Tensor, "seeds batch context"]
    mask: Float[Tensor, "seeds batch context"]
    noise: Mapping[str, Float[Tensor, "seeds ..."]] = {}


class Sequences:
    """Windows of K steps of a dataset, one for each first step. On a CPU, columns of a mapped file stay mapped.

    A last episode that carries no flag was cut off in recording: what it would have earned is unknown, and it is left
    out, as in CORL.

    Attributes:
        observations, actions, rewards: the data's columns, as in `Transitions`.
        offsets: the first step of each episode and the number of steps at the end.
        returns_to_go: summed in float64, over the scale; of large data in a file that is gone with the view.
        context: K.
        trajectories: the data.
        scaling: what batches do to states and actions.
        transforms: what lies between data and learner as plain data, for the record of a run.
        observation_size, action_size: sizes of the vectors.
        device, dtype: of batches.
        home, ahead: where the columns are, as in `Transitions`.
    """

    observations: Shaped[Tensor, "rows observation"]
    actions: Shaped[Tensor, "steps action"]
    rewards: Float[Tensor, " steps"]
    offsets: Int64[Tensor, " bounds"]
    returns_to_go: Float[Tensor, " steps"]

    def __init__(
        self,
        trajectories: Trajectories,
        context: int = 20,
        return_scale: float = 1.0,
        episode_limit: int | None = None,
        normalise_states: bool = False,
        action_range: ActionRange | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        home: str | torch.device | None = None,
    ) -> None:
        """Index ``trajectories``, and move them home where that is not the CPU.

        Args:
            trajectories: the data, with actions and rewards; observations and actions must be vectors.
            context: K, steps of a window.
            return_scale: returns-to-go are divided by it.
            episode_limit: most steps that an episode may have; any number if None.
            normalise_states: as in `Transitions`, as are all further arguments, with an epsilon of 1e-6 as in CORL.
            action_range: (low, high) of the task's actions; the range declared by the data if None.
            device: where batches are wanted.
            dtype: of batches.
            home: where the columns are kept, the device if None.

        Raises:
            DataError: no actions or rewards, no finished episode, one above the limit, or what `Transitions` refuses.
        """
        if trajectories.actions is None or trajectories.rewards is None:
            raise DataError(f"sequences need actions and rewards, and {trajectories.name} lacks one of them")
        check_vectors(trajectories, "sequences")
        unfinished = _unfinished(trajectories)
        offsets = trajectories.offsets[: len(trajectories) + 1 - unfinished]
        longest = int(trajectories.lengths.max(initial=0))
        if episode_limit is not None and longest > episode_limit:
            raise DataError(
                f"an episode of {trajectories.name} has {longest} steps, more than episode_limit {episode_limit}; "
                "give a larger one"
            )
        rows = Transitions(
            trajectories,
            normalise_states,
            "none",
            action_range,
            device,
            dtype,
            state_epsilon=SEQUENCE_STATE_EPSILON,
            home=home,
        )
        self.home, self.ahead = rows.home, rows.ahead
        self.observations, self.actions, self.rewards = rows.observations, rows.actions, rows.rewards
        self.observation_size, self.action_size = rows.observation_size, rows.action_size
        self.scaling, self.device, self.dtype, self.context = rows.scaling, rows.device, dtype, context
        self.transforms = rows.transforms + _describe(unfinished, return_scale)
        self.offsets = torch.from_numpy(offsets.copy()).to(self.home)
        to_go = _scaled_to_go(trajectories.rewards, offsets, return_scale, dtype)
        self.returns_to_go = torch.from_numpy(to_go).to(self.home)
        self.trajectories = trajectories
        numbers = (self.scaling.mean, self.scaling.std, self.scaling.low, self.scaling.high)
        self._mean, self._std, self._low, self._high = (torch.tensor(n, dtype=dtype, device=device) for n in numbers)

    def __len__(self) -> int:
        return len(self.returns_to_go)

    def __getitem__(self, index: int | list[int] | Int[Tensor, " transitions"]) -> dict[str, Tensor]:
        """One window, or a row for each of several, as `batch` gives them, by name: for ``torch.utils.data``.

        Raises:
            IndexError: there is no such window.
        """
        return row_of(self.batch, checked_indices(index, len(self)))

    def batch(self, indices: Int[Tensor, "seeds batch"]) -> SequenceBatch:
        """The windows that begin at the steps ``indices``, scaled and in ``dtype``."""
        rows = self.rows(indices)
        return self.finished(rows if self.home == self.device else sent(rows, self.device))

    def rows(self, indices: Int[Tensor, "seeds batch"]) -> dict[str, Shaped[Tensor, "seeds batch ..."]]:
        """What the columns hold of these windows, by its name in `SequenceBatch`: at home, and as it is there."""
        window, episode = self._windows(indices.to(self.home))
        steps = torch.minimum(window, self.offsets[episode + 1] - 1)
        return {
            "observations": self.observations[steps + episode],
            "actions": self.actions[steps],
            "rewards": self.rewards[steps],
            "returns_to_go": self.returns_to_go[steps],
            "timesteps": window - self.offsets[episode],
            "mask": window < self.offsets[episode + 1],
        }

    def places(
        self, indices: Int[Tensor, "seeds batch"]
    ) -> tuple[Int[Tensor, "seeds batch context"], Int64[Tensor, "seeds batch context"]]:
        """Of the steps of these windows the numbers in the data, and the rows of ``observations`` that they act from.

        What is padded has those of its episode's last step.
        """
        window, episode = self._windows(indices)
        steps = torch.minimum(window, self.offsets[episode + 1] - 1)
        return steps, steps + episode

    def _windows(
        self, indices: Int[Tensor, "seeds batch"]
    ) -> tuple[Int64[Tensor, "seeds batch context"], Int64[Tensor, "seeds batch one"]]:
        """Numbers of the steps in windows, if episodes did not end, and those of the episodes."""
        first = indices.unsqueeze(-1).contiguous()
        episode = torch.searchsorted(self.offsets, first, right=True) - 1
        return first + torch.arange(self.context, device=self.home), episode

    def finished(self, rows: Mapping[str, Shaped[Tensor, "seeds batch ..."]]) -> SequenceBatch:
        """The batch of such rows, which are on the device: scaled and in ``dtype``."""
        mask = rows["mask"].to(self.dtype)
        states = (rows["observations"].to(self.dtype) - self._mean) / self._std
        actions = 2 * (rows["actions"].to(self.dtype) - self._low) / (self._high - self._low) - 1
        return SequenceBatch(
            observations=states * mask.unsqueeze(-1),
            actions=actions * mask.unsqueeze(-1),
            rewards=rows["rewards"].to(self.dtype) * mask,
            returns_to_go=rows["returns_to_go"] * mask,
            timesteps=rows["timesteps"],
            mask=mask,
        )


def _scaled_to_go(rewards: Array, offsets: Array, scale: float, dtype: torch.dtype) -> Array:
    """`returns_to_go` over the scale in ``dtype``; only a few episodes at a time are kept in float64."""
    sums = room_for(int(offsets[-1]), np.float64 if dtype == torch.float64 else np.float32)
    for first, last in blocks(offsets, _BLOCK):
        start, stop = int(offsets[first]), int(offsets[last])
        sums[start:stop] = returns_to_go(rewards[start:stop], offsets[first : last + 1] - start) / scale
    return sums


_BLOCK = 2**20  # steps


def returns_to_go(rewards: Float[Array, " _"], offsets: Int64[Array, " bounds"]) -> Float64[Array, " steps"]:
    """The undiscounted sum of this and all later rewards of the same episode.

    Of the rewards those up to the last of ``offsets`` count.
    """
    sums = np.empty(int(offsets[-1]))
    # Episode by episode, since the difference of two sums over the whole data would lose small rewards.
    for first, last in pairwise(offsets.tolist()):
        sums[first:last] = np.cumsum(rewards[first:last][::-1], dtype=np.float64)[::-1]
    return sums


FACTS = ("evaluation_target", "keep_above", "return_scale", "episode_limit")


def facts(
    trajectories: Trajectories, episode_limit: int | None, wanted: Collection[str] = FACTS
) -> dict[str, float | int]:
    """Those `FACTS` that are ``wanted``: what hyperparameters of these names are where nobody gives them.

    ``evaluation_target`` and ``keep_above``: the highest return of an episode; ``return_scale``: the largest absolute
    one, 1 if all are 0; ``episode_limit``: the longer of ``episode_limit`` and the longest episode, steps. Unfinished
    episodes have no return that counts.

    Raises:
        DataError: no episode; or no finished one, or no rewards, for what is a matter of returns.
    """
    if len(trajectories) == 0:
        raise DataError(f"{trajectories.name} has no episode")
    found: dict[str, float | int] = {"episode_limit": max(episode_limit or 0, int(trajectories.lengths.max()))}
    if set(wanted) - {"episode_limit"}:
        returns = trajectories.returns[: len(trajectories) - _unfinished(trajectories)]
        found |= {"evaluation_target": float(returns.max()), "keep_above": float(returns.max())}
        found["return_scale"] = float(np.abs(returns).max()) or 1.0
    return {name: found[name] for name in wanted}


def _unfinished(t: Trajectories) -> int:
    """1 if the last episode carries no flag, else 0."""
    if not t.unfinished:
        return 0
    if len(t) == 1:
        raise DataError(
            f"the only episode of {t.name} ends without a flag, so its returns-to-go are unknown; "
            "flag its last step as a termination or truncation"
        )
    return 1


def _describe(unfinished: int, return_scale: float) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = []
    if unfinished:
        described.append({"name": "leave_out_unfinished_episodes", "episodes": unfinished})
    if return_scale != 1:
        described.append({"name": "scale_returns_to_go", "divisor": return_scale})
    return described
