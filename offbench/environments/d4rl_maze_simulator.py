"""D4RL's Maze2D and AntMaze in a batch: one compiled maze, one MuJoCo state an environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from offbench.basis.shapes import Array
from offbench.environments.d4rl_mazes import ANT_ID, POINT_ID, D4RLMaze
from offbench.environments.mujoco_states import make_states
from offbench.environments.protocol import Episodes, Step, check_seeds, checked_actions, checked_states
from offbench.environments.single import make_environment
from offbench.environments.task import Task
from offbench.errors import OffbenchError


class D4RLMazeSimulator:
    """Environments of one maze of D4RL, exactly the trajectories of the single one.

    Attributes:
        goals: (environments, 2) float64, metres, drawn at `reset`.
    """

    def __init__(self, task: Task, count: int, threads: int | None = None) -> None:
        """Take how many threads may step, None for all; their number changes no result."""
        if not self.supports(task):
            raise OffbenchError(f"task {task.name} is none of {POINT_ID} and {ANT_ID}; use make_simulator for it")
        self._environment = make_environment(task)
        self._maze = cast(D4RLMaze, self._environment.unwrapped)
        self.count = count
        self.action_low = -np.ones(self._maze.model.nu, dtype=np.float32)
        self.action_high = np.ones(self._maze.model.nu, dtype=np.float32)
        self.observation_size = int(self._maze.model.nq + self._maze.model.nv)
        self.goals = np.tile(self._maze.goal, (count, 1))
        self._states = make_states(self._maze.model, count, threads=threads)
        self._episodes = Episodes(count, task.episode_limit)

    @property
    def maze_map(self) -> list[list[int | str]]:
        """Rows of cells: 1 is a wall, anything else is free."""
        return self._maze.maze_map

    @property
    def episode_limit(self) -> int:
        """Steps after which an episode is truncated."""
        return self._episodes.limit

    @staticmethod
    def supports(task: Task) -> bool:
        """Whether a task is a maze of D4RL."""
        return task.environment in (POINT_ID, ANT_ID)

    def reset(self, seeds: Sequence[int]) -> Array:
        """Start an episode in every environment, each from its own seed: observations (environments, observation)."""
        check_seeds(seeds, self.count)
        for i, seed in enumerate(seeds):
            self._environment.reset(seed=int(seed))
            self.goals[i] = self._maze.goal
            self._states.copy_from(i, self._maze.data)
        self._episodes.start()
        return self._observe()

    def set_states(self, observations: Array) -> Array:
        """Start episodes at the states of observations; see `StateSimulator.set_states`.

        Hidden is AntMaze's goal: it stays as it was drawn last, and is the middle of its cell before the first `reset`.
        """
        observations = checked_states(observations, self.count, self.observation_size)
        coordinates = self._maze.model.nq
        for i, row in enumerate(observations):
            self._maze.set_state(row[:coordinates], row[coordinates:])
            self._states.copy_from(i, self._maze.data)
        self._episodes.start()
        return self._observe()

    def step(self, actions: Array) -> Step:
        """Advance every environment whose episode has not ended; see `Simulator.step`."""
        live = self._episodes.live()
        actions = checked_actions(actions, self.action_low, self.action_high, self.count)
        # D4RL limits the velocity by setting the state, which also sets the solver's warm start.
        most, velocities = self._maze.max_speed, self._states.values["qvel"]
        limited = None if most is None else np.clip(velocities, -most, most)
        self._states.advance(np.flatnonzero(live), actions, self._maze.frame_skip, limited)
        distances = np.linalg.norm(self._states.values["qpos"][:, :2] - self.goals, axis=-1)
        return self._episodes.finish(live, self._observe(), self._maze.rewards(distances), self._maze.ends(distances))

    def close(self) -> None:
        """Free what the environments hold."""
        self._states.close()
        self._environment.close()

    def _observe(self) -> Array:
        return np.concatenate([self._states.values["qpos"], self._states.values["qvel"]], axis=1)
