"""PointMaze in a batch: one compiled maze, one MuJoCo state an environment, exactly Gymnasium-Robotics' trajectories.

A list of Gymnasium environments would compile the maze again for each of them (65 ms and 12 MB of textures a piece, so
that 500 evaluation episodes take half a minute to set up). Here one Gymnasium environment draws the starts and goals,
and the steps are taken on plain MuJoCo states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import mujoco as _mujoco
import numpy as np

from offbench.environments.simulator import Array, Step, check_seeds, checked_actions, make_environment
from offbench.environments.task import Task
from offbench.errors import OffbenchError

# MuJoCo is an extension module without type stubs.
mujoco: Any = _mujoco

# Gymnasium-Robotics, PointEnv: "the velocity needs to be limited because the ball is force actuated".
MAX_SPEED = 5.0
# Gymnasium-Robotics, MazeEnv: the radius of success, of the sparse reward and of termination.
GOAL_RADIUS = 0.45


class PointMazeSimulator:
    """PointMaze environments whose goal stays where it was drawn at reset.

    Attributes:
        goals: (environments, 2) float64, metres, drawn at `reset`.
    """

    def __init__(self, task: Task, count: int) -> None:
        if not self.supports(task):
            raise OffbenchError(f"task {task.name} is no point maze with a fixed goal; use GymnasiumSimulator for it")
        self._environment = make_environment(task)
        self._maze = cast(Any, self._environment.unwrapped)
        self._model = self._maze.model
        self._states = [mujoco.MjData(self._model) for _ in range(count)]
        # Views into MuJoCo's memory, looked up once: attribute access costs more than the step.
        self._buffers = [(state.qpos, state.qvel, state.ctrl) for state in self._states]
        self._keys = task.observation
        self.count = count
        self.episode_limit = task.episode_limit
        self.action_low = self._maze.action_space.low.astype(np.float32)
        self.action_high = self._maze.action_space.high.astype(np.float32)
        self.observation_size = sum(self._maze.observation_space[key].shape[0] for key in self._keys)
        self.goals = np.zeros((count, 2))
        self._positions: Array | None = None

    @property
    def maze_map(self) -> list[list[int | str]]:
        """Rows of cells: 1 is a wall, anything else is free."""
        cells: list[list[int | str]] = self._maze.maze.maze_map
        return cells

    @staticmethod
    def supports(task: Task) -> bool:
        """Whether a task is a PointMaze whose goal stays for the whole episode."""
        return task.environment.startswith("PointMaze_") and not task.arguments.get("reset_target", False)

    def reset(self, seeds: Sequence[int]) -> Array:
        """Start an episode in every environment, each from its own seed: observations (environments, observation)."""
        check_seeds(seeds, self.count)
        self._positions = np.zeros((self.count, 2))
        self._velocities = np.zeros((self.count, 2))
        self._terminations = np.zeros(self.count, dtype=bool)
        self._elapsed = 0
        source = self._maze.point_env.data
        for i, seed in enumerate(seeds):
            self._environment.reset(seed=int(seed))
            self.goals[i] = self._maze.goal
            mujoco.mj_resetData(self._model, self._states[i])
            qpos, qvel, _ = self._buffers[i]
            qpos[:], qvel[:] = source.qpos, source.qvel
            mujoco.mj_forward(self._model, self._states[i])
            self._positions[i], self._velocities[i] = qpos, qvel
        return self._observe()

    def step(self, actions: Array) -> Step:
        """Advance every environment whose episode has not ended; see `Simulator.step`."""
        if self._positions is None:
            raise OffbenchError("the simulator was stepped before its first reset; call reset(seeds) first")
        actions = checked_actions(actions, self.action_low, self.action_high, self.count)
        rewards = np.zeros(self.count)
        live = ~self._terminations & (self._elapsed < self.episode_limit)
        if live.any():
            self._advance(actions, np.flatnonzero(live))
            self._elapsed += 1
            distances = np.linalg.norm(self._positions - self.goals, axis=-1)
            dense = self._maze.reward_type == "dense"
            rewards[live] = (np.exp(-distances) if dense else (distances <= GOAL_RADIUS).astype(np.float64))[live]
            if not self._maze.continuing_task:
                self._terminations |= live & (distances <= GOAL_RADIUS)
        truncations = ~self._terminations & (self._elapsed >= self.episode_limit)
        return Step(self._observe(), rewards, self._terminations.copy(), truncations)

    def close(self) -> None:
        """Free what the environment holds."""
        self._environment.close()

    def _advance(self, actions: Array, live: Array) -> None:
        assert self._positions is not None
        clipped = np.clip(self._velocities, -MAX_SPEED, MAX_SPEED)
        model, forward, step = self._model, mujoco.mj_forward, mujoco.mj_step
        for i in live.tolist():
            state = self._states[i]
            qpos, qvel, ctrl = self._buffers[i]
            qvel[:] = clipped[i]
            # PointEnv does this after limiting the velocity; it sets the solver's warm start, so contacts depend on it.
            forward(model, state)
            ctrl[:] = actions[i]
            step(model, state)
            self._positions[i] = qpos
            self._velocities[i] = qvel

    def _observe(self) -> Array:
        assert self._positions is not None
        entries = {
            "observation": np.concatenate([self._positions, self._velocities], axis=1),
            "achieved_goal": self._positions,
            "desired_goal": self.goals,
        }
        return np.concatenate([entries[key] for key in self._keys], axis=1)
