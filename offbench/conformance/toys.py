"""Small datasets on which every algorithm can show what it must do."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.learned import Learned
from offbench.data.preference_data import PreferenceData
from offbench.data.supervision import SemiSupervised, compare, hide_actions
from offbench.data.trajectories import Trajectories
from offbench.training.views import requirements

OBSERVATION, ACTION = 3, 2  # sizes of the vectors
LEARNING_STEPS = 2_000  # updates in which the best actions have to be found, unless others are asked for


def best_actions(observations: Array) -> Array:
    """The actions (..., 2) that earn most at unscaled observations (..., 3) of `toy`."""
    best: Array = 0.7 * np.tanh(2 * observations[..., :ACTION])
    return best


def as_asked(found: Any, data: Trajectories, pairs: int = 200) -> Learned:
    """The data as an algorithm or a learner asks for them: half of the episodes without actions, or comparisons."""
    kind, _ = requirements(found)
    if kind is SemiSupervised:
        return hide_actions(data, labelled=0.5, quantile=1.0)
    if kind is PreferenceData:
        return compare(data, pairs, length=min(5, int(data.lengths.min())))
    return data


def toy(
    episodes: int = 20,
    length: int = 15,
    scale: float = 1.0,
    ends: Literal["both", "terminated", "truncated"] = "both",
) -> Trajectories:
    """Episodes whose states are drawn independently of actions, so that each step is a problem of its own.

    Actions are the best ones with noise of standard deviation 0.3; rewards are minus four times the squared distance to
    the best ones. Imitation therefore leads to the best actions, and so does the maximum of any sound value.

    Args:
        episodes: their number.
        length: steps of each.
        scale: factor of states and rewards.
        ends: whether the first half of the episodes is terminated and the other truncated, or all one of both.
    """
    generator = np.random.default_rng(0)
    steps = episodes * length
    observations = generator.normal(size=(steps + episodes, OBSERVATION)).astype(np.float32)
    best = best_actions(observations[np.arange(steps) + np.repeat(np.arange(episodes), length)])
    actions = np.clip(best + 0.3 * generator.normal(size=best.shape), -1, 1).astype(np.float32)
    rewards = -4 * ((actions - best) ** 2).sum(1)
    last = np.arange(1, steps + 1) % length == 0
    terminated = {"both": np.arange(steps) < steps // 2, "terminated": True, "truncated": False}[ends]
    return Trajectories(
        observations=observations * np.float32(scale),
        offsets=np.arange(0, steps + 1, length, dtype=np.int64),
        terminations=last & terminated,
        truncations=last & ~np.asarray(terminated),
        actions=actions,
        rewards=(rewards * scale).astype(np.float32),
        action_range=(-np.ones(ACTION, np.float32), np.ones(ACTION, np.float32)),
    )
