"""Whole imagined episodes: from first states of the data to the time limit, of which those are kept that return much.

Source: Zhou et al. 2024, MBRCSL (arXiv 2310.19308). Nothing is bootstrapped: what is predicted to be earned to the end
of an episode is all that is learned from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from offbench.data.transitions import Transitions
from offbench.dynamics.behaviour import Act
from offbench.dynamics.fitting import Say
from offbench.dynamics.worlds import Moment, World
from offbench.errors import OffbenchError
from offbench.nn.noise import uniform

REPORT_EVERY = 10  # batches


class Played(NamedTuple):
    """Episodes that were played in a world.

    Attributes:
        observations: that each step acts from.
        actions: in [-1, 1].
        rewards: 0 after an end.
        alive: whether the step was made; none is after a termination.
    """

    observations: Float[Tensor, "seeds batch horizon observation"]
    actions: Float[Tensor, "seeds batch horizon action"]
    rewards: Float[Tensor, "seeds batch horizon"]
    alive: Bool[Tensor, "seeds batch horizon"]


def play(
    world: World, act: Act, starts: Float[Tensor, "seeds batch observation"], horizon: int, moment: Moment
) -> Played:
    """Episodes of at most ``horizon`` steps.

    Args:
        world: what they are played in.
        act: gives actions of observations and a moment.
        starts: where they begin.
        horizon: the time limit.
        moment: of which all that is random is a function, with the number of the step.
    """
    states, alive = starts, torch.ones_like(starts[..., 0], dtype=torch.bool)
    steps = []
    for step in range(horizon):
        now = moment._replace(name=f"{moment.name}{step}")
        actions = act(states, now)
        outcome = world.step(states, actions, now)
        steps.append((states, actions, torch.where(alive, outcome.rewards, 0), alive))
        states, alive = outcome.observations, alive & ~outcome.terminations
    return Played(*(torch.stack(part, 2) for part in zip(*steps, strict=True)))


class ConditionedBatch(NamedTuple):
    """Steps of kept episodes.

    Attributes:
        observations: scaled.
        actions: in [-1, 1].
        returns_to_go: undiscounted sum of this and all later predicted rewards of the episode.
        noise: the standard normal numbers that the algorithm asked for, by name.
    """

    observations: Float[Tensor, "seeds batch observation"]
    actions: Float[Tensor, "seeds batch action"]
    returns_to_go: Float[Tensor, "seeds batch"]
    noise: Mapping[str, Float[Tensor, "seeds ..."]] = {}


class Episodes:
    """The kept episodes of some seeds, of which each may have another number.

    Attributes:
        rows: states, actions and returns-to-go of their steps.
        filled: rows that hold something.
        kept: episodes that they are of.
        target: the largest return among them; 0 before there is one.
    """

    rows: Float[Tensor, "seeds rows width"]
    filled: Int64[Tensor, " seeds"]
    kept: Int64[Tensor, " seeds"]
    target: Float[Tensor, " seeds"]

    def __init__(
        self,
        needed: int,
        horizon: int,
        seeds: int,
        observation: int,
        action: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """Room for ``needed`` episodes of ``horizon`` steps a seed; none is kept yet."""
        self.needed, self.horizon, self.parts = needed, horizon, [observation, action, 1]
        self.rows = torch.zeros(seeds, needed * horizon, sum(self.parts), device=device, dtype=dtype)
        self.filled = torch.zeros(seeds, dtype=torch.int64, device=device)
        self.kept = torch.zeros(seeds, dtype=torch.int64, device=device)
        self.target = torch.zeros(seeds, device=device, dtype=dtype)

    def state(self) -> dict[str, Tensor]:
        """The tensors that updates and policies depend on, by name."""
        return {"rows": self.rows, "filled": self.filled, "kept": self.kept, "target": self.target}

    def before(self, update: int, data: Transitions, keys: Int64[Tensor, " seeds"], count: Int64[Tensor, ""]) -> None:
        """Nothing: all episodes are collected before the first update."""

    def collect(
        self,
        world: World,
        act: Act,
        data: Transitions,
        keys: Int64[Tensor, " seeds"],
        threshold: float,
        count: int,
        batches: int,
        say: Say = lambda line: None,
    ) -> None:
        """Play ``count`` episodes at a time, until every seed keeps as many as it needs or ``batches`` were played.

        Those are kept that return more than ``threshold``, in the order in which they were played. A seed that has
        enough keeps none of what is played for others, so that it has what it has alone.

        Args:
            world: what is played in.
            act: the policy.
            data: in whose first states the episodes begin, drawn uniformly.
            keys: seeds, of which with the number of the batch all that is random is a function.
            threshold: of returns.
            count: episodes a batch.
            batches: at most so many.
            say: hears how far it has come.

        Raises:
            OffbenchError: a seed keeps none.
        """
        best = torch.full(keys.shape, -torch.inf, device=keys.device, dtype=self.rows.dtype)
        tried, firsts = torch.zeros_like(keys), data.first_steps
        for batch in range(batches):
            looking = self.kept < self.needed
            if not bool(looking.any()):
                break
            with torch.no_grad():
                number = torch.tensor(batch, device=keys.device)
                drawn = (uniform(keys, number, "episodes/start", (count,)) * len(firsts)).long()
                starts = data.batch(firsts[drawn]).observations
                returns = self.keep(play(world, act, starts, self.horizon, Moment(keys, number, "episodes")), threshold)
            best = torch.where(looking, torch.maximum(best, returns.amax(1)), best)
            tried += count * looking
            if batch % REPORT_EVERY == REPORT_EVERY - 1:
                say(f"rollouts: {self._told(tried, best, keys)}")
        say(f"rollouts: {self._told(tried, best, keys)}; kept if above {threshold:.4g}")
        self._complain(tried, best, keys, threshold)

    def keep(self, played: Played, threshold: float) -> Float[Tensor, "seeds batch"]:
        """Keep the episodes that return more than ``threshold``, as long as there is room; the returns of all.

        An episode in which anything is not finite is not kept, and -inf stands for its return.
        """
        to_go = played.rewards.flip(-1).cumsum(-1).flip(-1)
        rows = torch.cat([played.observations, played.actions, to_go.unsqueeze(-1)], -1)
        returns = torch.where(rows.isfinite().all(-1).all(-1), to_go[..., 0], -torch.inf)
        better = returns > threshold
        chosen = better & (self.kept.unsqueeze(1) + better.cumsum(1) <= self.needed)
        for seed, own in enumerate(chosen):
            steps = rows[seed][own.unsqueeze(-1) & played.alive[seed]]
            if len(steps) == 0:
                continue
            first, most = int(self.filled[seed]), returns[seed][own].max()
            self.rows[seed, first : first + len(steps)] = steps
            self.target[seed] = most if self.kept[seed] == 0 else torch.maximum(self.target[seed], most)
            self.filled[seed] += len(steps)
            self.kept[seed] += int(own.sum())
        return returns

    def mixed(
        self, data: Transitions, indices: Int[Tensor, "seeds batch"], keys: Int64[Tensor, " seeds"], count: Tensor
    ) -> ConditionedBatch:
        """Steps of kept episodes, drawn uniformly; none of the data, whose ``indices`` only say how many."""
        drawn = (uniform(keys, count, "episodes/rows", (indices.shape[1],)) * self.filled.unsqueeze(1)).long()
        rows = self.rows.gather(1, drawn.unsqueeze(-1).expand(-1, -1, sum(self.parts)))
        s, a, to_go = torch.split(rows, self.parts, -1)
        return ConditionedBatch(s, a, to_go[..., 0])

    def _told(self, tried: Tensor, best: Tensor, keys: Tensor) -> str:
        parts = zip(keys.tolist(), self.kept.tolist(), tried.tolist(), best.tolist(), strict=True)
        return "; ".join(
            f"seed {key} keeps {kept:,} of {played:,}{'' if kept >= self.needed else f', wants {self.needed:,}'}, "
            f"best predicted return {most:.4g}"
            for key, kept, played, most in parts
        )

    def _complain(self, tried: Tensor, best: Tensor, keys: Tensor, threshold: float) -> None:
        for key, kept, played, most in zip(
            keys.tolist(), self.kept.tolist(), tried.tolist(), best.tolist(), strict=True
        ):
            if kept == 0:
                raise OffbenchError(
                    f"seed {key} has nothing to learn from: of {played:,} rollouts none is predicted to return more "
                    f"than {threshold:.4g}, the best {most:.4g}; give more rollout_batches, a lower keep_above, or "
                    "better dynamics and behaviour (dynamics_epochs, behaviour_updates)"
                )
