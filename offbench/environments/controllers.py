"""Scripted policies: uniformly random actions, and point-maze controllers that walk along waypoints.

Randomness is drawn from one generator an environment, so that an episode does not depend on its neighbours in the
batch. The waypoint controller is the proportional-derivative law of D4RL's ``maze2d`` data (Fu et al. 2020).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from offbench.errors import OffbenchError

Array = npt.NDArray[Any]
Cell = tuple[int, int]


class UniformRandom:
    """Actions drawn uniformly between the bounds, from one generator an environment."""

    def __init__(self, low: Array, high: Array, seeds: Sequence[int]) -> None:
        self._low, self._high = low, high
        self._generators = [np.random.default_rng(seed) for seed in seeds]

    def act(self, observations: Array) -> Array:
        """Actions (environments, action), whatever the observations."""
        return np.stack([generator.uniform(self._low, self._high) for generator in self._generators])

    def reset(self, mask: Array) -> None:
        """Nothing to forget: the generators go on."""


class Waypoints:
    """Walks the point of a PointMaze from waypoint to waypoint and stays at the last one.

    The force is ``gain (waypoint - position) - damping velocity``, within [-1, 1]; observations start with position
    (m) and velocity (m/s). A waypoint counts as reached within ``radius`` of it and, unless ``velocity_threshold`` is
    infinite, at a lower speed than that.
    """

    def __init__(
        self,
        waypoints: Array,
        gain: float = 10.0,
        damping: float = 1.0,
        radius: float = 0.1,
        velocity_threshold: float = 0.5,
    ) -> None:
        """Take waypoints (waypoints, 2) for all environments or (environments, waypoints, 2) for each."""
        self._waypoints = np.asarray(waypoints, dtype=np.float64)
        self._gain, self._damping = gain, damping
        self._radius, self._velocity_threshold = radius, velocity_threshold
        self._current = np.zeros(0, dtype=np.int64)

    def act(self, observations: Array) -> Array:
        """Actions (environments, 2)."""
        self._begin(len(observations))
        position, velocity = observations[:, :2], observations[:, 2:4]
        near = np.linalg.norm(self._targets() - position, axis=1) <= self._radius
        slow = np.linalg.norm(velocity, axis=1) < self._velocity_threshold
        self._current = np.minimum(self._current + (near & slow), self._waypoints.shape[-2] - 1)
        force = self._gain * (self._targets() - position) - self._damping * velocity
        return np.clip(force, -1.0, 1.0)

    def reset(self, mask: Array) -> None:
        """Start again at the first waypoint where mask (environments,) is true."""
        self._begin(len(mask))
        self._current[mask] = 0

    def _begin(self, environments: int) -> None:
        if len(self._current) != environments:
            self._current = np.zeros(environments, dtype=np.int64)

    def _targets(self) -> Array:
        if self._waypoints.ndim == 2:
            return self._waypoints[self._current]
        return self._waypoints[np.arange(len(self._current)), self._current]


class RandomAfter:
    """Follows a controller to a place and acts uniformly at random from the moment it is first within ``radius``."""

    def __init__(self, controller: Waypoints, place: Array, random: UniformRandom, radius: float = 0.1) -> None:
        self._controller, self._place, self._random, self._radius = controller, place, random, radius
        self._arrived = np.zeros(0, dtype=bool)

    def act(self, observations: Array) -> Array:
        """Actions (environments, 2)."""
        if len(self._arrived) != len(observations):
            self._arrived = np.zeros(len(observations), dtype=bool)
        self._arrived |= np.linalg.norm(observations[:, :2] - self._place, axis=1) <= self._radius
        walk, noise = self._controller.act(observations), self._random.act(observations)
        return np.where(self._arrived[:, None], noise, walk)

    def reset(self, mask: Array) -> None:
        """Walk again where mask (environments,) is true."""
        if len(self._arrived) != len(mask):
            self._arrived = np.zeros(len(mask), dtype=bool)
        self._arrived[mask] = False
        self._controller.reset(mask)


class MazeRunner:
    """Takes the shortest way through a maze to the goal that each observation ends with.

    Observations are (x, y, velocity x, velocity y, goal x, goal y). The cell after the present one on the way is the
    waypoint; inside the goal's cell it is the goal itself.
    """

    def __init__(self, maze_map: Sequence[Sequence[int | str]], gain: float = 10.0, damping: float = 1.0) -> None:
        self._size = len(maze_map), len(maze_map[0])
        self._centres = np.array(
            [[cell_centre((i, j), self._size) for j in range(self._size[1])] for i in range(self._size[0])]
        )
        self._next = next_cells(maze_map)
        self._gain, self._damping = gain, damping

    def act(self, observations: Array) -> Array:
        """Actions (environments, 2)."""
        position, velocity, goal = observations[:, :2], observations[:, 2:4], observations[:, 4:6]
        here, there = self._cells(position), self._cells(goal)
        i, j = self._next[here[0], here[1], there[0], there[1]].T
        inside = (here[0] == there[0]) & (here[1] == there[1])
        target = np.where(inside[:, None], goal, self._centres[i, j])
        force = self._gain * (target - position) - self._damping * velocity
        return np.clip(force, -1.0, 1.0)

    def reset(self, mask: Array) -> None:
        """Nothing to forget: every action follows from the observation."""

    def _cells(self, positions: Array) -> tuple[Array, Array]:
        rows, columns = self._size
        i = np.floor(rows / 2 - positions[:, 1]).astype(np.int64)
        j = np.floor(positions[:, 0] + columns / 2).astype(np.int64)
        return np.clip(i, 0, rows - 1), np.clip(j, 0, columns - 1)


def cell_centre(cell: Cell, size: tuple[int, int]) -> Array:
    """Centre (x, y) in metres of a (row, column) cell of a PointMaze of ``size`` (rows, columns) cells of 1 m."""
    return np.array([cell[1] + 0.5 - size[1] / 2, size[0] / 2 - (cell[0] + 0.5)])


def next_cells(maze_map: Sequence[Sequence[int | str]]) -> Array:
    """(rows, columns, rows, columns, 2): the cell to enter next on a shortest way from one free cell to another.

    Where there is no way, and from a cell to itself, it is the cell itself.
    """
    rows, columns = len(maze_map), len(maze_map[0])
    free = {(i, j) for i in range(rows) for j in range(columns) if maze_map[i][j] != 1}
    table = np.zeros((rows, columns, rows, columns, 2), dtype=np.int64)
    table[..., 0] = np.arange(rows)[:, None, None, None]
    table[..., 1] = np.arange(columns)[None, :, None, None]
    for goal in free:
        seen, queue = {goal}, deque([goal])
        while queue:
            cell = queue.popleft()
            for step in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                before = (cell[0] + step[0], cell[1] + step[1])
                if before in free and before not in seen:
                    seen.add(before)
                    queue.append(before)
                    table[(*before, *goal)] = cell
    return table


def path_through(cells: Sequence[Cell], maze_map: Sequence[Sequence[int | str]]) -> Array:
    """Centres (waypoints, 2) in metres of the cells of a route.

    Raises:
        OffbenchError: a cell is outside the maze or a wall.
    """
    size = len(maze_map), len(maze_map[0])
    for i, j in cells:
        if not (0 <= i < size[0] and 0 <= j < size[1]) or maze_map[i][j] == 1:
            raise OffbenchError(f"cell ({i}, {j}) of the route is a wall or outside the maze of {size} cells")
    return np.stack([cell_centre(cell, size) for cell in cells])
