"""D4RL's point maze under its old names: the environment, its mazes as texts, and the controller that walks them.

Names, texts and constants are those of https://github.com/Farama-Foundation/D4RL, ``d4rl/pointmaze``; the simulation is
`offbench.environments.d4rl_mazes`.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.d4rl.environment import OfflineEnvironment
from offbench.d4rl.old_env import Adapted
from offbench.environments.d4rl_mazes import ANT_MAZES, POINT_MAZES, AntMaze, Maze2D
from offbench.errors import OffbenchError

WALL, EMPTY, GOAL = 10, 11, 12
_TILES = {"#": WALL, "G": GOAL, " ": EMPTY, "O": EMPTY, "0": EMPTY}


def maze_text(cells: tuple[str, ...]) -> str:
    """Rows of cells as D4RL writes a maze."""
    return "\\".join(cells).replace(".", "O").replace("g", "G")


OPEN, U_MAZE, MEDIUM_MAZE, LARGE_MAZE = (maze_text(POINT_MAZES[name]) for name in ("open", "umaze", "medium", "large"))
SMALL_MAZE = "######\\#OOOO#\\#O##O#\\#OOOO#\\######"


def parse_maze(maze_str: str) -> Array:
    """The tiles (rows, columns) int32 of a maze: WALL, EMPTY or GOAL.

    Raises:
        OffbenchError: a tile that is none of # G O 0 and blank, or rows of different lengths.
    """
    rows = maze_str.strip().split("\\")
    if unknown := set("".join(rows)) - set(_TILES):
        raise OffbenchError(f"a maze has the tiles {sorted(unknown)}; # (wall), O (free) and G (goal) would be right")
    if len({len(row) for row in rows}) != 1:
        raise OffbenchError(f"rows of a maze have the lengths {[len(row) for row in rows]}; one length would be right")
    return np.array([[_TILES[tile] for tile in row] for row in rows], dtype=np.int32)


class OfflineAdapted(Adapted):
    """An environment of D4RL under the old interface."""

    @property
    def wrapped_env(self) -> Any:
        """What D4RL had within its scaling of actions: the robot, whose class has the robot's name."""
        robot = type(self.environment.simulation).__name__  # type: ignore[attr-defined]
        kind = type(f"Offline{robot}", (_Innermost,), {})
        return kind(self.environment, self.spec)


class _Innermost(Adapted):
    """An environment of D4RL without layers."""


class AntMazeEnv(OfflineAdapted):
    """One of D4RL's names of AntMaze under the old interface."""

    @property
    def target_goal(self) -> Array:
        """Where the reward is, (2,) metres."""
        goal: Array = self.environment.simulation.goal  # type: ignore[attr-defined]
        return goal

    def get_xy(self) -> Array:
        """Where the ant is, (2,) metres."""
        place: Array = self.environment.simulation.data.qpos[:2].copy()  # type: ignore[attr-defined]
        return place


def ant_maze(maze: str) -> list[list[int | str]]:
    """Rows of an ant's maze as D4RL writes them: 1 a wall, 0 free, "r" the start, "g" the goal."""
    tiles: dict[str, int | str] = {"#": 1, ".": 0}
    return [[tiles.get(cell, cell) for cell in row] for row in ANT_MAZES[maze]]


class MazeEnv(OfflineAdapted):
    """D4RL's point in a maze under the old interface.

    Attributes:
        str_maze_spec: the maze as D4RL writes it.
        maze_arr: its tiles; see `parse_maze`.
        reset_locations: free tiles, without the goal's.
        empty_and_goal_locations: those and the goal's, in which episodes start.
    """

    def __init__(self, maze_spec: str = U_MAZE, reward_type: str = "dense", reset_target: bool = False) -> None:
        if reward_type not in ("dense", "sparse"):
            raise OffbenchError(f"reward_type is {reward_type!r}; dense or sparse would be right")
        rows = maze_spec.strip().split("\\")
        cells = tuple(row.translate(str.maketrans("GO0 ", "g...")) for row in rows)
        parse_maze(maze_spec)
        super().__init__(Maze2D(cells, dense=reward_type == "dense"))
        self._describe(maze_spec, reset_target)

    @classmethod
    def around(cls, environment: OfflineEnvironment, spec: Any) -> MazeEnv:
        """That of one of D4RL's names."""
        made = cls.__new__(cls)
        Adapted.__init__(made, environment, spec)
        walls = environment.maze_map
        made._describe("\\".join("".join({1: "#", "g": "G"}.get(tile, "O") for tile in row) for row in walls), False)
        return made

    def _describe(self, maze_spec: str, reset_target: bool) -> None:
        self.str_maze_spec, self.maze_arr, self.reset_target = maze_spec, parse_maze(maze_spec), reset_target
        self.reset_locations = sorted(zip(*(self.maze_arr == EMPTY).nonzero(), strict=True))
        goals = list(zip(*(self.maze_arr == GOAL).nonzero(), strict=True))
        self.empty_and_goal_locations = self.reset_locations + goals
        self._draws = np.random.RandomState()

    @property
    def _target(self) -> Array:
        goal: Array = self._body.goal
        return goal

    @property
    def _body(self) -> Any:
        """The simulation: that of a name of D4RL is one layer in."""
        body: Any = self.environment.unwrapped
        return body.simulation if isinstance(body, OfflineEnvironment) else body

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Seed the next reset, and the targets and places that are drawn."""
        self._draws = np.random.RandomState(None if seed is None else seed % 2**32)
        return super().seed(seed)

    def reset(self, **kwargs: Any) -> Any:
        """Start an episode; returns the observation."""
        target = self._target
        observation = super().reset(**kwargs)
        self._body.goal = target  # a target that was set stays
        if self.reset_target:
            self.set_target()
        return observation

    def get_target(self) -> Array:
        """Where the reward is."""
        return self._target

    def set_target(self, target_location: Any = None) -> None:
        """Move the reward: to a place (2,), or to a free tile that is drawn."""
        place = self._drawn() if target_location is None else np.asarray(target_location, dtype=np.float64)
        self._body.goal = place

    def set_marker(self) -> None:
        """Nothing: what is drawn shows the target anyway."""

    def reset_to_location(self, location: Any) -> Array:
        """Start at a place, up to 0.1 m from it on each axis; returns the observation."""
        place = np.asarray(location, dtype=np.float64) + self._draws.uniform(-0.1, 0.1, 2)
        self._body.set_state(place, 0.1 * self._draws.standard_normal(2))
        observation: Array = np.concatenate([self._body.data.qpos, self._body.data.qvel])
        return observation

    def _drawn(self) -> Array:
        tile = self.empty_and_goal_locations[self._draws.randint(len(self.empty_and_goal_locations))]
        place: Array = np.array(tile, dtype=np.float64) + self._draws.uniform(-0.1, 0.1, 2)
        return place


def adapted(environment: OfflineEnvironment, spec: Any) -> OfflineAdapted:
    """One of D4RL's names under the old interface, with what its family has besides."""
    if isinstance(environment.simulation, Maze2D):
        return MazeEnv.around(environment, spec)
    kind = AntMazeEnv if isinstance(environment.simulation, AntMaze) else OfflineAdapted
    return kind(environment, spec)


