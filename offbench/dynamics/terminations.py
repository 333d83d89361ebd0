"""When an episode terminates, as a rule of the next observation: learned dynamics predict states, not flags.

Each rule is the simulator's own, of what an observation holds of the state, and is tested against it. A velocity that
observations clip (Hopper's and Walker2d's at 10) cannot be seen to pass 100.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from offbench.environments.task import Task
from offbench.errors import OffbenchError

Rule = Callable[[Float[Tensor, "*batch observation"]], Bool[Tensor, "*batch"]]


def never(observations: Float[Tensor, "*batch observation"]) -> Bool[Tensor, "*batch"]:
    """No state ends an episode."""
    return torch.zeros(observations.shape[:-1], dtype=torch.bool, device=observations.device)


def hopper(observations: Float[Tensor, "*batch observation"]) -> Bool[Tensor, "*batch"]:
    """Height at most 0.7, angle of the torso at least 0.2 either way, any other number at least 100, or not finite."""
    height, angle, others = observations[..., 0], observations[..., 1], observations[..., 1:]
    healthy = (height > 0.7) & (angle.abs() < 0.2) & (others.abs() < 100).all(-1)
    return ~(healthy & observations.isfinite().all(-1))


def walker2d(observations: Float[Tensor, "*batch observation"]) -> Bool[Tensor, "*batch"]:
    """Height outside (0.8, 2), or angle of the torso outside (-1, 1)."""
    height, angle = observations[..., 0], observations[..., 1]
    return ~((height > 0.8) & (height < 2.0) & (angle.abs() < 1.0))


def ant(observations: Float[Tensor, "*batch observation"]) -> Bool[Tensor, "*batch"]:
    """Height outside [0.2, 1], or anything not finite."""
    height = observations[..., 0]
    return ~((height >= 0.2) & (height <= 1.0) & observations.isfinite().all(-1))


def humanoid(observations: Float[Tensor, "*batch observation"]) -> Bool[Tensor, "*batch"]:
    """Height outside (1, 2)."""
    height = observations[..., 0]
    return ~((height > 1.0) & (height < 2.0))


def inverted_pendulum(observations: Float[Tensor, "*batch observation"]) -> Bool[Tensor, "*batch"]:
    """Angle of the pole beyond 0.2 either way, or anything not finite."""
    return ~((observations[..., 1].abs() <= 0.2) & observations.isfinite().all(-1))


def pen(observations: Float[Tensor, "*batch observation"]) -> Bool[Tensor, "*batch"]:
    """The pen's place is below 0.075 m: it has fallen."""
    return observations[..., 26] < 0.075


# By the environment's id without its version and, for D4RL's hands, with what they are to do. D4RL's AntMaze has no
# rule: it ends at a goal that its observations do not hold.
RULES: dict[str, Rule] = {
    "Adroit door": never,
    "Adroit hammer": never,
    "Adroit pen": pen,
    "Adroit relocate": never,
    "AdroitHandDoor": never,
    "AdroitHandHammer": never,
    "AdroitHandPen": never,
    "AdroitHandRelocate": never,
    "Ant": ant,
    "HalfCheetah": never,
    "Hopper": hopper,
    "Humanoid": humanoid,
    "HumanoidStandup": never,
    "InvertedPendulum": inverted_pendulum,
    "Maze2D": never,
    "Pendulum": never,
    "PointMaze": never,
    "Pusher": never,
    "Reacher": never,
    "Swimmer": never,
    "Walker2d": walker2d,
}
# Arguments of an environment that make another rule of it, or other observations.
_OTHERWISE = (
    "exclude_current_positions_from_observation", "healthy_angle_range", "healthy_state_range", "healthy_z_range",
    "terminate_when_unhealthy",
)  # fmt: skip


def rule_name(task: Task | None) -> str:
    """The name of the rule of a task's environment, empty where none is known.

    A point maze has one where its task goes on at the goal, as Gymnasium-Robotics' does unless it is told otherwise.
    """
    if task is None or any(name in task.arguments for name in _OTHERWISE):
        return ""
    name = task.environment.removeprefix("offbench/").partition("-v")[0]
    if name == "Adroit":
        name = f"{name} {task.arguments['goal']}"
    if name.startswith("PointMaze_"):
        name = "PointMaze" if task.arguments.get("continuing_task", True) else ""
    return name if name in RULES else ""


def rule_of(name: str) -> Rule:
    """The rule called ``name``.

    Raises:
        OffbenchError: there is none.
    """
    if name not in RULES:
        raise OffbenchError(
            f"no rule says when an episode of {name or 'this task'} terminates, so that learned dynamics cannot be "
            f"played in; known: {', '.join(sorted(RULES))}"
        )
    return RULES[name]
