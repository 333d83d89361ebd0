"""Batched simulators: many copies of one environment, stepped together and never reset behind the caller's back.

MuJoCo's robots, mazes and the pendulum have simulators of their own, which step arrays and threads and give exactly
Gymnasium's trajectories. All else is a list of Gymnasium environments.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import gymnasium
import numpy as np

from offbench.basis.shapes import Array
from offbench.environments.protocol import Simulator, StateSimulator, Step, check_seeds, checked_actions
from offbench.environments.single import make_environment
from offbench.environments.task import Task
from offbench.errors import OffbenchError

# Imported one after the other until one supports the task: only who simulates waits for MuJoCo, and only who plays in a
# maze of D4RL for what it draws with. No task is that of two of them.
SIMULATORS = (
    "offbench.environments.pendulum:PendulumSimulator",
    "offbench.environments.pointmaze:PointMazeSimulator",
    "offbench.environments.locomotion:LocomotionSimulator",
    "offbench.environments.antmaze:AntMazeSimulator",
    "offbench.environments.d4rl_maze_simulator:D4RLMazeSimulator",
)


def make_simulator(task: Task, count: int) -> Simulator:
    """A simulator of ``count`` environments of a task.

    Raises:
        OffbenchError: count < 1, or an environment that Gymnasium cannot make or that does not suit a flat policy.
    """
    if count < 1:
        raise OffbenchError(f"a simulator needs at least one environment, not {count}")
    for place in SIMULATORS:
        module, _, name = place.partition(":")
        kind = getattr(import_module(module), name)
        if kind.supports(task):
            made: Simulator = kind(task, count)
            return made
    return GymnasiumSimulator(task, count)


def make_state_simulator(task: Task, count: int) -> StateSimulator:
    """A simulator of ``count`` environments of a task that can start at given states.

    Raises:
        OffbenchError: as `make_simulator`, or a task whose simulator cannot be set to a state.
    """
    simulator = make_simulator(task, count)
    if not isinstance(simulator, StateSimulator):
        simulator.close()
        raise OffbenchError(
            f"the simulator of task {task.name} cannot start at given states; those of Hopper, HalfCheetah, Walker2d, "
            "Ant, Pendulum and D4RL's mazes can"
        )
    return simulator


class GymnasiumSimulator:
    """Any Gymnasium environment with a box of actions: a list of environments, stepped in turn.

    Why not ``gymnasium.vector``: ``SyncVectorEnv`` is slightly slower than this loop and steps environments that have
    ended. ``AsyncVectorEnv`` does so too, also with its automatic reset disabled, and starts a process an environment:
    0.1 s each, so that a hundred of them take longer than the 2 s in which this loop plays a hundred episodes of
    AdroitHandPen (6,500 steps a second).
    """

    def __init__(self, task: Task, count: int) -> None:
        self._environments = [make_environment(task) for _ in range(count)]
        self._keys = task.observation
        space = self._environments[0].action_space
        assert isinstance(space, gymnasium.spaces.Box)
        self.count = count
        self.episode_limit = task.episode_limit
        self.action_low, self.action_high = space.low.astype(np.float32), space.high.astype(np.float32)
        self._observations: Array | None = None

    @property
    def observation_size(self) -> int:
        """Length of one observation."""
        space = self._environments[0].observation_space
        parts = [space[key] for key in self._keys] if isinstance(space, gymnasium.spaces.Dict) else [space]
        return sum(int(np.prod(part.shape)) for part in parts if part.shape is not None)

    def reset(self, seeds: Sequence[int]) -> Array:
        """Start an episode in every environment, each from its own seed: observations (environments, observation)."""
        check_seeds(seeds, self.count)
        pairs = zip(self._environments, seeds, strict=True)
        self._observations = np.stack([self._flat(env.reset(seed=int(seed))[0]) for env, seed in pairs])
        self._terminations = np.zeros(self.count, dtype=bool)
        self._truncations = np.zeros(self.count, dtype=bool)
        return self._observations.copy()

    def step(self, actions: Array) -> Step:
        """Advance every environment whose episode has not ended; see `Simulator.step`."""
        if self._observations is None:
            raise OffbenchError("the simulator was stepped before its first reset; call reset(seeds) first")
        actions = checked_actions(actions, self.action_low, self.action_high, self.count)
        rewards = np.zeros(self.count)
        for i in np.flatnonzero(~(self._terminations | self._truncations)):
            observation, reward, terminated, truncated, _ = self._environments[i].step(actions[i])
            self._observations[i] = self._flat(observation)
            rewards[i] = reward
            self._terminations[i] = terminated
            # Both at once is an end in the task: the bootstrap must stop there.
            self._truncations[i] = truncated and not terminated
        return Step(self._observations.copy(), rewards, self._terminations.copy(), self._truncations.copy())

    def close(self) -> None:
        """Free what the environments hold."""
        for environment in self._environments:
            environment.close()

    def _flat(self, observation: Any) -> Array:
        if self._keys:
            return np.concatenate([np.ravel(observation[key]) for key in self._keys])
        return np.ravel(observation)
