"""Controllers for Pendulum-v1: near-optimal by dynamic programming, and an energy swing-up with noise for datasets.

State: angle from upright (rad) and angular velocity (rad/s). The dynamics are those of Gymnasium's Pendulum-v1 with
g = 10, m = 1, l = 1, 0.05 s a step, speed within 8 rad/s, torque within 2 N m.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from offbench.basis.shapes import Array
from offbench.environments.pendulum import MAX_SPEED, MAX_TORQUE, STEP_SECONDS, UPRIGHT_ENERGY


def advance(angle: Array, speed: Array, torque: Array) -> tuple[Array, Array, Array]:
    """One step of Pendulum-v1 (broadcast): next angle in [-pi, pi), next speed, and the cost of this step."""
    cost: Array = wrap(angle) ** 2 + 0.1 * speed**2 + 0.001 * torque**2
    speed = np.clip(speed + (UPRIGHT_ENERGY * np.sin(angle) + 3.0 * torque) * STEP_SECONDS, -MAX_SPEED, MAX_SPEED)
    return wrap(angle + speed * STEP_SECONDS), speed, cost


def wrap(angle: Array) -> Array:
    """The same angle in [-pi, pi)."""
    wrapped: Array = (angle + np.pi) % (2 * np.pi) - np.pi
    return wrapped


class PendulumOptimal:
    """Near-optimal: looks one step ahead into the value function that dynamic programming finds on a grid."""

    def __init__(self, torques: int = 81) -> None:
        self._values = optimal_costs()
        self._torques = np.linspace(-MAX_TORQUE, MAX_TORQUE, torques)

    def act(self, observations: Array) -> Array:
        """Actions (environments, 1) for observations (cosine, sine, speed)."""
        angle = np.arctan2(observations[:, 1], observations[:, 0]).astype(np.float64)[:, None]
        speed = observations[:, 2].astype(np.float64)[:, None]
        angle, speed, cost = advance(angle, speed, self._torques)
        best = np.argmin(cost + _interpolate(self._values, angle, speed), axis=1)
        actions: Array = self._torques[best][:, None]
        return actions

    def reset(self, mask: Array) -> None:
        """Nothing to forget: every action follows from the observation."""


@cache
def optimal_costs(angles: int = 201, speeds: int = 201, torques: int = 21) -> Array:
    """(angles, speeds): least cost to go on a grid of states, by modified policy iteration, discount 0.995.

    With a discount this close to 1 the pendulum is upright long before it matters, and a fixed point exists.
    """
    angle = np.linspace(-np.pi, np.pi, angles, endpoint=False)[:, None, None]
    speed = np.linspace(-MAX_SPEED, MAX_SPEED, speeds)[None, :, None]
    next_angle, next_speed, cost = advance(angle, speed, np.linspace(-MAX_TORQUE, MAX_TORQUE, torques))
    corners, weights = _corners((angles, speeds), next_angle, next_speed)  # (4, angles, speeds, torques)
    values = np.zeros((angles, speeds))
    for _ in range(1000):
        ahead = cost + 0.995 * sum(w * values.ravel()[c] for c, w in zip(corners, weights, strict=True))
        best = np.argmin(ahead, axis=2)[..., None]
        improved = np.take_along_axis(ahead, best, axis=2)[..., 0]
        if np.abs(improved - values).max() < 1e-3:
            break
        values = improved
        own = [np.take_along_axis(part, best[None], axis=3)[..., 0] for part in (corners, weights)]
        own_cost = np.take_along_axis(cost, best, axis=2)[..., 0]
        for _ in range(20):
            values = own_cost + 0.995 * (own[1] * values.ravel()[own[0]]).sum(axis=0)
    return values


def _corners(shape: tuple[int, int], angle: Array, speed: Array) -> tuple[Array, Array]:
    """The four grid points around each state as flat numbers, and their bilinear weights: both (4, *states)."""
    column = (angle + np.pi) / (2 * np.pi) * shape[0]
    row = np.clip((speed + MAX_SPEED) / (2 * MAX_SPEED) * (shape[1] - 1), 0, shape[1] - 1)
    left, below = np.floor(column).astype(np.int64), np.minimum(np.floor(row).astype(np.int64), shape[1] - 2)
    right_weight, above_weight = column - left, row - below
    numbers, weights = [], []
    for side, share in ((0, 1 - right_weight), (1, right_weight)):
        for level, height in ((0, 1 - above_weight), (1, above_weight)):
            numbers.append((left + side) % shape[0] * shape[1] + below + level)
            weights.append(share * height)
    return np.stack(numbers), np.stack(weights)


def _interpolate(values: Array, angle: Array, speed: Array) -> Array:
    numbers, weights = _corners((values.shape[0], values.shape[1]), angle, speed)
    interpolated: Array = (weights * values.ravel()[numbers]).sum(axis=0)
    return interpolated


class PendulumSwingUp:
    """Pumps energy until the pendulum reaches the top and holds it there, with Gaussian noise on the torque.

    The swing-up is Astrom and Furuta's (2000): torque proportional to the missing energy, in the direction of motion.
    Within 0.4 rad of the top, where the torque can still beat gravity, a proportional-derivative law takes over.
    """

    def __init__(self, noise: Array, seeds: Sequence[int], gain: float = 0.3) -> None:
        """Take the noise's standard deviation (environments,) in N m, and one seed an environment."""
        self._noise = np.asarray(noise, dtype=np.float64)
        self._generators = [np.random.default_rng(seed) for seed in seeds]
        self._gain = gain

    def act(self, observations: Array) -> Array:
        """Actions (environments, 1) for observations (cosine, sine, speed)."""
        cosine, sine, speed = observations.astype(np.float64).T
        angle = np.arctan2(sine, cosine)
        energy = 0.5 * speed**2 + UPRIGHT_ENERGY * cosine
        pump = (
            self._gain * (UPRIGHT_ENERGY - energy) * np.where(speed >= 0, 1.0, -1.0)
        )  # a pendulum at rest is pushed too
        hold = -10.0 * angle - 2.5 * speed
        noise = self._noise * [generator.standard_normal() for generator in self._generators]
        torque = np.clip(np.where(np.abs(angle) < 0.4, hold, pump), -MAX_TORQUE, MAX_TORQUE) + noise
        actions: Array = np.clip(torque, -MAX_TORQUE, MAX_TORQUE)[:, None]
        return actions

    def reset(self, mask: Array) -> None:
        """Nothing to forget: the generators go on."""
