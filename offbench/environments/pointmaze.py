"""PointMaze in a batch: one compiled maze, one MuJoCo state an environment, exactly Gymnasium-Robotics' trajectories.

A list of Gymnasium environments would compile the maze again for each of them (65 ms and 12 MB of textures a piece, so
that 500 evaluation episodes take half a minute to set up). Here one Gymnasium environment draws the starts and goals,
and the steps are taken on `MujocoStates`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from offbench.basis.shapes import Array
from offbench.environments.mujoco_states import make_states
from offbench.environments.protocol import Episodes, Step, check_seeds, checked_actions
from offbench.environments.single import make_environment
from offbench.environments.task import Task
from offbench.errors import OffbenchError

# Gymnasium-Robotics, PointEnv: "the velocity needs to be limited because the ball is force actuated".
MAX_SPEED = 5.0
# Gymnasium-Robotics, MazeEnv: the radius of success, of the sparse reward and of termination.
GOAL_RADIUS = 0.45


class PointMazeSimulator:
    """PointMaze environments whose goal stays where it was drawn at reset.

    Attributes:
        goals: (environments, 2) float64, metres, drawn at `reset`.
    """

    def __init__(self, task: Task, count: int, threads: int | None = None) -> None:
        """Take how many threads may step, None for all; their number changes no result."""
        if not self.supports(task):
            raise OffbenchError(f"task {task.name} is no point maze with a fixed goal; use make_simulator for it")
        self._environment = make_environment(task)
        self._maze = cast(Any, self._environment.unwrapped)
        self._keys = task.observation
        self.count = count
        self.action_low = self._maze.action_space.low.astype(np.float32)
        self.action_high = self._maze.action_space.high.astype(np.float32)
        self.observation_size = sum(self._maze.observation_space[key].shape[0] for key in self._keys)
        self.goals = np.zeros((count, 2))
        self._states = make_states(self._maze.model, count, threads=threads)
        self._episodes = Episodes(count, task.episode_limit)

    @property
    def episode_limit(self) -> int:
        """Steps after which an episode is truncated."""
        return self._episodes.limit

    @property
    def maze_map(self) -> list[list[int | str]]:
        """Rows of cells: 1 is a wall, anything else is free."""
        cells: list[list[int | str]] = self._maze.maze.maze_map
        return cells

    @staticmethod
    def supports(task: Task) -> bool:
        """Whether a task is a PointMaze whose goal stays for the whole episode."""
        return task.environment.startswith("PointMaze_") and goals_stay(task)

    def reset(self, seeds: Sequence[int]) -> Array:
        """Start an episode in every environment, each from its own seed: observations (environments, observation)."""
        check_seeds(seeds, self.count)
        for i, seed in enumerate(seeds):
            self._environment.reset(seed=int(seed))
            self.goals[i] = self._maze.goal
            self._states.copy_from(i, self._maze.point_env.data)
        self._episodes.start()
        return self._observe()

    def step(self, actions: Array) -> Step:
        """Advance every environment whose episode has not ended; see `Simulator.step`."""
        live = self._episodes.live()
        actions = checked_actions(actions, self.action_low, self.action_high, self.count)
        # PointEnv limits the velocity by set_state, which also sets the solver's warm start: contacts depend on it.
        limited = np.clip(self._states.values["qvel"], -MAX_SPEED, MAX_SPEED)
        self._states.advance(np.flatnonzero(live), actions, self._maze.point_env.frame_skip, limited)
        distances = np.linalg.norm(self._states.values["qpos"] - self.goals, axis=-1)
        rewards, ends = goal_rewards(self._maze, distances), goals_reached(self._maze, distances)
        return self._episodes.finish(live, self._observe(), rewards, ends)

    def close(self) -> None:
        """Free what the environments hold."""
        self._states.close()
        self._environment.close()

    def _observe(self) -> Array:
        position = self._states.values["qpos"]
        entries = {
            "observation": np.concatenate([position, self._states.values["qvel"]], axis=1),
            "achieved_goal": position,
            "desired_goal": self.goals,
        }
        return np.concatenate([entries[key] for key in self._keys], axis=1)


# -------------------------------------------------------------------- goals, for points and ants


def goals_stay(task: Task) -> bool:
    """Whether a maze's goal stays for the whole episode."""
    return not task.arguments.get("reset_target", False)


def goal_rewards(maze: Any, distances: Array) -> Array:
    """Rewards (environments,) of a Gymnasium-Robotics maze at distances (environments,) from the goals, in metres."""
    rewards: Array = (
        np.exp(-distances) if maze.reward_type == "dense" else (distances <= GOAL_RADIUS).astype(np.float64)
    )
    return rewards


def goals_reached(maze: Any, distances: Array) -> Array:
    """(environments,) bool, where the task ends: at the goal, or never if it is a continuing one."""
    return (distances <= GOAL_RADIUS) & (not maze.continuing_task)
