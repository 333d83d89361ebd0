"""Views for subclasses of Algorithm that learn with less: a part without actions, or comparisons for rewards.

An index stands for a row of each part: they are drawn independently, although a batch has one index a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from offbench.basis.shapes import Array
from offbench.data.preference_data import PreferenceData
from offbench.data.preferences import Preferences
from offbench.data.scaling import ActionRange, RewardTransform, Scaling
from offbench.data.supervision import SemiSupervised
from offbench.data.transitions import Batch, Transitions, sent


class PartlyLabelledBatch(NamedTuple):
    """Transitions with actions, and as many without (their ``actions`` are empty).

    Attributes:
        labelled, action_free: see `Batch`.
        noise: the standard normal numbers that the algorithm asked for, by name.
    """

    labelled: Batch
    action_free: Batch
    noise: Mapping[str, Float[Tensor, "seeds ..."]] = {}


class PartlyLabelled:
    """Transitions of both parts of `SemiSupervised`, states scaled by the statistics of all.

    Attributes:
        labelled, action_free: the parts.
        scaling, transforms, observation_size, action_size, device, dtype: as those of `Transitions`.
    """

    def __init__(
        self,
        data: SemiSupervised,
        normalise_states: bool = False,
        reward_transform: RewardTransform = "none",
        action_range: ActionRange | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        home: str | torch.device | None = None,
    ) -> None:
        """Index both parts; see `Transitions`.

        Raises:
            DataError: see `Transitions`.
        """
        options: dict[str, Any] = {
            "normalise_states": normalise_states,
            "device": device,
            "dtype": dtype,
            "home": home,
        }
        self.labelled = Transitions(data.labelled, action_range=action_range, **options)
        self.action_free = Transitions(data.action_free, **options)
        own, free = self.labelled.scaling, self.action_free.scaling
        mean, std = own.mean, own.std
        if normalise_states:
            mean, std = _pooled((len(self.labelled), own), (len(self.action_free), free))
        # Rewards by what both parts earn: one transform for all.
        rewards = Scaling.of(data.labelled, self.labelled.usable, False, reward_transform, action_range)
        self.scaling = Scaling(mean, std, own.low, own.high, rewards.reward_scale, rewards.reward_shift)
        for part in (self.labelled, self.action_free):
            part.rescale(self.scaling, normalise_states, reward_transform)
        self.transforms = self.labelled.transforms
        self.observation_size, self.action_size = self.labelled.observation_size, self.labelled.action_size
        self.device, self.dtype = self.labelled.device, dtype
        self.home, self.ahead = self.labelled.home, self.labelled.ahead

    def __len__(self) -> int:
        return len(self.labelled) * len(self.action_free)

    def batch(self, indices: Int[Tensor, "seeds batch"]) -> PartlyLabelledBatch:
        """The transitions of both parts at ``indices``."""
        rows = self.rows(indices)
        return self.finished(rows if self.home == self.device else sent(rows, self.device))

    def rows(self, indices: Int[Tensor, "seeds batch"]) -> dict[str, Shaped[Tensor, "seeds batch ..."]]:
        """What the columns of both parts hold, see `Transitions.rows`."""
        count = len(self.labelled)
        own, free = self.labelled.rows(indices % count), self.action_free.rows(indices // count)
        return _prefixed("labelled", own) | _prefixed("action_free", free)

    def finished(self, rows: Mapping[str, Shaped[Tensor, "seeds batch ..."]]) -> PartlyLabelledBatch:
        """The batch of such rows, which are on the device."""
        own, free = _without("labelled", rows), _without("action_free", rows)
        return PartlyLabelledBatch(self.labelled.finished(own), self.action_free.finished(free))


def _prefixed(part: str, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{part}/{name}": values for name, values in rows.items()}


def _without(part: str, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}/"): values for name, values in rows.items() if name.startswith(f"{part}/")}


def _pooled(*parts: tuple[int, Scaling]) -> tuple[Float[Array, " observation"], Float[Array, " observation"]]:
    """Mean and standard deviation of the states of several parts together, each of a count."""
    total = sum(count for count, _ in parts)
    mean = sum((count * scaling.mean.astype(np.float64) for count, scaling in parts), np.zeros(1)) / total
    squares = [count * (scaling.std.astype(np.float64) ** 2 + (scaling.mean - mean) ** 2) for count, scaling in parts]
    return mean.astype(np.float32), np.sqrt(sum(squares, np.zeros(1)) / total).astype(np.float32)


class PairColumns:
    """The segments and labels of pairs on the device, scaled as a learner sees states and actions."""

    def __init__(
        self, preferences: Preferences, scaling: Scaling, device: str | torch.device, dtype: torch.dtype
    ) -> None:
        self.device, self.dtype = torch.device(device), dtype
        s = scaling
        self._sides = [
            (
                (self._tensor(side.observations) - self._tensor(s.mean)) / self._tensor(s.std),
                2 * (self._tensor(side.actions) - self._tensor(s.low)) / self._tensor(s.high - s.low) - 1,
            )
            for side in (preferences.first, preferences.second)
        ]
        self._labels = self._tensor(preferences.labels)

    def _tensor(self, column: Array) -> Tensor:
        """A copy of the column on the device, in the dtype of batches."""
        return torch.from_numpy(np.array(column)).to(device=self.device, dtype=self.dtype)

    def __len__(self) -> int:
        return len(self._labels)

    def at(self, pairs: Int[Tensor, "seeds pairs"]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The first five fields of `ComparedBatch` for the pairs of these numbers."""
        (states, actions), (other_states, other_actions) = self._sides
        return states[pairs], actions[pairs], other_states[pairs], other_actions[pairs], self._labels[pairs]


