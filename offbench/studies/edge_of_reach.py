"""The edge of reach: why Q explodes with perfect dynamics, and what mends it.

Three runs in the `plane`, whose true dynamics play all branches, so that no model is wrong anywhere:

- **base**: soft actor-critic on branches of k steps, without pessimism (MBPO; with perfect dynamics MOPO is the same);
- **patched**: the same, but the bootstrap of states at the edge of reach takes the best policy's value, from an oracle;
- **ravl**: N critics, their minimum, their gradients kept apart; no oracle.

Source: Sims et al. 2024 (arXiv 2402.12527).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import Algorithm, Sizes
from offbench.algorithms.mopo import MOPO, MOPOConfig
from offbench.algorithms.ravl import RAVL, RAVLConfig
from offbench.basis.compiler import compiler, keep_memory
from offbench.data.transitions import Batch, Transitions
from offbench.dynamics.imagination import Imagination
from offbench.evaluation.rollout import one_torch_thread
from offbench.studies import plane
from offbench.studies.plane import HORIZON, LENGTH, Oracle, Plane, at_the_edge
from offbench.training.compilation import update_step
from offbench.training.group import Group

Say = Callable[[str], None]
METHODS = ("base", "patched", "ravl")


@dataclass(frozen=True)
class Budget:
    """How much is done.

    Attributes:
        updates: of each method.
        every: updates between two evaluations.
        seeds: of each method.
        branches: rolled out each time.
    """

    updates: int
    every: int
    seeds: int
    branches: int


BUDGETS = {"small": Budget(24_000, 1000, 4, 1000), "full": Budget(200_000, 2000, 10, 5000)}
EPISODES = 100
COMPILED_FROM = 1000  # updates, below which compiling takes longer than it saves


class Patched(MOPO):
    """The base, told by an oracle what states are worth that no branch acts in."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.oracle = Oracle(self.config.discount, plane.START + LENGTH * plane.STRIDE)

    def next_value(self, batch: Batch) -> Float[Tensor, "seeds batch"]:
        """The oracle's at the edge of reach."""
        edge, states = at_the_edge(batch.next_observations), batch.next_observations
        return torch.where(edge, self.oracle(states), super().next_value(batch))


def made(method: str, seeds: int, budget: Budget) -> Algorithm:
    """A method, with the true dynamics in the place of a model."""
    common: dict[str, Any] = {
        "rollout_length": LENGTH, "rollout_count": budget.branches, "rollout_every": 250, "rollouts_kept": 5,
        "real_ratio": 0.05, "termination": "Pendulum", "dynamics_hidden": (1,), "batch_size": 256,
    }  # fmt: skip
    sizes, numbers = Sizes(2, 2), list(range(seeds))
    algorithm: Algorithm
    if method == "ravl":
        algorithm = RAVL(RAVLConfig(hidden=(64, 64), **common), sizes, numbers, budget.updates)
    else:
        config = MOPOConfig(
            penalty="none", hidden=(64, 64), actor_learning_rate=3e-4, temperature_learning_rate=3e-4,
            actor_schedule="constant", **common,
        )  # fmt: skip
        algorithm = (MOPO if method == "base" else Patched)(config, sizes, numbers, budget.updates)
    imagination = algorithm.imagination
    assert isinstance(imagination, Imagination)
    imagination.world = Plane()
    return algorithm


def run(method: str, budget: Budget, say: Say) -> dict[str, Any]:
    """Train the seeds of a method; a record of plain numbers.

    Curves have a row an evaluation: ``updates``, and lists over seeds of ``q`` (mean over a batch), ``returns``
    (mean over episodes from the data's starts) and ``edge`` (share of the imagined next states at the edge of reach).
    ``penalty`` is how much less than the mean of the critics their minimum is, within reach and at the edge.
    """
    keep_memory()
    algorithm, view = made(method, budget.seeds, budget), Transitions(plane.data())
    step = update_step(type(algorithm), compiled=compiler() is not None and budget.updates > COMPILED_FROM)
    group, curves, started = Group(algorithm, view, step), list[dict[str, Any]](), time.perf_counter()
    with one_torch_thread():
        for update in range(0, budget.updates, budget.every):
            group.totals.zero_()
            group.advance(update, update + budget.every)
            q = (group.totals[algorithm.metrics.index("q")] / budget.every).tolist()
            returns, edge = scores(algorithm).tolist(), edge_share(algorithm).tolist()
            curves.append({"updates": update + budget.every, "q": q, "returns": returns, "edge": edge})
            say(
                f"{method}: {update + budget.every:,} updates, q {max(q):.3g}, return {sum(returns) / len(returns):.2f}"
            )
        within, beyond = spreads(algorithm)
        surface = q_surface(algorithm)
    return {
        "method": method, "seeds": budget.seeds, "updates": budget.updates, "curves": curves,
        "penalty": {"within": within, "edge": beyond}, "surface": surface,
        "seconds": time.perf_counter() - started,
    }  # fmt: skip


def scores(algorithm: Algorithm) -> Float[Tensor, " seeds"]:
    """Mean over episodes of the sum of rewards over the horizon, from starts that lie within the data's."""
    states = plane.starts(EPISODES).expand(len(algorithm.seeds), -1, -1)
    total = torch.zeros(states.shape[:2])
    with torch.no_grad():
        for _ in range(HORIZON):
            states = states + plane.STRIDE * algorithm.act(states).clamp(-1, 1)
            total += plane.reward(states)
    return total.mean(1)


def edge_share(algorithm: Algorithm) -> Float[Tensor, " seeds"]:
    """The share of imagined next states that no branch acts in."""
    following = _following(algorithm)
    return at_the_edge(following).float().mean(1)


def spreads(algorithm: Algorithm) -> tuple[list[float], list[float]]:
    """Mean minus minimum of the critics at the policy's actions, of imagined next states within reach and at the edge.

    A mean over states for each seed; not a number where there is none.
    """
    states = _following(algorithm)
    with torch.no_grad():
        q = _q(algorithm, states, algorithm.act(states))  # (seeds, critics, rows)
    spread, edge = q.mean(1) - q.amin(1), at_the_edge(states)
    pairs = [(row[~mask].mean().item(), row[mask].mean().item()) for row, mask in zip(spread, edge, strict=True)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def q_surface(algorithm: Algorithm, points: int = 61) -> dict[str, Any]:
    """min Q of the first seed at the policy's actions over the plane, for a picture."""
    reach = plane.START + (LENGTH + 2) * plane.STRIDE
    axis = torch.linspace(-reach, reach, points)
    states = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(1, -1, 2)
    every = states.expand(len(algorithm.seeds), -1, -1)
    with torch.no_grad():
        q = _q(algorithm, every, algorithm.act(every)).amin(1)[0]
    return {"axis": axis.tolist(), "q": q.view(points, points).tolist()}


def _following(algorithm: Algorithm) -> Float[Tensor, "seeds rows 2"]:
    imagination = algorithm.imagination
    assert isinstance(imagination, Imagination)
    filled = int(imagination.filled.min())
    return torch.split(imagination.rows[:, :filled], imagination.parts, -1)[3]


def _q(
    algorithm: Algorithm, states: Float[Tensor, "seeds rows 2"], actions: Float[Tensor, "seeds rows 2"]
) -> Float[Tensor, "seeds critics rows"]:
    assert isinstance(algorithm, MOPO | RAVL)
    return algorithm.critic(algorithm.networks["critic"], torch.cat([states, actions], -1))[..., 0]
