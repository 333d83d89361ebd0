"""What an environment can give at most and at least, so that a return outside of it was never earned.

Sources are the environments' own reward functions. Those of robots hold for what their motors can do, by a wide margin:
nothing faster was ever published.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from offbench.environments.task import Task


@dataclass(frozen=True)
class Bounds:
    """What the steps of an episode can earn.

    Attributes:
        low: least reward of a step.
        high: largest reward of a step.
        whole: whether every reward is a whole number, so that every return is.
        once: whether the largest reward comes once, and then ends the episode.
        full: whether nothing but the limit ends an episode.
        steady: whether the same policy earns the same return on the same start although another library rounds its
            actions otherwise; robots with contacts go elsewhere.
    """

    low: float
    high: float
    whole: bool = False
    once: bool = False
    full: bool = False
    steady: bool = False


# Pendulum-v1 pays -(angle^2 + 0.1 speed^2 + 0.001 torque^2) with |angle| <= pi, |speed| <= 8, |torque| <= 2.
PENDULUM = Bounds(-(math.pi**2 + 0.1 * 8.0**2 + 0.001 * 2.0**2), 0.0, full=True, steady=True)
# Forward velocity (m/s) plus at most 1 for being healthy, minus the cost of control; the fastest published HalfCheetah
# runs at some 20 m/s, the others at less than 8.
ROBOT = Bounds(-40.0, 40.0)
ROBOTS = {"Hopper": ROBOT, "Walker2d": ROBOT, "Ant": Bounds(-60.0, 40.0), "HalfCheetah": Bounds(-40.0, 40.0, full=True)}


def bounds(task: Task) -> Bounds | None:
    """The bounds of a task, None where its rewards are not bounded or not known here."""
    name = task.environment.rpartition("/")[2].rpartition("-v")[0]
    if name == "Pendulum":
        return PENDULUM
    if name.startswith("PointMaze"):  # exp(-distance), or 1 within reach of the goal
        endless = bool(task.arguments.get("continuing_task", True))
        return Bounds(0.0, 1.0, whole=not name.endswith("Dense"), full=endless, steady=True)
    if name == "Maze2D":
        return Bounds(0.0, 1.0, whole=not task.arguments.get("dense", False), full=True, steady=True)
    if name == "AntMaze":
        return Bounds(0.0, 1.0, whole=True, once=True)
    return ROBOTS.get(name)
