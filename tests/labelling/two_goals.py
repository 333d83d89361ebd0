"""The unit square with two goals: each rater wants one of them, and prefers of two places what is nearer to it."""

from __future__ import annotations

import numpy as np

from offbench.data.preferences import Preferences
from offbench.data.segments import Segments

GOALS = np.array([[0.8, 0.1], [0.8, 0.9]])


def rated(raters: int, pairs: int, seed: int) -> tuple[Preferences, np.ndarray]:
    """Preferences of so many raters, so many pairs each; and the goal (raters,) that each one wants."""
    rng = np.random.default_rng(seed)
    wants = rng.integers(2, size=raters)
    places = rng.random((2, raters, pairs, 2))
    far = np.linalg.norm(places - GOALS[wants][:, None], axis=-1)
    sides = [Segments(side.reshape(-1, 1, 2), np.zeros((raters * pairs, 1, 1))) for side in places]
    labels = (far[1] < far[0]).reshape(-1).astype(np.float32)
    return Preferences(sides[0], sides[1], labels, raters=np.repeat(np.arange(raters), pairs)), wants