class WaypointController:
    """Walks a maze: a spring and a damper towards the next tile of a shortest way to the target.

    A waypoint is up to 0.2 off its tile on each axis, drawn from NumPy's global generator, as in D4RL. Gains and
    thresholds are D4RL's; where several ways are shortest, it may take another one.
    """

    def __init__(self, maze_str: str, solve_thresh: float = 0.1, p_gain: float = 10.0, d_gain: float = -1.0) -> None:
        self.maze_str, self.solve_thresh, self.p_gain, self.d_gain = maze_str, solve_thresh, p_gain, d_gain
        self.vel_thresh = 0.1
        self._free = parse_maze(maze_str) != WALL
        self._target: Array = np.full(2, -1000.0)
        self._waypoints: list[Array] = []
        self._waypoint_idx = 0
        self._waypoint_prev_loc: Array = np.zeros(2)

    def current_waypoint(self) -> Array:
        """Where it walks to next."""
        return self._waypoints[self._waypoint_idx]

    def gridify_state(self, state: Any) -> tuple[int, int]:
        """The tile of a place."""
        return round(float(state[0])), round(float(state[1]))

    def get_action(self, location: Any, velocity: Any, target: Any) -> tuple[Array, bool]:
        """The action (2,) within [-1, 1] at a place and velocity, and whether the target is reached and at rest.

        Raises:
            OffbenchError: no way leads from the tile of the place to that of the target.
        """
        if np.linalg.norm(self._target - np.array(self.gridify_state(target))) > 1e-3:
            self._plan(self.gridify_state(location), self.gridify_state(target))
        moved = np.linalg.norm(self._waypoint_prev_loc - location)
        solved = bool(np.linalg.norm(location - self._target) < self.solve_thresh and moved < self.vel_thresh)
        following = self._target if solved else self._waypoints[self._waypoint_idx]
        action = self.p_gain * (following - location) + self.d_gain * np.asarray(velocity)
        near = np.linalg.norm(location - following) < self.solve_thresh
        if not solved and near and moved < self.vel_thresh and self._waypoint_idx < len(self._waypoints) - 1:
            self._waypoint_idx += 1
        self._waypoint_prev_loc = np.asarray(location)
        return np.clip(action, -1.0, 1.0), solved

    def _plan(self, start: tuple[int, int], target: tuple[int, int]) -> None:
        """Waypoints from the tile after the start's to the target's."""
        distance = {target: 0}
        waiting = deque([target])
        while waiting:
            tile = waiting.popleft()
            for beside in self._beside(tile):
                if beside not in distance:
                    distance[beside] = distance[tile] + 1
                    waiting.append(beside)
        if start not in distance:
            raise OffbenchError(f"no way leads from tile {start} to tile {target} of the maze")
        tiles = [start]
        while tiles[-1] != target:
            tiles.append(min(self._beside(tiles[-1]), key=lambda tile: distance.get(tile, np.inf)))
        self._waypoints = [
            np.array(tile) - (0 if tile == target else np.random.uniform(size=2) * 0.2)
            for tile in tiles[1:] or [target]
        ]
        self._waypoint_idx, self._target, self._waypoint_prev_loc = 0, np.array(target), np.array(start)

    def _beside(self, tile: tuple[int, int]) -> list[tuple[int, int]]:
        i, j = tile
        rows, columns = self._free.shape
        return [
            (x, y)
            for x, y in ((i, j + 1), (i, j - 1), (i + 1, j), (i - 1, j))
            if 0 <= x < rows and 0 <= y < columns and self._free[x, y]
        ]
