"""The pendulum of the dynamics study: its data, its best value, and policies trained in one world and then scored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import Algorithm, Sizes
from offbench.algorithms.mopo import MOPO, MOPOConfig
from offbench.basis.compiler import compiler, keep_memory
from offbench.catalog.loading import load
from offbench.data.transitions import Transitions
from offbench.dynamics.imagination import Imagination
from offbench.dynamics.worlds import World
from offbench.environments.own_tasks import chosen_task
from offbench.environments.pendulum import MAX_SPEED, MAX_TORQUE, STEP_SECONDS
from offbench.evaluation.rollout import Evaluator
from offbench.studies.drawing import Say
from offbench.training.checks import action_range
from offbench.training.compilation import update_step
from offbench.training.group import Group, GroupPolicy

DATASET, TASK = "offbench/pendulum/swingup-v0", "pendulum"
EPISODES = 20  # of each seed in an evaluation
# With these MOPO learns to swing up in 3,000 updates, in a good model, with no transition of the data in its batches.
SETTINGS: Mapping[str, Any] = {
    "rollout_length": 20, "rollout_count": 100, "rollout_every": 250, "rollouts_kept": 8, "real_ratio": 0.0,
    "hidden": (64, 64), "batch_size": 128, "polyak": 0.01, "actor_learning_rate": 1e-3, "critic_learning_rate": 1e-3,
    "temperature_learning_rate": 1e-3, "actor_schedule": "constant",
}  # fmt: skip
COMPILED_FROM = 1000  # updates, below which compiling takes longer than it saves


def view_of(episodes: int) -> Transitions:
    """The first episodes of the data, of 200 transitions each."""
    data, task = load(DATASET)[:episodes], chosen_task(TASK)
    return Transitions(data, action_range=action_range(data, task))


class BestValue:
    """The value of the best policy in Gymnasium's Pendulum-v1, tabulated over angle and speed by value iteration.

    There are ``torques`` torques to choose from; next states are interpolated bilinearly, and angles wrap around.
    """

    def __init__(self, discount: float = 0.99, angles: int = 120, speeds: int = 81, torques: int = 9) -> None:
        self.angles, self.speeds = angles, speeds
        angle = torch.arange(angles, dtype=torch.float64) * (2 * math.pi / angles) - math.pi
        speed = torch.linspace(-MAX_SPEED, MAX_SPEED, speeds, dtype=torch.float64)
        torque = torch.linspace(-MAX_TORQUE, MAX_TORQUE, torques, dtype=torch.float64)
        th, w, u = torch.meshgrid(angle, speed, torque, indexing="ij")
        reward = -(th**2 + 0.1 * w**2 + 0.001 * u**2)
        w = (w + (15 * torch.sin(th) + 3 * u) * STEP_SECONDS).clamp(-MAX_SPEED, MAX_SPEED)
        corners, weights = self._corners(th + w * STEP_SECONDS, w)
        table, change = torch.zeros(angles * speeds, dtype=torch.float64), math.inf
        while change > 1e-2:
            best = (reward + discount * (weights * table[corners]).sum(-1)).amax(-1).flatten()
            change, table = float((best - table).abs().max()), best
        self.table = table

    def __call__(self, states: Float[Tensor, "rows 3"]) -> Float[Tensor, "1 rows"]:
        """Of observations (cosine, sine, speed); of one off the circle at its angle, of too fast a one at the bound."""
        cosine, sine, speed = states.double().unbind(-1)
        corners, weights = self._corners(torch.atan2(sine, cosine), speed.clamp(-MAX_SPEED, MAX_SPEED))
        return (weights * self.table[corners]).sum(-1).unsqueeze(0)

    def _corners(self, angle: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
        """The four cells around each state, as places in the table, and their weights."""
        across = (angle + math.pi) * (self.angles / (2 * math.pi))
        up = ((speed + MAX_SPEED) * ((self.speeds - 1) / (2 * MAX_SPEED))).clamp(0, self.speeds - 1.000001)
        (left, low), (x, y) = (across.floor(), up.floor()), (across - across.floor(), up - up.floor())
        left, low = left.long(), low.long()
        places = [(left + i) % self.angles * self.speeds + low + j for i in (0, 1) for j in (0, 1)]
        weights = [(x if i else 1 - x) * (y if j else 1 - y) for i in (0, 1) for j in (0, 1)]
        return torch.stack(places, -1), torch.stack(weights, -1)


def learner(view: Transitions, seeds: Sequence[int], updates: int, **options: Any) -> MOPO:
    """MOPO without a penalty and without the data's own transitions in its batches, small and fast for the pendulum."""
    common = {**SETTINGS, "penalty": "none", "termination": "Pendulum"}
    return MOPO(MOPOConfig(**common | options), Sizes(view.observation_size, view.action_size), seeds, updates)


def returns_of(algorithm: Algorithm, view: Transitions, updates: int, evaluations: int, say: Say) -> list[list[float]]:
    """Train, and score each seed's mean return in the true pendulum so many times; (evaluations, seeds)."""
    keep_memory()
    task = chosen_task(TASK)
    step = update_step(type(algorithm), compiled=compiler() is not None and updates > COMPILED_FROM)
    group, evaluator, found = Group(algorithm, view, step), Evaluator(task, algorithm.seeds, EPISODES), []
    policy, every = GroupPolicy([algorithm], view.scaling), updates // evaluations
    for number in range(evaluations):
        group.advance(number * every, (number + 1) * every)
        scored = evaluator.evaluate(policy, (number + 1) * every, number)
        found.append([sum(record.returns) / len(record.returns) for record in scored])
        say(f"{(number + 1) * every:,} updates, mean return {sum(found[-1]) / len(found[-1]):.0f}")
    evaluator.close()
    return found


def use(algorithm: MOPO, world: World) -> None:
    """Imagine in ``world``."""
    assert isinstance(algorithm.imagination, Imagination)
    algorithm.imagination.world = world
