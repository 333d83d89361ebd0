"""Pictures of an episode, drawn from its observations, and GIF or MP4 files of them.

Tasks of MuJoCo are drawn by Gymnasium in the task's own environment, off screen. Pendulum, for which Gymnasium needs a
library of games, is drawn here.
"""

from __future__ import annotations

import ctypes.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from offbench.basis.files import atomic
from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.environments.pendulum import STEP_SECONDS
from offbench.environments.single import make_environment
from offbench.environments.task import Task
from offbench.errors import OffbenchError

SIZE = (240, 180)  # width and height
MOST_FRAMES = 100
INTERVAL = 0.08  # seconds of simulated time between two frames, where the step allows it
COLOURS = 64  # of a GIF
FLOOR = 20.0  # metres after which the pattern of the robots' floors repeats
SUFFIXES = (".gif", ".mp4")

# Libraries that draw without a screen, by the name that MUJOCO_GL has for them.
_BACKENDS = {"egl": "EGL", "osmesa": "OSMesa"}
_INSTALL = "on Debian and Ubuntu, 'apt-get install libegl1 libgl1-mesa-dri' brings what needs no GPU"
# Robots that move on a plane leave two coordinates out of their observations, the others one.
_ON_A_PLANE = ("Ant", "Swimmer", "Humanoid")


@dataclass(frozen=True, eq=False)
class Film:
    """Pictures of an episode, to be shown at the speed of the simulation.

    Attributes:
        frames: each (height, width, 3) uint8.
        every: steps from one frame to the next.
        seconds: the same in time.
    """

    frames: list[Array]
    every: int
    seconds: float

    def save(self, path: Path | str) -> None:
        """Write a GIF or an MP4, by the suffix of the path.

        Raises:
            OffbenchError: another suffix, the library for MP4 is missing, or the file cannot be written.
        """
        path = Path(path)
        check_output(path)
        (_save_gif if path.suffix == ".gif" else _save_mp4)(self, path)


def check_output(path: Path) -> None:
    """Raise an OffbenchError unless a film can be written under this name here."""
    if path.suffix not in SUFFIXES:
        raise OffbenchError(f"{path} is no name of a film; one that ends in {' or '.join(SUFFIXES)} would be right")
    if path.suffix == ".mp4":
        _ffmpeg()


def film(
    task: Task, episode: Trajectories, every: int | None = None, most: int = MOST_FRAMES, size: tuple[int, int] = SIZE
) -> Film:
    """Draw the first episode of some trajectories.

    The state of the simulator is taken from the observations: of MuJoCo's robots, whose distance travelled is
    integrated from the velocity; of PointMaze, with the goal where the observations or the extra column ``goal`` hold
    it; of Pendulum. For other MuJoCo tasks it is taken from the extra columns ``qpos`` and ``qvel``.

    Args:
        task: what the episode was recorded in.
        episode: trajectories of which the first one is drawn.
        every: steps between two frames; by default as many as take 0.08 seconds.
        most: frames at most; the rest of the episode is left out.
        size: width and height in pixels.

    Raises:
        OffbenchError: the data do not tell the state, or nothing here can draw (the message says what to install).
    """
    if not len(episode) or (every is not None and every < 1) or most < 1:
        raise OffbenchError(f"a film needs an episode, every {every} and most {most} of at least 1")
    steps = int(episode.lengths[0])
    if task.environment.startswith("Pendulum-"):
        every = every or max(1, round(INTERVAL / STEP_SECONDS))
        rows = range(0, steps + 1, every)[:most]
        return Film([_pendulum(episode.observations[row], size) for row in rows], every, every * STEP_SECONDS)
    with off_screen(), _environment(task, size) as environment:
        body = _body(environment)
        every = every or max(1, round(INTERVAL / body.dt))
        show = _point_maze if task.environment.startswith("PointMaze_") else _robot
        rows = range(0, steps + 1, every)[:most]
        frames = [_rendered(environment) for _ in show(task, environment, episode, rows)]
    return Film(frames, every, every * float(body.dt))


