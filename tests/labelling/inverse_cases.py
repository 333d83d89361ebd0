"""Data whose actions follow from two states, in part without them."""

from __future__ import annotations

import numpy as np

from offbench.data.supervision import SemiSupervised, hide_actions
from offbench.data.trajectories import Provenance, Trajectories


def moves(episodes: int = 20, length: int = 10, seed: int = 0, low: float = -2.0, high: float = 4.0) -> Trajectories:
    """s' = 0.9 s + a in the plane, actions uniform within their range; returns rise from episode to episode."""
    rng = np.random.default_rng(seed)
    steps, rows = episodes * length, episodes * (length + 1)
    actions = rng.uniform(low, high, (steps, 2)).astype(np.float32)
    observations = np.zeros((rows, 2), np.float32)
    for episode in range(episodes):
        first = episode * (length + 1)
        observations[first] = rng.normal(size=2)
        for step in range(length):
            here = observations[first + step]
            observations[first + step + 1] = 0.9 * here + actions[episode * length + step]
    ends = np.arange(1, steps + 1) % length == 0
    return Trajectories(
        observations=observations,
        offsets=np.arange(0, steps + 1, length, dtype=np.int64),
        terminations=np.zeros(steps, dtype=bool),
        truncations=ends,
        actions=actions,
        rewards=np.repeat(np.arange(episodes), length).astype(np.float32),
        action_range=(np.full(2, low, np.float32), np.full(2, high, np.float32)),
        provenance=Provenance(dataset="moves"),
    )


def partly(labelled: float = 0.5, **options) -> SemiSupervised:
    """`moves`, of which a share of the episodes have their actions."""
    return hide_actions(moves(**options), labelled, quantile=1.0)
