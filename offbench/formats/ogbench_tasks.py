"""OGBench's single tasks: rewards and terminations that the simulator states in a file give, without a simulator.

A task is a few subtasks: a place to reach, cubes to put somewhere, buttons, a drawer and a window to set. The reward of
a step is minus the number of subtasks that are not done in the state that it starts from; where all are, the step
terminates, and the episode goes on. Source: ogbench 1.2.2, ``relabel_dataset`` (https://github.com/seohongpark/ogbench,
MIT), whose targets lie in ``datasets/ogbench/targets.json``, by environment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from offbench.basis.resources import resources
from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, UnknownNameError

TASKS = 5  # in each environment
_OBJECTS, _CUBE = 14, 7  # where objects begin in qpos, behind arm and gripper, and numbers of one cube
_NEAR = 0.04  # metres, of a cube, the drawer and the window
# The task that an id without a number means, by the beginning of an environment's name; else the first.
_DEFAULT = {"antsoccer": 4, "cube": 2, "scene": 2, "puzzle-3x3": 4, "puzzle-4x4": 4, "puzzle-4x5": 2, "puzzle-4x6": 2}


@dataclass(frozen=True)
class SingleTask:
    """Targets of one task; those that it does not have are None.

    Attributes:
        xy: (2,), where the agent or the ball is to be, metres.
        tolerance: how near, metres.
        xy_start: where in qpos the position of agent or ball begins.
        cubes: (cubes, 3), where the cubes are to be.
        buttons: (buttons,), the states of the buttons.
        drawer: position of the drawer.
        window: position of the window.
    """

    xy: tuple[float, ...] | None = None
    tolerance: float = 0.0
    xy_start: int = 0
    cubes: tuple[tuple[float, ...], ...] | None = None
    buttons: tuple[int, ...] | None = None
    drawer: float | None = None
    window: float | None = None


@cache
def _targets() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads((resources() / "ogbench" / "targets.json").read_text(encoding="utf-8"))
    return stored


def single_task(environment: str, number: int | None = None) -> tuple[int, SingleTask]:
    """(number, targets) of a task, of the default one if no number is given.

    Args:
        environment: ``antmaze-large-v0``.
        number: 1 to 5.

    Raises:
        UnknownNameError: the environment has no single tasks, or none of that number.
    """
    if environment not in _targets():
        raise UnknownNameError("environment with single tasks", environment, _targets())
    if number is None:
        number = next((task for start, task in _DEFAULT.items() if environment.startswith(start)), 1)
    if not 1 <= number <= TASKS:
        raise UnknownNameError("single task", str(number), [str(each) for each in range(1, TASKS + 1)])
    stored = _targets()[environment][number - 1]
    return number, SingleTask(
        xy=tuple(stored["xy"]) if "xy" in stored else None,
        tolerance=stored.get("tolerance", 0.0),
        xy_start=stored.get("xy_start", 0),
        cubes=tuple(map(tuple, stored["cubes"])) if "cubes" in stored else None,
        buttons=tuple(stored["buttons"]) if "buttons" in stored else None,
        drawer=stored.get("drawer"),
        window=stored.get("window"),
    )


def relabelled(trajectories: Trajectories, task: SingleTask) -> Trajectories:
    """The same episodes with the rewards and terminations of a task.

    Args:
        trajectories: with the extras qpos and, where the task has buttons, button_states.
        task: its targets.

    Raises:
        DataError: the states that the task is about are not among the extras.
    """
    done = np.stack(list(_done(trajectories, task)), axis=1)  # (steps, subtasks)
    terminations = np.asarray(done.all(axis=1))
    truncations = np.zeros(trajectories.steps, dtype=bool)
    truncations[trajectories.offsets[1:] - 1] = True
    return replace(
        trajectories,
        rewards=(done.sum(axis=1) - done.shape[1]).astype(np.float32),
        terminations=terminations,
        truncations=truncations & ~terminations,
    )


def _done(t: Trajectories, task: SingleTask) -> Iterator[Array]:
    """Whether each subtask is done in the state that each step starts from, (steps,) each."""
    qpos = _states(t, "qpos")
    if task.xy is not None:
        here = qpos[:, task.xy_start : task.xy_start + 2]
        yield np.linalg.norm(here - np.array(task.xy), axis=-1) <= task.tolerance
    for cube, target in enumerate(task.cubes or ()):
        first = _OBJECTS + cube * _CUBE
        yield np.linalg.norm(np.array(target) - qpos[:, first : first + 3], axis=-1) <= _NEAR
    for button, state in enumerate(task.buttons or ()):
        yield _states(t, "button_states")[:, button] == state
    behind = _OBJECTS + len(task.cubes or ()) * _CUBE + len(task.buttons or ())
    for slide, position in enumerate((task.drawer, task.window)):
        if position is not None:
            yield np.abs(qpos[:, behind + slide] - position) <= _NEAR


def _states(t: Trajectories, name: str) -> Array:
    if name not in t.extras:
        raise DataError(
            f"{t.name} has no {name}, from which a single task's rewards are computed; fetch the whole file"
        )
    return t.extra(name)