# -------------------------------------------------------------------- MuJoCo


@contextmanager
def off_screen() -> Iterator[None]:
    """Have Gymnasium draw by a library that is here; MUJOCO_GL says which where it is set."""
    wanted = os.environ.get("MUJOCO_GL")
    if sys.platform != "linux" or (wanted and wanted not in _BACKENDS):
        yield
        return
    names = [wanted] if wanted else list(_BACKENDS)
    found = [name for name in names if ctypes.util.find_library(_BACKENDS[name])]
    if not found:
        libraries = " or ".join(_BACKENDS[name] for name in names)
        asked = f", which MUJOCO_GL={wanted} asks for" if wanted else ""
        raise OffbenchError(f"nothing can be drawn without a screen here: no library {libraries}{asked}; {_INSTALL}")
    os.environ["MUJOCO_GL"] = found[0]
    try:
        yield
    finally:
        if not wanted:
            del os.environ["MUJOCO_GL"]


@contextmanager
def _environment(task: Task, size: tuple[int, int]) -> Iterator[Any]:
    """The task's environment, which renders pictures of a size."""
    # The robots' models have a camera of that name, which goes with them; others are seen from where Gymnasium looks.
    drawing = {"render_mode": "rgb_array", "width": size[0], "height": size[1], "camera_name": "track"}
    try:
        environment = make_environment(task.model_copy(update={"arguments": {**task.arguments, **drawing}}))
    except OffbenchError as error:
        raise OffbenchError(f"episodes of task {task.name} cannot be drawn: {error}") from error
    try:
        if not hasattr(_body(environment), "set_state"):
            raise OffbenchError(f"episodes of task {task.name} cannot be drawn: {task.environment} takes no states")
        environment.reset(seed=0)
        yield environment
    finally:
        environment.close()


def _body(environment: Any) -> Any:
    """The environment that holds the MuJoCo state."""
    return getattr(environment.unwrapped, "point_env", environment.unwrapped)


def _rendered(environment: Any) -> Array:
    try:
        return np.array(environment.render(), dtype=np.uint8)
    except Exception as error:  # drivers, their loaders and PyOpenGL raise anything
        backend = os.environ.get("MUJOCO_GL", "the default")
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise OffbenchError(f"MuJoCo cannot draw by {backend} here ({reason}); {_INSTALL}") from error


def _point_maze(task: Task, environment: Any, episode: Trajectories, rows: Sequence[int]) -> Iterator[None]:
    """Set the state of each row in turn; a goal that is not known is not shown."""
    _check_observations(task, episode, 6 if "desired_goal" in task.observation else 4)
    maze, body = environment.unwrapped, _body(environment)
    goals = episode.observations[:, 4:6] if "desired_goal" in task.observation else episode.extras.get("goal")
    if goals is None:
        body.model.site_rgba[maze.target_site_id, 3] = 0
    for row in rows:
        observation = episode.observations[row].astype(np.float64)
        if goals is not None:
            maze.goal = goals[min(row, int(episode.lengths[0]) - 1)].astype(np.float64)
            maze.update_target_site_pos()
        body.set_state(observation[:2], observation[2:4])
        yield


def _robot(task: Task, environment: Any, episode: Trajectories, rows: Sequence[int]) -> Iterator[None]:
    """Set the state of each row in turn."""
    body = environment.unwrapped
    places, speeds = _observed(task, body, episode) or _recorded(task, body, episode)
    for row in rows:
        body.set_state(places[min(row, len(places) - 1)], speeds[min(row, len(speeds) - 1)])
        yield


