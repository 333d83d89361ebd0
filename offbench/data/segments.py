"""Segments: equally long stretches of episodes, cut out for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.rows import read_only
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int, Int64, Shaped


@dataclass(frozen=True, eq=False, repr=False)
class Segments:
    """Equally long stretches of episodes.

    Attributes:
        observations: the states acted from.
        actions: in the environment's units.
        rewards: where known; for evaluation, a learner from preferences must not see them.
        starts: the first step of each in the trajectories they were cut from, where known.
    """

    observations: Shaped[Array, "pairs length *observation"]
    actions: Shaped[Array, "pairs length action"]
    rewards: Float[Array, "pairs length"] | None = None
    starts: Int[Array, " pairs"] | None = None

    def __post_init__(self) -> None:
        for name, column in self.columns().items():
            object.__setattr__(self, name, read_only(column))

    @staticmethod
    def cut(
        trajectories: Trajectories,
        starts: Int[Array, " pairs"],
        length: int,
        offsets: Int64[Array, " bounds"] | None = None,
    ) -> Segments:
        """The ``length`` steps from each of ``starts``, none of which may cross an episode's end.

        Args:
            trajectories: where they are cut from.
            starts: the first step of each.
            length: steps of a segment.
            offsets: as those of the trajectories, which they are by default; fewer where an end in the data is none.
        """
        if trajectories.actions is None:
            raise DataError(f"{trajectories.name} has no actions; segments for preferences need them")
        starts = np.asarray(starts, dtype=np.int64)
        if length < 1 or (len(starts) and (starts.min() < 0 or starts.max() + length > trajectories.steps)):
            raise DataError(f"segments of {length} steps must lie in the {trajectories.steps} steps of the data")
        crossing = np.flatnonzero(crosses(trajectories.offsets if offsets is None else offsets, starts, length))
        if len(crossing):
            raise DataError(f"the segment from step {starts[crossing[0]]} crosses the end of its episode")
        steps = starts[:, None] + np.arange(length)
        episodes = np.searchsorted(trajectories.offsets, steps, side="right") - 1
        return Segments(
            observations=trajectories.observations[steps + episodes],
            actions=trajectories.actions[steps],
            rewards=None if trajectories.rewards is None else trajectories.rewards[steps],
            starts=starts,
        )

    def __getitem__(self, pairs: Array) -> Segments:
        return Segments(**{name: column[pairs] for name, column in self.columns().items()})

    def columns(self) -> dict[str, Array]:
        """The arrays by name, without those that are unknown."""
        named = {"observations": self.observations, "actions": self.actions}
        unsure = {"rewards": self.rewards, "starts": self.starts}
        return named | {name: column for name, column in unsure.items() if column is not None}

    @property
    def returns(self) -> Float64[Array, " pairs"]:
        """The sums of rewards."""
        if self.rewards is None:
            raise DataError("these segments have no rewards, so that they have no returns")
        returns: Array = self.rewards.sum(axis=1, dtype=np.float64)
        return returns


def segments(trajectories: Trajectories, length: int, count: int, seed: int = 0) -> Int64[Array, " {count}"]:
    """First steps of random segments that never cross an episode's end, each start equally likely.

    Raises:
        DataError: no episode has ``length`` steps.
    """
    return draw(trajectories, length, count, np.random.default_rng(seed))


def crosses(offsets: Int64[Array, " bounds"], starts: Int[Array, " pairs"], length: int) -> Bool[Array, " pairs"]:
    """Whether ``length`` steps from each of ``starts`` go past the end of an episode."""
    episodes = np.searchsorted(offsets, starts, side="right") - 1
    crossing: Array = starts + length > offsets[episodes + 1]
    return crossing


def draw(
    trajectories: Trajectories, length: int, count: int, generator: np.random.Generator
) -> Int64[Array, " {count}"]:
    """As `segments`, with a generator."""
    if length < 1:
        raise DataError(f"a segment needs at least one step, not {length}")
    room = np.maximum(0, trajectories.lengths - length + 1)  # starts in each episode
    total = int(room.sum())
    if total == 0:
        longest = trajectories.lengths.max(initial=0)
        raise DataError(f"no episode of {trajectories.name} has {length} steps; its longest has {longest}")
    drawn = generator.integers(total, size=count)
    before = np.concatenate([[0], np.cumsum(room)])
    episodes = np.searchsorted(before, drawn, side="right") - 1
    starts: Array = trajectories.offsets[episodes] + drawn - before[episodes]
    return starts
