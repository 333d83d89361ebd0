"""Controllers for Gymnasium's InvertedPendulum-v5, InvertedDoublePendulum-v5 and Reacher-v5: what earns 100 there.

The gains of the pendulums are those of a linear-quadratic regulator for their dynamics about the upright state
(finite differences of one step; squares of place and angles weigh 1 to 10, of speeds 0.1, of the action 1).
"""

from __future__ import annotations

import numpy as np

from offbench.basis.shapes import Array
from offbench.behaviours.pendulum_controllers import wrap

# Of the cart's place and the angles, then of their speeds.
_PENDULUM = np.array([0.74, 6.02, 0.87, 1.01])
_DOUBLE_PENDULUM = -np.array([0.21, 1.81, 5.57, 0.31, 0.90, 0.85])
# Reacher's links, m, and gains of angle and speed.
_LENGTHS = 0.1, 0.11
_STIFFNESS, _DAMPING = 0.25, 0.05


class Balance:
    """Keeps an inverted pendulum, or a double one, upright: linear feedback of its state."""

    def __init__(self, *, double: bool) -> None:
        self._double = double

    def act(self, observations: Array) -> Array:
        """Actions (environments, 1)."""
        if not self._double:
            single: Array = (observations @ _PENDULUM)[:, None]
            return single
        sines, cosines = observations[:, 1:3], observations[:, 3:5]
        state = np.concatenate([observations[:, :1], np.arctan2(sines, cosines), observations[:, 5:8]], axis=1)
        double: Array = (state @ _DOUBLE_PENDULUM)[:, None]
        return double

    def reset(self, mask: Array) -> None:
        """Nothing to forget."""


class Reach:
    """Turns Reacher's two joints to the angles at which the fingertip is on the target, as springs with damping do."""

    def act(self, observations: Array) -> Array:
        """Actions (environments, 2)."""
        joints, target = np.arctan2(observations[:, 2:4], observations[:, :2]), observations[:, 4:6]
        first, second = _LENGTHS
        cosine = (np.square(target).sum(axis=1) - first**2 - second**2) / (2 * first * second)
        bend = np.arccos(np.clip(cosine, -1, 1))  # a target that is too near or too far is approached
        turns = []
        for elbow in (bend, -bend):
            reach = np.arctan2(second * np.sin(elbow), first + second * np.cos(elbow))
            shoulder = np.arctan2(target[:, 1], target[:, 0]) - reach
            # The elbow does not turn all the way round, so its difference is taken as it is.
            turns.append(np.stack([wrap(shoulder - joints[:, 0]), elbow - joints[:, 1]], axis=1))
        nearer = np.abs(turns[0]).max(axis=1) <= np.abs(turns[1]).max(axis=1)
        turn = np.where(nearer[:, None], *turns)
        actions: Array = np.clip(_STIFFNESS * turn - _DAMPING * observations[:, 6:8], -1, 1)
        return actions

    def reset(self, mask: Array) -> None:
        """Nothing to forget."""
