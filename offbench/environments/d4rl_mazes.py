"""D4RL's Maze2D and AntMaze on the MuJoCo that is installed: mazes, models, starts, goals and rewards are D4RL's.

Facts and figures are those of Farama-Foundation/D4RL: ``d4rl/pointmaze/maze_model.py`` and ``__init__.py``, and
``d4rl/locomotion/maze_env.py``, ``ant.py``, ``goal_reaching_env.py``, ``__init__.py`` and ``assets/ant.xml``. What
MuJoCo has changed since D4RL's data were recorded is undone as in `offbench.environments.d4rl_dynamics`.

``offbench/Maze2D-v1`` is the Maze2D of D4RL's version 1 (and the open maze, of which there is no version 1), and
``offbench/AntMaze-v2`` the AntMaze of its version 2, whose goal is drawn anew in every episode; versions 0 and 1 drew
one goal for all episodes of a process.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from abc import abstractmethod
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.mujoco import mujoco_rendering
from gymnasium.spaces import Box

from offbench.basis.shapes import Array
from offbench.environments.d4rl_dynamics import cylinders, halve_margins, margins_add, write_inertias
from offbench.environments.mujoco_states import mujoco
from offbench.errors import OffbenchError, UnknownNameError

POINT_ID, ANT_ID = "offbench/Maze2D-v1", "offbench/AntMaze-v2"
# D4RL's radius of success, of both mazes, in metres.
GOAL_RADIUS = 0.5

# Rows of cells: # is a wall, r the start, g the goal.
POINT_MAZES = {
    "open": ("#######", "#.....#", "#..g..#", "#.....#", "#######"),
    "umaze": ("#####", "#g..#", "###.#", "#...#", "#####"),
    "medium": ("########", "#..##..#", "#..#...#", "##...###", "#..#...#", "#.#..#.#", "#...#.g#", "########"),
    "large": (
        "############",
        "#....#.....#",
        "#.##.#.#.#.#",
        "#......#...#",
        "#.####.###.#",
        "#..#.#.....#",
        "##.#.#.#.###",
        "#..#...#.g.#",
        "############",
    ),
}  # fmt: skip
# The ant's larger mazes are the point's, walked from the first cell.
ANT_MAZES = {"umaze": ("#####", "#r..#", "###.#", "#g..#", "#####")} | {
    size: (cells[0], cells[1].replace(".", "r", 1), *cells[2:])
    for size, cells in POINT_MAZES.items()
    if size in ("medium", "large")
}


class D4RLMaze(gymnasium.Env[Array, Array]):
    """A robot in a maze of D4RL; an observation is its whole state, coordinates and then velocities.

    Attributes:
        model: MjModel.
        data: MjData.
        maze_map: rows of cells: 1 is a wall, anything else is free.
        goal: (2,) float64, metres.
        frame_skip: physics steps a step.
        max_speed: to which each velocity is cut before a step; None where it is not.
    """

    metadata = {"render_modes": ["rgb_array"]}
    frame_skip = 1
    max_speed: float | None = None
    # Gymnasium's name for what its robots hide; whoever draws pictures asks for it.
    _exclude_current_positions_from_observation = False

    def __init__(
        self,
        cells: tuple[str, ...],
        root: ET.Element,
        render_mode: str | None = None,
        width: int = 480,
        height: int = 480,
        camera_name: str | None = "track",
    ) -> None:
        """Take the maze's rows, its model and how to draw it."""
        self.maze_map: list[list[int | str]] = [[1 if cell == "#" else cell for cell in row] for row in cells]
        self.model = mujoco.MjModel.from_xml_string(ET.tostring(root, encoding="unicode"))
        self.model.vis.global_.offwidth, self.model.vis.global_.offheight = width, height
        self.data = mujoco.MjData(self.model)
        self.goal = self._goal_place()
        self.action_space = Box(-1.0, 1.0, (self.model.nu,), np.float32)
        self.observation_space = Box(-np.inf, np.inf, (self.model.nq + self.model.nv,), np.float64)
        self.render_mode = render_mode
        self._renderer: Any = mujoco_rendering.MujocoRenderer(
            self.model, self.data, None, width, height, camera_name=camera_name
        )

    @property
    def dt(self) -> float:
        """Seconds a step."""
        return float(self.model.opt.timestep * self.frame_skip)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Start an episode: observation (observation,) and the goal's place."""
        super().reset(seed=seed)
        positions, velocities, self.goal = self._drawn(self.np_random)
        self.set_state(positions, velocities)
        return self._observation(), {"goal": self.goal.copy()}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Advance by one step: observation, reward, termination, truncation, nothing else."""
        if self.max_speed is not None:
            self.data.qvel[:] = np.clip(self.data.qvel, -self.max_speed, self.max_speed)
            mujoco.mj_forward(self.model, self.data)
        self.data.ctrl[:] = np.clip(action, -1.0, 1.0)
        mujoco.mj_step(self.model, self.data, self.frame_skip)
        distance = np.linalg.norm(self.data.qpos[None, :2] - self.goal, axis=-1)
        return self._observation(), float(self.rewards(distance)[0]), bool(self.ends(distance)[0]), False, {}

    def set_state(self, positions: Array, velocities: Array) -> None:
        """Make coordinates and velocities the state, and forget all else."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:], self.data.qvel[:] = positions, velocities
        mujoco.mj_forward(self.model, self.data)

    @abstractmethod
    def rewards(self, distances: Array) -> Array:
        """Rewards (environments,) float64 at distances (environments,) from the goal after the step, in metres."""

    @abstractmethod
    def ends(self, distances: Array) -> Array:
        """(environments,) bool, where the episode ends."""

    def render(self) -> Any:
        """A picture (height, width, 3), if ``render_mode`` is ``rgb_array``."""
        return self._renderer.render(self.render_mode) if self.render_mode else None

    def close(self) -> None:
        """Free what drawing holds."""
        self._renderer.close()

    @abstractmethod
    def _goal_place(self) -> Array:
        """(2,) metres, of the goal's cell."""

    @abstractmethod
    def _drawn(self, generator: np.random.Generator) -> tuple[Array, Array, Array]:
        """Coordinates, velocities and goal (2,) of a new episode."""

    def _observation(self) -> Array:
        return np.concatenate([self.data.qpos, self.data.qvel])


