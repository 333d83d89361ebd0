"""Transitions: the view for algorithms that learn from single steps, gathered a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64, Shaped
from torch import Tensor

from offbench.basis.shapes import Array
from offbench.data.frames import shared_tensor
from offbench.data.rows import Usable
from offbench.data.scaling import STATE_EPSILON, ActionRange, RewardTransform, Scaling
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError


class Batch(NamedTuple):
    """Transitions of several seeds. ``rewards`` are zero and ``actions`` empty where the data has none.

    Attributes:
        observations: scaled.
        actions: scaled to [-1, 1].
        rewards: transformed.
        next_observations: meaningless where terminations are 1.
        terminations: 1 where the bootstrap stops; truncations never set it.
        noise: the standard normal numbers that the algorithm asked for, by name.
        next_actions: the data's action at the next observation, zero where terminations are 1; None unless asked for.
    """

    observations: Float[Tensor, "seeds batch observation"]
    actions: Float[Tensor, "seeds batch action"]
    rewards: Float[Tensor, "seeds batch"]
    next_observations: Float[Tensor, "seeds batch observation"]
    terminations: Float[Tensor, "seeds batch"]
    noise: Mapping[str, Float[Tensor, "seeds ..."]] = {}
    next_actions: Float[Tensor, "seeds batch action"] | None = None


class Transitions:
    """All usable steps of a dataset. On a CPU the columns are the data's own: those of a mapped file stay mapped.

    Columns that are larger than a device stay at home, on the host. A batch is then gathered there and copied, or,
    where it is known what comes next, gathered ahead: `rows` and `finished` are the two halves of `batch`.

    A step is usable if its next observation is known or not needed: the last step of an episode that did not
    terminate and whose final observation was not recorded is left out. With ``next_actions`` the last step of every
    episode that did not terminate is, for no action follows it.

    Attributes:
        observations: in the dtype of the data, as all columns.
        actions: empty where the data has none.
        rewards: zero where the data has none.
        terminations: where the bootstrap stops.
        usable: which steps these are.
        next_actions: whether batches have them.
        scaling: what batches do to states, actions and rewards.
        transforms: the same as plain data, for the record of a run.
        observation_size, action_size: sizes of the vectors.
        device, dtype: of batches.
        home: where the columns are.
        ahead: whether batches are to be gathered ahead of the device.
    """

    observations: Shaped[Tensor, "rows observation"]
    actions: Shaped[Tensor, "steps action"]
    rewards: Float[Tensor, " steps"]
    terminations: Bool[Tensor, " steps"]

    def __init__(
        self,
        trajectories: Trajectories,
        normalise_states: bool = False,
        reward_transform: RewardTransform = "none",
        action_range: ActionRange | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        next_actions: bool = False,
        top_fraction: float = 1.0,
        state_epsilon: float = STATE_EPSILON,
        home: str | torch.device | None = None,
    ) -> None:
        """Index ``trajectories``, and move them home where that is not the CPU.

        Args:
            trajectories: the data; observations and actions must be vectors.
            normalise_states: standardise each state dimension by its mean and (standard deviation + state_epsilon)
                over the data.
            reward_transform: "return_range" multiplies by 1000 / (highest - lowest return of a finished episode),
                "minus_one" subtracts 1, "times_10_minus_5" and "times_100" do what they say.
            action_range: (low, high) of the task's actions; the range declared by the data if None.
            device: where batches are wanted.
            dtype: of batches.
            next_actions: give batches the data's next action.
            top_fraction: share of the episodes that are kept, those of highest return (``Trajectories.best``).
            state_epsilon: see ``normalise_states``.
            home: where the columns are kept; the device if None, else batches are to be gathered ahead of it.

        Raises:
            DataError: no usable step, observations or actions that are no vectors, an unknown or too narrow action
                range.
        """
        t = trajectories if top_fraction == 1 else trajectories.best(top_fraction)
        check_vectors(t, "transitions")
        self.usable = _usable(t, next_actions)
        if len(self.usable) == 0:
            lacking = "a second action" if next_actions else "its final observation"
            raise DataError(f"the dataset has no usable transition; every episode ends without {lacking}")
        self.device, self.dtype = torch.device(device), dtype
        self.home, self.ahead = torch.device(device if home is None else home), home is not None
        self.scaling = Scaling.of(t, self.usable, normalise_states, reward_transform, action_range, state_epsilon)
        self.transforms = self.scaling.transforms(normalise_states, reward_transform)
        if top_fraction != 1:
            kept = {"name": "best_episodes", "fraction": top_fraction, "episodes": len(t)}
            self.transforms.insert(0, kept | {"lowest_return": float(t.returns.min())})
        self.next_actions = next_actions
        self._first, self._skipped = self._tensor(self.usable.first), self._tensor(self.usable.skipped)
        self.observations, self.terminations = self._tensor(t.observations), self._tensor(t.terminations)
        self.actions = self._tensor(np.zeros((t.steps, 0), np.float32) if t.actions is None else t.actions)
        self.rewards = self._tensor(np.zeros(1, np.float32) if t.rewards is None else t.rewards).expand(t.steps)
        self.observation_size, self.action_size = self.observations.shape[1], self.actions.shape[1]
        self._numbers, self._trajectories = self._changing_numbers(), t

    @property
    def trajectories(self) -> Trajectories:
        """The data, less the episodes that ``top_fraction`` leaves out."""
        return self._trajectories

    @property
    def digest(self) -> str:
        """Of the data, not of what batches make of them."""
        return self._trajectories.digest

    @property
    def first_steps(self) -> Int64[Tensor, " episodes"]:
        """Indices of the usable steps that begin an episode, on the device."""
        first = self.usable.first
        return torch.from_numpy(first[:-1][np.diff(first) > 0]).to(self.device)

    @property
    def sources(self) -> Int64[Tensor, " transitions"]:
        """The row of ``observations`` with the state of each transition, 8 bytes each; the row after has the next."""
        return self.places(torch.arange(len(self), device=self.home))[1]

    @property
    def steps(self) -> Int64[Tensor, " transitions"] | None:
        """The row of the other columns of each transition, 8 bytes each; None where all steps are usable."""
        return None if self.usable.all else self.places(torch.arange(len(self), device=self.home))[0]

    def __len__(self) -> int:
        return len(self.usable)

    @property
    def extras(self) -> Collection[str]:
        """The names that `extra` knows."""
        return self._trajectories.extras.keys()

    def extra(self, name: str, indices: Int[Tensor, " transitions"]) -> Shaped[Array, "transitions ..."]:
        """The rows of the data's extra ``name`` that the transitions at ``indices`` act from, as the data have them.

        Raises:
            KeyError: there is none of that name.
        """
        column = self._trajectories.extras[name]
        steps, sources = self.places(indices.to(self.home))
        found: Array = column[(sources if len(column) == len(self.observations) else steps).cpu().numpy()]
        return found

    def __getitem__(self, index: int | list[int] | Int[Tensor, " transitions"]) -> dict[str, Tensor]:
        """One transition, or a row for each of several, as `batch` gives them, by name: for ``torch.utils.data``.

        Raises:
            IndexError: there is no such transition.
        """
        return row_of(self.batch, checked_indices(index, len(self)))

    def batch(self, indices: Int[Tensor, "seeds batch"]) -> Batch:
        """The transitions at ``indices``, scaled and in ``dtype``."""
        rows = self.rows(indices)
        return self.finished(rows if self.home == self.device else sent(rows, self.device))

    def rows(self, indices: Int[Tensor, "seeds batch"]) -> dict[str, Shaped[Tensor, "seeds batch ..."]]:
        """What the columns hold of the transitions at ``indices``, by names of `Batch`: at home, and as it is there."""
        steps, sources = self.places(indices.to(self.home))
        rows = {
            "observations": self.observations[sources],
            "actions": self.actions[steps],
            "rewards": self.rewards[steps],
            "next_observations": self.observations[sources + 1],
            "terminations": self.terminations[steps],
        }
        if self.next_actions:
            rows["next_actions"] = self.actions[(steps + 1).clamp(max=len(self.actions) - 1)]
        return rows

    def finished(self, rows: Mapping[str, Shaped[Tensor, "seeds batch ..."]]) -> Batch:
        """The batch of such rows, which are on the device: scaled and in ``dtype``."""
        batch = Batch(
            observations=self._scaled_states(rows["observations"]),
            actions=self._scaled_actions(rows["actions"]),
            rewards=self._scaled_rewards(rows["rewards"]),
            next_observations=self._scaled_states(rows["next_observations"]),
            terminations=rows["terminations"].to(self.dtype),
        )
        if not self.next_actions:
            return batch
        following = self._scaled_actions(rows["next_actions"])
        return batch._replace(next_actions=following * (1 - batch.terminations).unsqueeze(-1))

    def places(self, indices: Int[Tensor, " *chosen"]) -> tuple[Int[Tensor, " *chosen"], Int64[Tensor, " *chosen"]]:
        """Of the transitions at ``indices`` the steps, and the rows of ``observations`` that they act from."""
        episodes = torch.searchsorted(self._first, indices.contiguous(), right=True) - 1
        steps = indices if self.usable.all else indices + self._skipped[episodes]
        return steps, steps + episodes

    def rescale(self, scaling: Scaling, normalise_states: bool, reward_transform: RewardTransform) -> None:
        """Scale batches otherwise, as where these are a part of the data that a learner sees."""
        self.scaling, self.transforms = scaling, scaling.transforms(normalise_states, reward_transform)
        self._numbers = self._changing_numbers()

    def _scaled_states(self, rows: Shaped[Tensor, "*chosen observation"]) -> Float[Tensor, "*chosen observation"]:
        states = rows.to(self.dtype)
        if "normalise_states" not in self._numbers:
            return states
        mean, std = self._numbers["normalise_states"]
        return (states - mean) / std

    def _scaled_actions(self, rows: Shaped[Tensor, "*chosen action"]) -> Float[Tensor, "*chosen action"]:
        actions = rows.to(self.dtype)
        if "scale_actions" not in self._numbers or not self.action_size:  # a part without actions has their range
            return actions
        low, high = self._numbers["scale_actions"]
        return 2 * (actions - low) / (high - low) - 1

    def _scaled_rewards(self, rows: Shaped[Tensor, " *chosen"]) -> Float[Tensor, " *chosen"]:
        rewards = rows.to(self.dtype)
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
        return {name: [shared_tensor(number).to(self.device, self.dtype) for number in pairs[name]] for name in names}

    def _tensor(self, column: Array) -> Tensor:
        """The column at home, and on a CPU the very same memory."""
        return shared_tensor(column).to(self.home)


def sent(rows: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The rows on the device."""
    return {name: values.to(device) for name, values in rows.items()}