def _observed(task: Task, body: Any, episode: Trajectories) -> tuple[Array, Array] | None:
    """Coordinates and velocities (steps + 1, ...) of a robot whose observations tell all but the distance travelled."""
    if not hasattr(body, "_exclude_current_positions_from_observation"):
        return None
    hidden = 2 if task.environment.startswith(_ON_A_PLANE) else 1
    hidden *= bool(body._exclude_current_positions_from_observation)
    shown = body.model.nq - hidden
    _check_observations(task, episode, shown + body.model.nv)
    seen = episode.observations[: int(episode.lengths[0]) + 1].astype(np.float64)
    speeds = seen[:, shown : shown + body.model.nv]
    # Folded, because the floor ends after a few times that.
    travelled = (np.cumsum(speeds[:, :hidden], axis=0) * body.dt + FLOOR / 2) % FLOOR - FLOOR / 2
    return np.concatenate([travelled, seen[:, :shown]], axis=1), speeds


def _recorded(task: Task, body: Any, episode: Trajectories) -> tuple[Array, Array]:
    """Coordinates and velocities (steps, ...) from the extra columns."""
    wanted = {"qpos": (body.model.nq,), "qvel": (body.model.nv,)}
    columns = {name: episode.extras.get(name) for name in wanted}
    found = [column for name, column in columns.items() if column is not None and column.shape[1:] == wanted[name]]
    if len(found) < 2:
        raise OffbenchError(
            f"episodes of task {task.name} cannot be drawn from these data: neither their observations nor the columns "
            f"infos/qpos of {body.model.nq} and infos/qvel of {body.model.nv} numbers tell the simulator's state"
        )
    return found[0][: int(episode.lengths[0])].astype(np.float64), found[1].astype(np.float64)


def _check_observations(task: Task, episode: Trajectories, least: int) -> None:
    shape = episode.observations.shape[1:]
    if len(shape) != 1 or shape[0] < least:
        raise OffbenchError(
            f"observations of shape {shape} do not tell the state of task {task.name}, which takes {least} numbers; "
            "name the task that the data come from"
        )


# -------------------------------------------------------------------- Pendulum


def _pendulum(observation: Array, size: tuple[int, int]) -> Array:
    """A rod that turns about the middle, for an observation (cosine, sine, speed); upright is up."""
    fine = 4  # drawn larger and shrunk, which smoothes edges
    width, height = size[0] * fine, size[1] * fine
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    length, thickness = 0.4 * height, 0.07 * height
    middle = np.array([width / 2, height / 2])
    tip = middle + length * np.array([-observation[1], -observation[0]])

    def disc(centre: Array, radius: float, colour: str) -> None:
        pen.ellipse([*(centre - radius), *(centre + radius)], fill=colour)

    pen.line([*middle, *tip], fill="#cc4c4c", width=round(thickness))
    disc(middle, thickness / 2, "#cc4c4c")
    disc(tip, thickness / 2, "#cc4c4c")
    disc(middle, thickness / 5, "black")
    return np.array(image.resize(size, Image.Resampling.LANCZOS), dtype=np.uint8)


# -------------------------------------------------------------------- files


def _save_gif(film: Film, path: Path) -> None:
    # One palette for all frames, without dithering: what does not move stays the same, and takes no room.
    sample = film.frames[:: max(1, len(film.frames) // 8)]
    palette = Image.fromarray(np.concatenate(sample)).quantize(COLOURS)
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in film.frames]
    with atomic(path) as temporary, temporary.open("wb") as file:
        milliseconds = max(20, round(film.seconds * 1000))  # viewers slow down what is faster
        images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0)


def _save_mp4(film: Film, path: Path) -> None:
    height, width = film.frames[0].shape[:2]
    with atomic(path) as temporary:
        writer = _ffmpeg().write_frames(
            str(temporary), (width, height), fps=1 / film.seconds, macro_block_size=2, output_params=["-f", "mp4"]
        )
        writer.send(None)
        for frame in film.frames:
            writer.send(np.ascontiguousarray(frame))
        writer.close()


def _ffmpeg() -> Any:
    try:
        return import_module("imageio_ffmpeg")
    except ImportError as error:
        raise OffbenchError("to write MP4, 'pip install \"offbench[video]\"'; a GIF needs nothing more") from error