class Maze2D(D4RLMaze):
    """A ball of 4.19 kg, pushed by up to 100 N along rows (x) and columns (y), whose numbers are its coordinates.

    Episodes start in any free cell and the goal's, up to 0.1 m from its place on each axis, at velocities of standard
    deviation 0.1 m/s. The goal stays where it is, and nothing ends an episode.
    """

    max_speed = 5.0

    def __init__(self, maze: str | tuple[str, ...], dense: bool = False, **drawing: Any) -> None:
        """Take the maze's name or rows, and whether rewards are exp(-distance) instead of 1 at the goal."""
        cells = _known(maze, POINT_MAZES) if isinstance(maze, str) else maze
        self._dense = dense
        super().__init__(cells, _point_model(cells), **drawing)
        self._starts = np.array([(i, j) for i, row in enumerate(cells) for j, cell in enumerate(row) if cell != "#"])

    def rewards(self, distances: Array) -> Array:
        """exp(-distance), or 1 within the radius of success."""
        near: Array = np.exp(-distances) if self._dense else (distances <= GOAL_RADIUS).astype(np.float64)
        return near

    def ends(self, distances: Array) -> Array:
        """Nowhere."""
        return np.zeros(len(distances), dtype=bool)

    def _goal_place(self) -> Array:
        marked = any("g" in row for row in self.maze_map)
        return np.array(_find("g" if marked else ".", self.maze_map), dtype=np.float64)

    def _drawn(self, generator: np.random.Generator) -> tuple[Array, Array, Array]:
        place = self._starts[generator.integers(len(self._starts))]
        return place + generator.uniform(-0.1, 0.1, 2), 0.1 * generator.standard_normal(2), self.goal


class AntMaze(D4RLMaze):
    """D4RL's ant, from the start's cell, which is the origin, to a goal in the goal's.

    Cells are 4 m wide; x counts columns and y rows. Every coordinate and velocity of the start has noise of 0.1. The
    goal lies 0 to 1.5 m farther from the origin than its cell's middle on each axis: the sum of two draws, up to 1 m
    and up to 0.5 m. An episode ends at the goal, with reward 1.
    """

    frame_skip = 5
    CELL = 4.0

    def __init__(self, maze: str, **drawing: Any) -> None:
        """Take the maze's name."""
        cells = _known(maze, ANT_MAZES)
        super().__init__(cells, _ant_model(cells), **drawing)

    def rewards(self, distances: Array) -> Array:
        """1 within the radius of success."""
        return (distances <= GOAL_RADIUS).astype(np.float64)

    def ends(self, distances: Array) -> Array:
        """Where the goal is reached."""
        return distances <= GOAL_RADIUS

    def _goal_place(self) -> Array:
        (row, column), (first_row, first_column) = _find("g", self.maze_map), _find("r", self.maze_map)
        return self.CELL * np.array([column - first_column, row - first_row], dtype=np.float64)

    def _drawn(self, generator: np.random.Generator) -> tuple[Array, Array, Array]:
        noise = generator.uniform(0, self.CELL / 4, 2) + generator.uniform(0, self.CELL / 8, 2)
        positions = self.model.qpos0 + generator.uniform(-0.1, 0.1, self.model.nq)
        # D4RL's MuJoCo did so in place, and its data hold unit quaternions; today's leaves them as they are.
        positions[3:7] /= np.linalg.norm(positions[3:7])
        return positions, 0.1 * generator.standard_normal(self.model.nv), self._goal_place() + noise