def checked_indices(index: int | list[int] | Int[Tensor, " transitions"], count: int) -> Int[Tensor, " *transitions"]:
    """The numbers as a tensor, those from the end resolved; an IndexError where one is not among ``count``."""
    numbers = torch.as_tensor(index)
    if (
        numbers.dtype.is_floating_point
        or numbers.dtype == torch.bool
        or ((numbers < -count) | (numbers >= count)).any()
    ):
        raise IndexError(f"{index} is no number, or list of numbers, of the {count} that there are")
    return torch.where(numbers < 0, numbers + count, numbers)


def row_of(batch: Callable[[Tensor], Any], indices: Int[Tensor, " *transitions"]) -> dict[str, Tensor]:
    """What ``batch`` gives at the indices, of any shape, by name, without what is no tensor."""
    given = batch(indices.reshape(1, -1))._asdict()
    return {n: v[0].reshape((*indices.shape, *v.shape[2:])) for n, v in given.items() if isinstance(v, Tensor)}


def check_vectors(t: Trajectories, wanted: str) -> None:
    """Refuse observations or actions that are no vectors, with a DataError; ``wanted`` is what needs them."""
    for name, column in (("observations", t.observations), ("actions", t.actions)):
        if column is not None and column.ndim != 2:
            right = f"({len(column)}, {int(np.prod(column.shape[1:]))})"
            raise DataError(
                f"{wanted} need {name} that are vectors, not of shape {column.shape[1:]} as those of {t.name}; "
                f"{right} would be right for all of them"
            )


def _usable(t: Trajectories, next_actions: bool) -> Usable:
    """The steps whose next observation, and next action where that is asked for, is known or not needed."""
    assert t.final_observations is not None
    known = t.final_observations & (not next_actions)
    return Usable.of(t.offsets, ~(known | t.terminations[t.offsets[1:] - 1]))
