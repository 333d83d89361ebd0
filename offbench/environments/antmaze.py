"""Gymnasium-Robotics' AntMaze (v4 and v5) in a batch: one compiled maze, exactly its trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from offbench.basis.shapes import Array
from offbench.environments.locomotion import shown_contact, watched_contact
from offbench.environments.mujoco_states import make_states
from offbench.environments.pointmaze import goal_rewards, goals_reached, goals_stay
from offbench.environments.protocol import Episodes, Step, check_seeds, checked_actions
from offbench.environments.single import make_environment
from offbench.environments.task import Task
from offbench.errors import OffbenchError


class AntMazeSimulator:
    """AntMaze environments whose goal stays where it was drawn at reset.

    Attributes:
        goals: (environments, 2) float64, metres, drawn at `reset`.
    """

    def __init__(self, task: Task, count: int, threads: int | None = None) -> None:
        """Take how many threads may step, None for all; their number changes no result."""
        if not self.supports(task):
            raise OffbenchError(
                f"task {task.name} is no ant maze (v4, v5) with a fixed goal; use make_simulator for it"
            )
        self._environment = make_environment(task)
        self._maze = cast(Any, self._environment.unwrapped)
        self._ant = self._maze.ant_env
        self._keys = task.observation
        self.count = count
        self.action_low = self._maze.action_space.low.astype(np.float32)
        self.action_high = self._maze.action_space.high.astype(np.float32)
        self.observation_size = sum(self._maze.observation_space[key].shape[0] for key in self._keys)
        self.goals = np.zeros((count, 2))
        self._states = make_states(self._ant.model, count, watched_contact(self._ant, rewarded=False), threads)
        self._episodes = Episodes(count, task.episode_limit)

    @property
    def maze_map(self) -> list[list[int | str]]:
        """Rows of cells: 1 is a wall, anything else is free."""
        cells: list[list[int | str]] = self._maze.maze.maze_map
        return cells

    @property
    def episode_limit(self) -> int:
        """Steps after which an episode is truncated."""
        return self._episodes.limit

    @staticmethod
    def supports(task: Task) -> bool:
        """Whether a task is an AntMaze whose goal stays for the whole episode."""
        name, _, version = task.environment.rpartition("-")
        return name.startswith("AntMaze_") and version in ("v4", "v5") and goals_stay(task)

    def reset(self, seeds: Sequence[int]) -> Array:
        """Start an episode in every environment, each from its own seed: observations (environments, observation)."""
        check_seeds(seeds, self.count)
        for i, seed in enumerate(seeds):
            self._environment.reset(seed=int(seed))
            self.goals[i] = self._maze.goal
            self._states.copy_from(i, self._ant.data)
        self._episodes.start()
        return self._observe()

    def step(self, actions: Array) -> Step:
        """Advance every environment whose episode has not ended; see `Simulator.step`."""
        live = self._episodes.live()
        actions = checked_actions(actions, self.action_low, self.action_high, self.count)
        self._states.advance(np.flatnonzero(live), actions, self._ant.frame_skip)
        distances = np.linalg.norm(self._states.values["qpos"][:, :2] - self.goals, axis=-1)
        rewards, ends = goal_rewards(self._maze, distances), goals_reached(self._maze, distances)
        return self._episodes.finish(live, self._observe(), rewards, ends)

    def close(self) -> None:
        """Free what the environments hold."""
        self._states.close()
        self._environment.close()

    def _observe(self) -> Array:
        position, velocity = self._states.values["qpos"], self._states.values["qvel"]
        entries = {
            "observation": np.concatenate([position[:, 2:], velocity, shown_contact(self._ant, self._states)], axis=1),
            "achieved_goal": position[:, :2],
            "desired_goal": self.goals,
        }
        return np.concatenate([entries[key] for key in self._keys], axis=1)