class ComparedBatch(NamedTuple):
    """Pairs of segments with their labels, and transitions without rewards.

    Attributes:
        first_observations, first_actions, second_observations, second_actions: the segments, scaled.
        labels: the share by which the second is preferred: 0, 1/2 or 1.
        transitions: of the trajectories; their ``rewards`` are zero. See `Batch`.
        noise: the standard normal numbers that the algorithm asked for, by name.
    """

    first_observations: Float[Tensor, "seeds pairs length observation"]
    first_actions: Float[Tensor, "seeds pairs length action"]
    second_observations: Float[Tensor, "seeds pairs length observation"]
    second_actions: Float[Tensor, "seeds pairs length action"]
    labels: Float[Tensor, "seeds pairs"]
    transitions: Batch
    noise: Mapping[str, Float[Tensor, "seeds ..."]] = {}


class Compared:
    """Pairs and transitions of `PreferenceData`, scaled alike.

    Attributes:
        transitions: those of the trajectories.
        scaling, transforms, observation_size, action_size, device, dtype: as those of `Transitions`.
    """

    def __init__(
        self,
        data: PreferenceData,
        normalise_states: bool = False,
        action_range: ActionRange | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        home: str | torch.device | None = None,
        pairs: int | None = None,
    ) -> None:
        """Index the transitions, and move the segments to the device.

        With ``pairs`` a batch has that many of them, those of its first indices; else one an index. All other
        arguments are those of `Transitions`.

        Raises:
            DataError: see `Transitions`.
        """
        self.transitions = Transitions(
            data.trajectories, normalise_states, action_range=action_range, device=device, dtype=dtype, home=home
        )
        self.home, self.ahead = self.transitions.home, self.transitions.ahead
        self.scaling, self.transforms = self.transitions.scaling, self.transitions.transforms
        self.observation_size, self.action_size = self.transitions.observation_size, self.transitions.action_size
        self.device, self.dtype = self.transitions.device, dtype
        self._columns, self._count = PairColumns(data.preferences, self.scaling, device, dtype), pairs

    def __len__(self) -> int:
        return len(self._columns) * len(self.transitions)

    def batch(self, indices: Int[Tensor, "seeds batch"]) -> ComparedBatch:
        """The transitions at ``indices``, and the pairs at as many of them as are wanted."""
        rows = self.rows(indices)
        return self.finished(rows if self.home == self.device else sent(rows, self.device))

    def rows(self, indices: Int[Tensor, "seeds batch"]) -> dict[str, Shaped[Tensor, "seeds batch ..."]]:
        """The numbers of the pairs, which are on the device, and what the columns hold, see `Transitions.rows`."""
        count = len(self._columns)
        return {"pairs": (indices % count).to(self.home)} | self.transitions.rows(indices // count)

    def finished(self, rows: Mapping[str, Shaped[Tensor, "seeds batch ..."]]) -> ComparedBatch:
        """The batch of such rows, which are on the device."""
        pairs = self._columns.at(rows["pairs"][:, : self._count])
        return ComparedBatch(*pairs, self.transitions.finished(rows))
