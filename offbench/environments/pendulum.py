"""Gymnasium's Pendulum-v1 in a batch: array code, exactly its trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from offbench.basis.shapes import Array
from offbench.environments.protocol import Episodes, Step, check_seeds, checked_actions, checked_states
from offbench.environments.single import make_environment
from offbench.environments.task import Task
from offbench.errors import OffbenchError

STEP_SECONDS = 0.05
MAX_SPEED = 8.0
MAX_TORQUE = 2.0
# Energy per unit of inertia (rad^2/s^2) of the pendulum at rest upright: 3 g / (2 l).
UPRIGHT_ENERGY = 15.0


class PendulumSimulator:
    """Pendulums; an observation is (cosine, sine, angular velocity in rad/s)."""

    observation_size = 3

    def __init__(self, task: Task, count: int) -> None:
        if not self.supports(task):
            raise OffbenchError(f"task {task.name} is not Pendulum-v1; use make_simulator for it")
        self._environment = make_environment(task)
        self._gym = cast(Any, self._environment.unwrapped)
        self.count = count
        self.action_low = self._gym.action_space.low.astype(np.float32)
        self.action_high = self._gym.action_space.high.astype(np.float32)
        self._angles, self._speeds = np.zeros(count), np.zeros(count)
        self._episodes = Episodes(count, task.episode_limit)

    @staticmethod
    def supports(task: Task) -> bool:
        """Whether a task is Gymnasium's pendulum."""
        return task.environment == "Pendulum-v1"

    @property
    def episode_limit(self) -> int:
        """Steps after which an episode is truncated."""
        return self._episodes.limit

    def reset(self, seeds: Sequence[int]) -> Array:
        """Start an episode in every environment, each from its own seed: observations (environments, observation)."""
        check_seeds(seeds, self.count)
        for i, seed in enumerate(seeds):
            self._environment.reset(seed=int(seed))
            self._angles[i], self._speeds[i] = self._gym.state
        self._episodes.start()
        return self._observe()

    def set_states(self, observations: Array) -> Array:
        """Start episodes at the angles and speeds of observations; see `StateSimulator.set_states`.

        The angle is ``arctan2(sine, cosine)``, so that of a float32 observation is right to 1e-7.
        """
        observations = checked_states(observations, self.count, self.observation_size)
        cosine, sine, speed = observations.T
        self._angles, self._speeds = np.arctan2(sine, cosine), speed.copy()
        self._episodes.start()
        return self._observe()

    def step(self, actions: Array) -> Step:
        """Advance every environment whose episode has not ended; see `Simulator.step`."""
        live = self._episodes.live()
        torques = checked_actions(actions, self.action_low, self.action_high, self.count)[:, 0]
        gym, angles, speeds = self._gym, self._angles, self._speeds
        # NumPy 1 multiplies a number by a float32 number in float64, NumPy 2 in float32; here the numbers are arrays.
        dtype = np.result_type(1.0 * torques[0])
        upright = (angles + np.pi) % (2 * np.pi) - np.pi
        costs = _squares(upright) + 0.1 * _squares(speeds) + np.multiply(0.001, _squares(torques), dtype=dtype)
        push = np.multiply(3.0 / (gym.m * gym.l**2), torques, dtype=dtype)
        speeds = speeds + (3 * gym.g / (2 * gym.l) * np.sin(angles) + push) * gym.dt
        speeds = np.clip(speeds, -gym.max_speed, gym.max_speed)
        self._angles = np.where(live, angles + speeds * gym.dt, angles)
        self._speeds = np.where(live, speeds, self._speeds)
        return self._episodes.finish(live, self._observe(), -costs, np.zeros(self.count, dtype=bool))

    def close(self) -> None:
        """Free what the environments hold."""
        self._environment.close()

    def _observe(self) -> Array:
        columns = [np.cos(self._angles), np.sin(self._angles), self._speeds]
        return np.stack(columns, axis=1).astype(np.float32)


def _squares(values: Array) -> Array:
    """Squares of numbers one by one: NumPy's array code rounds one in a thousand otherwise than Gymnasium's numbers."""
    return np.array([value**2 for value in values])
