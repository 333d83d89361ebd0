"""Scripted policies: uniformly random actions, and controllers that walk a point through a maze.

Randomness is drawn from one generator an environment, so that an episode does not depend on its neighbours in the
batch. The waypoint controller is the proportional-derivative law of D4RL's ``maze2d`` data (Fu et al. 2020).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from offbench.basis.policy import Policy, tell
from offbench.basis.shapes import Array
from offbench.errors import OffbenchError

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


class Noisy:
    """Another policy's actions with Gaussian noise, from one generator an environment."""

    def __init__(self, policy: Policy, std: float, size: int, seeds: Sequence[int]) -> None:
        """Take a policy, the standard deviation of the noise and the size of an action."""
        self._policy, self._std, self._size = policy, std, size
        self._generators = [np.random.default_rng(seed) for seed in seeds]

    def act(self, observations: Array) -> Array:
        """Actions (environments, action); the simulator clips them to the bounds."""
        noise = np.stack([generator.standard_normal(self._size) for generator in self._generators])
        noisy: Array = self._policy.act(observations) + self._std * noise
        return noisy

    def reset(self, mask: Array) -> None:
        """Reset the policy; the generators go on."""
        self._policy.reset(mask)

    def observe(self, rewards: Array) -> None:
        """Let the policy observe rewards."""
        tell(self._policy, rewards)


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


class Tour:
    """Visits goals in a maze one after the other, walking cell by cell, and stays at the last or acts at random there.

    As the point-maze data of MBRCSL (Zhou et al. 2024) are recorded: a goal lies within 0.25 m of its cell's centre on
    each axis and counts as reached within 0.5 m at less than 0.5 m/s on each axis. On the way to it the waypoint is the
    next cell: the first one's centre, then, within 0.1 m of a waypoint, a point up to 0.2 m below and left of the
    following one's centre, and in the goal's cell the goal itself. With ``random``, the last goal is reached at any
    speed, and uniformly random actions follow.

    With ``pause``, each episode rests at every goal but the last for a number of steps drawn from 0 to ``pause``, still
    steering to it, and a goal is steered to by its own place from the neighbouring cell on, so that resting places
    spread.
    """

    REACHED, SLOW, NEAR, GOAL_NOISE, WAYPOINT_NOISE = 0.5, 0.5, 0.1, 0.25, 0.2

    def __init__(
        self,
        goals: Sequence[Cell],
        maze_map: Sequence[Sequence[int | str]],
        seeds: Sequence[int],
        random: UniformRandom | None = None,
        pause: int = 0,
        gain: float = 10.0,
        damping: float = 1.0,
    ) -> None:
        """Take the goals' cells, the same for all environments, and one seed an environment for all noise."""
        self._size, self._next = (len(maze_map), len(maze_map[0])), next_cells(maze_map)
        self._cells, self._random = np.array(goals), random
        self._gain, self._damping = gain, damping
        self._generators = [np.random.default_rng(seed) for seed in seeds]
        centres = path_through(goals, maze_map)
        noise = [rng.uniform(-self.GOAL_NOISE, self.GOAL_NOISE, centres.shape) for rng in self._generators]
        self._goals = centres + np.stack(noise)  # (environments, goals, 2)
        self._pauses = np.array([rng.integers(0, pause + 1, len(goals)) for rng in self._generators])
        self._pausing, self._rested = pause > 0, np.zeros(len(seeds), dtype=np.int64)
        self._goal = np.zeros(len(seeds), dtype=np.int64)
        self._done = np.zeros(len(seeds), dtype=bool)
        self._planned = np.zeros(len(seeds), dtype=bool)
        self._cell = np.zeros((len(seeds), 2), dtype=np.int64)
        self._waypoint = np.zeros((len(seeds), 2))

    def act(self, observations: Array) -> Array:
        """Actions (environments, 2) for observations that start with position (m) and velocity (m/s)."""
        position, velocity = observations[:, :2], observations[:, 2:4]
        self._arrive(position, velocity)
        for i in np.flatnonzero(~self._planned):
            self._enter(int(i), cell_of(position[i], self._size), first=True)
        near = np.linalg.norm(self._waypoint - position, axis=1) <= self.NEAR
        for i in np.flatnonzero(near & (self._cell != self._cells[self._goal]).any(axis=1)):
            self._enter(int(i), (int(self._cell[i, 0]), int(self._cell[i, 1])), first=False)
        force = self._gain * (self._waypoint - position) - self._damping * velocity
        actions = np.clip(force, -1.0, 1.0)
        if self._random is None:
            return actions
        return np.where(self._done[:, None], self._random.act(observations), actions)

    def reset(self, mask: Array) -> None:
        """Start the tour again where mask (environments,) is true; the goals stay where they were drawn."""
        self._goal[mask], self._done[mask], self._planned[mask], self._rested[mask] = 0, False, False, 0

    def _arrive(self, position: Array, velocity: Array) -> None:
        """Turn to the next goal where the present one is reached."""
        goals = self._goals[np.arange(len(position)), self._goal]
        near = np.linalg.norm(goals - position, axis=1) <= self.REACHED
        slow = (np.abs(velocity) <= self.SLOW).all(axis=1)
        last = self._goal == len(self._cells) - 1
        reached = near & (slow | (last & (self._random is not None)))
        self._done |= reached & last
        # Resting begins with the first arrival and goes on wherever the point drifts.
        resting = (reached | (self._rested > 0)) & ~last
        leaving = resting & (self._rested >= self._pauses[np.arange(len(position)), self._goal])
        self._rested[resting] += 1
        self._rested[leaving] = 0
        self._planned[leaving] = False
        self._goal[leaving] += 1

    def _enter(self, i: int, cell: Cell, first: bool) -> None:
        """Make the cell after ``cell``, on the way of environment i to its goal, the next waypoint."""
        goal = self._cells[self._goal[i]]
        self._cell[i] = self._next[cell[0], cell[1], goal[0], goal[1]]
        self._planned[i] = True
        at_goal = (self._cell[i] == goal).all()
        if at_goal and (not first or self._pausing or tuple(goal) == cell):
            self._waypoint[i] = self._goals[i, self._goal[i]]
            return
        self._waypoint[i] = cell_centre((int(self._cell[i, 0]), int(self._cell[i, 1])), self._size)
        if not first:
            self._waypoint[i] -= self._generators[i].uniform(0, self.WAYPOINT_NOISE, 2)


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


def cell_of(position: Array, size: tuple[int, int]) -> Cell:
    """The (row, column) cell of a PointMaze of ``size`` (rows, columns) that holds a position (x, y) in metres."""
    return int(np.floor(size[0] / 2 - position[1])), int(np.floor(position[0] + size[1] / 2))


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
