"""Imagined transitions: branches of a few steps from states of the data, kept in a ring, mixed into batches.

Source: Janner et al. 2019, MBPO (arXiv 1906.08253). The last step of a branch is a truncation and is stored as one: its
next state is bootstrapped from, although no branch has acted in it. Nothing here reads a number on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from offbench.data.transitions import Batch, Transitions
from offbench.dynamics.network import Prediction
from offbench.dynamics.worlds import Moment, World, begin
from offbench.nn.noise import standard_normal, uniform

Sample = Callable[
    [Float[Tensor, "seeds batch observation"], Float[Tensor, "seeds batch action"]],
    Float[Tensor, "seeds batch action"],
]
Penalise = Callable[[Prediction], Float[Tensor, "seeds batch"]]


class Imagined(Protocol):
    """What updates learn from that is not in the data, or not in them alone."""

    def state(self) -> dict[str, Tensor]:
        """The tensors that later updates depend on, by name; those with axes lead with the seed axis."""
        ...

    def before(self, update: int, data: Transitions, keys: Int64[Tensor, " seeds"], count: Int64[Tensor, ""]) -> None:
        """Imagine what is due before an update, uncompiled; arguments as in ``mixed``."""
        ...

    def mixed(
        self,
        data: Transitions,
        indices: Int[Tensor, "seeds batch"],
        keys: Int64[Tensor, " seeds"],
        count: Int64[Tensor, ""],
    ) -> Any:
        """A batch of as many rows as ``indices``, a named tuple with a field ``noise``.

        Args:
            data: the view.
            indices: rows of the data, drawn for this batch.
            keys, count: seeds and number of the coming update, of which all that is random is a function.
        """
        ...


@dataclass(frozen=True)
class Branches:
    """How imagined transitions are made and used.

    Attributes:
        every: updates between two times that branches are rolled out.
        count: branches each time.
        length: steps of a branch.
        retained: how many times' transitions are kept.
        real_ratio: share of the data's own transitions in a batch.
    """

    every: int
    count: int
    length: int
    retained: int
    real_ratio: float

    def real(self, batch_size: int) -> int:
        """Transitions of the data in a batch."""
        return int(batch_size * self.real_ratio)


class Imagination:
    """The imagined transitions of some seeds.

    Attributes:
        world: what they are played in; may be replaced before the first update.
        rows: states, actions, rewards, next states and terminations; the last row takes what is not kept.
        filled: rows that hold something.
        place: the row that is written next.
    """

    rows: Float[Tensor, "seeds rows width"]
    filled: Int64[Tensor, " seeds"]
    place: Int64[Tensor, " seeds"]

    def __init__(
        self,
        branches: Branches,
        world: World,
        sample: Sample,
        seeds: int,
        observation: int,
        action: int,
        device: torch.device,
        dtype: torch.dtype,
        penalise: Penalise | None = None,
    ) -> None:
        """Nothing is imagined yet.

        ``sample`` gives actions of observations and standard normal numbers, ``penalise`` what is subtracted from
        rewards, of the members' predictions.
        """
        self.branches, self.world, self.sample, self.penalise = branches, world, sample, penalise
        self.parts = [observation, action, 1, observation, 1]
        self.capacity = branches.count * branches.length * branches.retained
        self.rows = torch.zeros(seeds, self.capacity + 1, sum(self.parts), device=device, dtype=dtype)
        self.filled = torch.zeros(seeds, dtype=torch.int64, device=device)
        self.place = torch.zeros(seeds, dtype=torch.int64, device=device)

    def state(self) -> dict[str, Tensor]:
        """The tensors that later updates depend on, by name."""
        return {"rows": self.rows, "filled": self.filled, "place": self.place}

    def before(self, update: int, data: Transitions, keys: Int64[Tensor, " seeds"], count: Int64[Tensor, ""]) -> None:
        """Roll branches out when it is time for them."""
        if update % self.branches.every == 0:
            self.roll_out(data, keys, count)

    def roll_out(self, data: Transitions, keys: Int64[Tensor, " seeds"], count: Int64[Tensor, ""]) -> None:
        """Branch off states of the data, drawn uniformly, and keep every step up to a termination.

        Args:
            data: whose states the branches start in.
            keys, count: seeds and number of the coming update, of which all that is random is a function.
        """
        starts = (uniform(keys, count, "imagined/start", (self.branches.count,)) * len(data)).long()
        with torch.no_grad():
            begin(self.world, data, starts)
            states = data.batch(starts).observations
            alive = torch.ones_like(states[..., 0], dtype=torch.bool)
            for step in range(self.branches.length):
                shape = (self.branches.count, self.parts[1])
                actions = self.sample(
                    states, standard_normal(keys, count, f"imagined/action{step}", shape, states.dtype)
                )
                outcome = self.world.step(states, actions, Moment(keys, count, f"imagined{step}"))
                rewards = outcome.rewards
                if self.penalise is not None and outcome.prediction is not None:
                    rewards = rewards - self.penalise(outcome.prediction)
                ends = outcome.terminations.to(states.dtype)
                parts = [states, actions, rewards.unsqueeze(-1), outcome.observations, ends.unsqueeze(-1)]
                self._keep(torch.cat(parts, -1), alive)
                states, alive = outcome.observations, alive & ~outcome.terminations

    def _keep(self, rows: Float[Tensor, "seeds batch width"], alive: Bool[Tensor, "seeds batch"]) -> None:
        """Write the rows of live branches over the oldest."""
        place = (self.place.unsqueeze(1) + alive.cumsum(1) - 1) % self.capacity
        place = torch.where(alive, place, self.capacity)
        self.rows.scatter_(1, place.unsqueeze(-1).expand_as(rows), rows)
        written = alive.sum(1)
        self.place.copy_((self.place + written) % self.capacity)
        self.filled.copy_((self.filled + written).clamp(max=self.capacity))

    def mixed(
        self,
        data: Transitions,
        indices: Int[Tensor, "seeds batch"],
        keys: Int64[Tensor, " seeds"],
        count: Int64[Tensor, ""],
    ) -> Batch:
        """A batch of the data's transitions, at the first of ``indices``, and of imagined ones for the others."""
        real = self.branches.real(indices.shape[1])
        drawn = uniform(keys, count, "imagined/rows", (indices.shape[1] - real,)) * self.filled.unsqueeze(1)
        rows = self.rows.gather(1, drawn.long().unsqueeze(-1).expand(-1, -1, sum(self.parts)))
        s, a, r, s_next, terminal = torch.split(rows, self.parts, -1)
        imagined = (s, a, r[..., 0], s_next, terminal[..., 0])
        if real == 0:
            return Batch(*imagined)
        known = data.batch(indices[:, :real])[:5]
        s, a, r, s_next, terminal = (torch.cat(pair, 1) for pair in zip(known, imagined, strict=True))
        return Batch(s, a, r, s_next, terminal)
