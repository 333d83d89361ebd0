"""Fitting values of intentions to all trajectories: no action and no reward is looked at."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from offbench.basis.replay import Replayed
from offbench.data.trajectories import Trajectories
from offbench.errors import OffbenchError
from offbench.labelling.icvf import ICVF, Goals, Sampler, losses
from offbench.labelling.store import Fitted, Say, stored
from offbench.nn.adam import Adam
from offbench.nn.gradients import gradient
from offbench.nn.mlp import Parameters
from offbench.nn.random import stream

NAME = "intention values"
_BLOCK = 100  # updates whose rows are drawn at a time
_SMALLEST_STD = 1e-6  # of a number of states; one that never changes is divided by 1


@dataclass(frozen=True)
class ICVFConfig:
    """How intention values are fitted; the defaults are published but for the number of updates (1,000,000)."""

    hidden: tuple[int, ...] = (256, 256)
    """Sizes of the layers of phi and its like; the last is the number of features."""
    members: int = 2
    """Networks of the ensemble."""
    intents: bool = True
    """Value states for an intention; if not, for the behaviour of the data."""
    expectile: float = 0.9
    """tau: how much more weight has what serves the intention."""
    discount: float = 0.99
    """gamma."""
    polyak: float = 0.005
    """Share of the networks in each move of their targets."""
    learning_rate: float = 3e-4
    """Of Adam."""
    batch_size: int = 256
    """States in one update."""
    updates: int = 10_000
    """Of each seed; none leaves the networks as they were drawn."""

    def __post_init__(self) -> None:
        if self.updates < 0 or min(self.members, self.batch_size) < 1:
            raise OffbenchError(f"{NAME} need at least 0 updates, 1 member and 1 state in a batch")
        if not self.hidden or min(self.hidden) < 1:
            raise OffbenchError(f"{NAME} need at least one layer of at least one unit, not {self.hidden}")
        for name in ("expectile", "discount", "polyak", "learning_rate"):
            if not 0 < getattr(self, name) <= 1 or (name == "discount" and self.discount == 1):
                raise OffbenchError(f"{name} of {NAME} must lie between 0 and 1, not {getattr(self, name)}")

    def network(self, observation: int) -> ICVF:
        """The networks of these sizes."""
        return ICVF(observation, self.hidden, self.members, self.intents)


def fitted(
    trajectories: Trajectories,
    states: Float[Tensor, "rows observation"],
    config: ICVFConfig,
    seeds: Sequence[int],
    say: Say = lambda line: None,
) -> Fitted:
    """The networks of all seeds, from the cache folder or fitted now; see `fit`."""
    ends = [states.double().mean(0).tolist(), states.double().std(0).tolist()]  # how a learner scales them
    facts = [trajectories.digest, ends, str(states.dtype), asdict(config)]
    return stored(NAME, facts, seeds, lambda missing: fit(trajectories, states, config, missing, say), say)


def fit(
    trajectories: Trajectories,
    states: Float[Tensor, "rows observation"],
    config: ICVFConfig,
    seeds: Sequence[int],
    say: Say = lambda line: None,
) -> Fitted:
    """Fit the networks of all seeds.

    Args:
        trajectories: which states follow each other.
        states: their observations, all rows, as a learner sees them; on the device and in the dtype of the fit.
        config: hyperparameters.
        seeds: each decides its initialisation and its batches.
        say: hears how far it is.

    Returns:
        Parameters, and the mean loss of the last updates.

    Raises:
        DataError: no step has a next state.
        OffbenchError: the loss is not finite.
    """
    started = time.perf_counter()
    fitting, sampler = _Fitting(states, config, seeds), Sampler(trajectories)
    replayed = Replayed(fitting.descend)
    generators = [stream(seed, f"{NAME}/batches") for seed in seeds]
    for first in range(0, config.updates, _BLOCK):
        fitting.total.zero_()
        shape = (min(_BLOCK, config.updates - first), config.batch_size)
        drawn = np.stack([np.stack(sampler.draw(generator, shape), 1) for generator in generators], 2)
        for rows in torch.from_numpy(drawn).to(states.device):
            replayed(rows)
        done = first + shape[0]
        if done * 10 // config.updates > first * 10 // config.updates:
            loss = float(fitting.total.mean()) / shape[0]
            say(f"{NAME}: update {done:,} of {config.updates:,}, loss {loss:.4g}")
            if not np.isfinite(loss):
                raise OffbenchError(f"the loss of {NAME} is not finite; the data hold numbers that are too large")
    last = min(_BLOCK, config.updates - (config.updates - 1) // _BLOCK * _BLOCK) if config.updates else 1
    return Fitted(fitting.parameters, fitting.total / last, time.perf_counter() - started)


class _Fitting:
    """The networks while they are fitted.

    Attributes:
        total: the sum of the losses since it was cleared.
    """

    def __init__(self, states: Float[Tensor, "rows observation"], config: ICVFConfig, seeds: Sequence[int]) -> None:
        self.states, self.config, self.network = states, config, config.network(states.shape[1])
        drawn = self.network.initialise(seeds, NAME)
        self.parameters = {name: value.to(states.device, states.dtype).contiguous() for name, value in drawn.items()}
        std = states.std(0, correction=0)
        self.parameters["input.mean"].copy_(states.mean(0).expand(len(seeds), -1))
        self.parameters["input.std"].copy_(torch.where(std < _SMALLEST_STD, 1.0, std).expand(len(seeds), -1))
        self.trained = {name: value for name, value in self.parameters.items() if not name.startswith("input.")}
        self.target = {name: value.clone() for name, value in self.parameters.items()}
        self.adam = Adam(self.trained, config.learning_rate)
        self.total: Float[Tensor, "seeds members"] = torch.zeros(
            len(seeds), config.members, device=states.device, dtype=states.dtype
        )

    def descend(self, rows: Int[Tensor, "3 seeds batch"]) -> None:
        """One step of each member; the targets take up the parameters before it, as in the source."""
        config, goals = self.config, Goals(*rows.unbind())

        def loss(trained: Parameters) -> Tensor:
            found = losses(
                self.network, self.parameters | trained, self.target, self.states, goals, config.discount,
                config.expectile,
            )  # fmt: skip
            self.total.add_(found.detach())
            return found.sum()

        gradients, _ = gradient(loss, self.trained)
        for name, value in self.trained.items():
            self.target[name].lerp_(value, config.polyak)
        self.adam.update(self.trained, gradients)