def register() -> None:
    """Make both environments known to Gymnasium."""
    for name, kind in ((POINT_ID, Maze2D), (ANT_ID, AntMaze)):
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point=f"{kind.__module__}:{kind.__name__}")


# -------------------------------------------------------------------- models

_POINT = """
<mujoco model="maze2d">
  <compiler inertiafromgeom="true" angle="radian"/>
  <option timestep="0.01" gravity="0 0 0" iterations="20" integrator="Euler"/>
  <default>
    <joint damping="1" limited="false"/>
    <geom friction=".5 .1 .1" density="1000" margin="0.002" condim="1" contype="2" conaffinity="1"/>
  </default>
  <visual><headlight ambient=".4 .4 .4" diffuse=".8 .8 .8" specular="0.1 0.1 0.1"/></visual>
  <worldbody>
    <geom type="plane" pos="0 0 -0.1" size="40 40 0.25" contype="1" conaffinity="0" rgba=".85 .87 .9 1"/>
    <body pos="1.2 1.2 0">
      <geom type="sphere" size="0.1" contype="1" rgba=".2 .3 .8 1"/>
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="y" type="slide" axis="0 1 0"/>
    </body>
  </worldbody>
  <actuator>
    <motor joint="x" ctrlrange="-1 1" ctrllimited="true" gear="100"/>
    <motor joint="y" ctrlrange="-1 1" ctrllimited="true" gear="100"/>
  </actuator>
</mujoco>
"""


def _point_model(cells: tuple[str, ...]) -> ET.Element:
    """The ball's coordinates are 0 at (1.2, 1.2), and cell (i, j) lies about (i + 1, j + 1)."""
    root = ET.fromstring(_POINT)
    world = root.find("worldbody")
    assert world is not None
    _add_walls(world, cells, lambda i, j: (i + 1.0, j + 1.0, 0.0), (0.5, 0.5, 0.2))
    rows, columns = len(cells), len(cells[0])
    # Looks down from above, rows to the right as x goes. The goal is drawn on the floor.
    above = _text(((rows + 1) / 2, (columns + 1) / 2, 1.3 * max(rows, columns)))
    ET.SubElement(world, "camera", {"name": "track", "pos": above})
    i, j = _find("g", cells)
    goal = {"type": "cylinder", "size": "0.2 0.01", "rgba": ".8 .3 .3 1", "pos": _text((i + 1.2, j + 1.2, -0.08))}
    ET.SubElement(world, "site", goal)
    if margins_add():
        halve_margins(root)
    return root


def _ant_model(cells: tuple[str, ...]) -> ET.Element:
    """Gymnasium's ant is D4RL's with other motors, another time step and harder contacts."""
    path = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "ant.xml"
    root = ET.parse(path).getroot()
    option, geoms, world = root.find("option"), root.find("default/geom"), root.find("worldbody")
    if option is None or geoms is None or world is None or geoms.get("density") != "5.0":
        raise OffbenchError(f"{path} is not the ant of Gymnasium that D4RL's is known from")
    option.set("timestep", "0.02")
    geoms.attrib.update(solref=".02 1", solimp=".8 .8 .01")
    for motor in root.iter("motor"):
        motor.set("gear", "30")
    today = mujoco.MjModel.from_xml_string(ET.tostring(root, encoding="unicode"))
    write_inertias(root, today, cylinders(today, None, density=5.0))
    first_row, first_column = _find("r", cells)
    size = AntMaze.CELL
    _add_walls(
        world,
        cells,
        lambda i, j: (size * (j - first_column), size * (i - first_row), size / 4),
        (size / 2, size / 2, size / 4),
    )
    if margins_add():
        halve_margins(root)
    return root


def _add_walls(world: ET.Element, cells: tuple[str, ...], place: Any, size: tuple[float, float, float]) -> None:
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            if cell == "#":
                wall = {"type": "box", "conaffinity": "1", "rgba": "0.7 0.5 0.3 1", "size": _text(size)}
                ET.SubElement(world, "geom", {**wall, "pos": _text(place(i, j))})


def _text(numbers: tuple[float, ...]) -> str:
    return " ".join(repr(float(number)) for number in numbers)


def _find(what: str, cells: Any) -> tuple[int, int]:
    return next((i, j) for i, row in enumerate(cells) for j, cell in enumerate(row) if cell == what)


def _known(maze: str, mazes: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    if maze not in mazes:
        raise UnknownNameError("maze of D4RL", maze, mazes)
    return mazes[maze]
