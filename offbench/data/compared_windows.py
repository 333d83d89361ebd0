"""The view of preferences for algorithms that read stretches of episodes: pairs, and windows of the trajectories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Int64, Shaped
from torch import Tensor

from offbench.data.partial_views import PairColumns
from offbench.data.preference_data import PreferenceData
from offbench.data.scaling import ActionRange
from offbench.data.segments import Segments
from offbench.data.sequences import SequenceBatch, Sequences
from offbench.data.trajectories import Trajectories
from offbench.data.transitions import sent
from offbench.errors import DataError

Times = Literal["episode", "window"]


class ComparedWindowsBatch(NamedTuple):
    """Pairs of segments with their labels, and windows without rewards.

    Attributes:
        first_observations, first_actions, second_observations, second_actions: the segments, scaled.
        labels: the share by which the second is preferred: 0, 1/2 or 1.
        first_times, second_times: number of each segment's first step in its episode, or 0.
        windows: of the trajectories, as many as pairs; ``rewards`` and ``returns_to_go`` are zero. See `SequenceBatch`.
        noise: the standard normal numbers that the algorithm asked for, by name.
    """

    first_observations: Float[Tensor, "seeds batch length observation"]
    first_actions: Float[Tensor, "seeds batch length action"]
    second_observations: Float[Tensor, "seeds batch length observation"]
    second_actions: Float[Tensor, "seeds batch length action"]
    labels: Float[Tensor, "seeds batch"]
    first_times: Int64[Tensor, "seeds batch"]
    second_times: Int64[Tensor, "seeds batch"]
    windows: SequenceBatch
    noise: Mapping[str, Float[Tensor, "seeds ..."]] = {}


class ComparedWindows:
    """Pairs and windows of `PreferenceData`, scaled alike.

    Attributes:
        windows: those of the trajectories, with zeros for rewards.
        scaling, transforms, observation_size, action_size, device, dtype: as those of `Sequences`.
    """

    def __init__(
        self,
        data: PreferenceData,
        context: int = 20,
        times: Times = "episode",
        episode_limit: int | None = None,
        normalise_states: bool = False,
        action_range: ActionRange | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        home: str | torch.device | None = None,
    ) -> None:
        """Index the windows, and move the segments to the device.

        Args:
            data: trajectories with actions, and pairs.
            context: steps of a window of the trajectories.
            times: whether steps are numbered from the start of their episode, or from that of window and segment.
            episode_limit: see `Sequences`, as all further arguments.
            normalise_states: see there.
            action_range: see there.
            device: see there.
            dtype: see there.
            home: see there.

        Raises:
            DataError: ``times`` is episode and it is unknown where the segments were cut, or see `Sequences`.
        """
        trajectories = data.trajectories
        bare = replace(trajectories, rewards=np.zeros(trajectories.steps, np.float32))
        self.windows = Sequences(
            bare,
            context,
            episode_limit=episode_limit,
            normalise_states=normalise_states,
            action_range=action_range,
            device=device,
            dtype=dtype,
            home=home,
        )
        self.home, self.ahead = self.windows.home, self.windows.ahead
        self.scaling, self.transforms = self.windows.scaling, self.windows.transforms
        self.observation_size, self.action_size = self.windows.observation_size, self.windows.action_size
        self.device, self.dtype = self.windows.device, dtype
        self._columns, self._by_window = PairColumns(data.preferences, self.scaling, device, dtype), times == "window"
        self._times = [
            torch.from_numpy(_first_times(trajectories, side, times)).to(self.device)
            for side in (data.preferences.first, data.preferences.second)
        ]

    def __len__(self) -> int:
        return len(self._columns) * len(self.windows)

    def batch(self, indices: Int[Tensor, "seeds batch"]) -> ComparedWindowsBatch:
        """The pairs and the windows at ``indices``."""
        rows = self.rows(indices)
        return self.finished(rows if self.home == self.device else sent(rows, self.device))

    def rows(self, indices: Int[Tensor, "seeds batch"]) -> dict[str, Shaped[Tensor, "seeds batch ..."]]:
        """The numbers of the pairs, which are on the device, and what the columns hold, see `Sequences.rows`."""
        count = len(self._columns)
        return {"pairs": (indices % count).to(self.home)} | self.windows.rows(indices // count)

    def finished(self, rows: Mapping[str, Shaped[Tensor, "seeds batch ..."]]) -> ComparedWindowsBatch:
        """The batch of such rows, which are on the device."""
        pairs, windows = rows["pairs"], self.windows.finished(rows)
        if self._by_window:
            windows = windows._replace(timesteps=windows.timesteps - windows.timesteps[:, :, :1])
        first, second = (times[pairs] for times in self._times)
        return ComparedWindowsBatch(*self._columns.at(pairs), first, second, windows)


def _first_times(
    trajectories: Trajectories, side: Segments, times: Times
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Of each segment the number of its first step, by the episode or 0."""
    if times == "window":
        return np.zeros(len(side.actions), np.int64)
    if side.starts is None:
        raise DataError(
            f"it is unknown where in the episodes of {trajectories.name} the compared segments begin; times of the "
            "kind window do without"
        )
    starts = np.asarray(side.starts, np.int64)
    episodes = np.searchsorted(trajectories.offsets, starts, side="right") - 1
    return starts - trajectories.offsets[episodes]
