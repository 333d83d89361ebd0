"""Small data whose reward is linear, and preferences about them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offbench.data.preference_data import PreferenceData
from offbench.data.preferences import Preferences
from offbench.data.segments import Segments
from offbench.data.supervision import compare
from offbench.data.trajectories import Provenance, Trajectories

WEIGHTS = np.array([1.0, -2.0, 0.5, 0.0, 1.0], np.float32)  # of three states and two actions


def linear(episodes: int = 60, length: int = 50, seed: int = 0, lengths: list[int] | None = None) -> Trajectories:
    """Episodes of random states and actions, each around a mean of its own, whose reward is linear in both."""
    rng = np.random.default_rng(seed)
    lengths = [length] * episodes if lengths is None else lengths
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    steps, count = int(offsets[-1]), len(lengths)
    of_rows = np.repeat(np.arange(count), np.array(lengths) + 1)
    observations = (0.5 * rng.normal(size=(count, 3))[of_rows] + rng.normal(size=(steps + count, 3))).astype(np.float32)
    actions = rng.uniform(-1, 1, (steps, 2)).astype(np.float32)
    sources = np.arange(steps) + np.repeat(np.arange(count), lengths)
    ends = np.isin(np.arange(1, steps + 1), offsets[1:])
    return Trajectories(
        observations=observations,
        offsets=offsets,
        terminations=np.zeros(steps, bool),
        truncations=ends,
        actions=actions,
        rewards=np.concatenate([observations[sources], actions], 1) @ WEIGHTS,
        action_range=(-np.ones(2, np.float32), np.ones(2, np.float32)),
        provenance=Provenance(dataset="linear"),
    )


def compared(pairs: int = 200, length: int = 8, **options) -> PreferenceData:
    """`linear` with comparisons in the place of rewards."""
    return compare(linear(**options), pairs, length)


def unplaced(preferences: Preferences) -> Preferences:
    """The same without the steps that the segments were cut from, as in published files."""
    first, second = (replace(side, starts=None, rewards=None) for side in (preferences.first, preferences.second))
    return replace(preferences, first=first, second=second)


def judged(pairs: int, labels: list[float] | None = None, length: int = 4, seed: int = 0) -> Preferences:
    """Pairs of random segments."""
    rng = np.random.default_rng(seed)
    first, second = (
        Segments(
            rng.normal(size=(pairs, length, 3)).astype(np.float32),
            rng.normal(size=(pairs, length, 2)).astype(np.float32),
        )
        for _ in range(2)
    )
    chosen = rng.choice([0, 0.5, 1], pairs) if labels is None else labels
    return Preferences(first, second, np.array(chosen, np.float32))
