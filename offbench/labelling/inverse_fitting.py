"""Fitting inverse dynamics to the steps whose actions are known; the best parameters on held-out episodes are kept.

All members of all seeds are one batched product. That the best parameters are kept is what is published; the released
code finds them and labels with the last ones.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from offbench.basis.replay import Replayed
from offbench.basis.shapes import Array
from offbench.data.digest import digest_of
from offbench.data.scaling import SEQUENCE_STATE_EPSILON, ActionRange, Scaling
from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.errors import DataError, OffbenchError
from offbench.labelling.inverse_dynamics import EDGE, Density, InverseDynamics, Windows
from offbench.labelling.store import Fitted, Say, stored
from offbench.nn.adam import Adam
from offbench.nn.gradients import gradient
from offbench.nn.mlp import Parameters
from offbench.nn.noise import dropout_masks
from offbench.nn.random import stream

NAME = "inverse dynamics"
MANY_AT_BOUNDS = 0.1  # of the numbers in actions; 0.09 (point mazes) do no harm, 0.41 (the pendulum) do
MOST_VALIDATED = 5000  # steps of held-out episodes; of more, so many are drawn


@dataclass(frozen=True)
class InverseDynamicsConfig:
    """How inverse dynamics are fitted; the defaults are sized for a CPU.

    Published: hidden (1024, 1024), a learning rate of 1e-4, batches of 1024 and, from memory, 100,000 updates.
    """

    past: int = 1
    """m, states before the one that is acted from."""
    members: int = 1
    """Networks of the ensemble."""
    hidden: tuple[int, ...] = (256, 256)
    """Sizes of the hidden layers, of the network of the mean and of that of the deviation."""
    density: Density = "squashed"
    """Of actions: as published, or gaussian, for data in which many actions lie at their bounds."""
    dropout: float = 0.1
    """Probability with which a unit of the last hidden layer is dropped while fitting."""
    learning_rate: float = 3e-4
    """Of Adam."""
    batch_size: int = 256
    """Steps a member in one update."""
    updates: int = 10_000
    """Of each member."""
    hold_out: float = 0.1
    """Share of the labelled episodes that are held out, at least one."""
    validate_every: int = 200
    """Updates between two looks at what is held out."""

    def __post_init__(self) -> None:
        least = {"past": 0, "members": 1, "batch_size": 1, "updates": 1, "validate_every": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise OffbenchError(f"{name} of {NAME} must be at least {low}, not {getattr(self, name)}")
        if not self.hidden or min(self.hidden) < 1:
            raise OffbenchError(f"{NAME} need at least one hidden layer of at least one unit, not {self.hidden}")
        if not 0 <= self.dropout < 1:
            raise OffbenchError(f"dropout of {NAME} must lie in [0, 1), not {self.dropout}")
        if not 0 < self.hold_out < 1:
            raise OffbenchError(f"hold_out of {NAME} must lie in (0, 1), not {self.hold_out}")
        if not 0 < self.learning_rate <= 1:
            raise OffbenchError(f"learning_rate of {NAME} must lie in (0, 1], not {self.learning_rate}")

    def network(self, observation: int, action: int) -> InverseDynamics:
        """The network of these sizes."""
        return InverseDynamics(observation, action, self.hidden, self.members, self.past, self.density)


@dataclass(frozen=True, eq=False)
class Known:
    """What inverse dynamics are fitted to.

    Attributes:
        trajectories: all episodes; what stands for hidden actions is not looked at.
        given: of which steps the action is the true one.
        action_range: (low, high) of the task's actions; the range declared by the data if None.
        device: where models are fitted.
        dtype: of their parameters.
    """

    trajectories: Trajectories
    given: Bool[Array, " steps"]
    action_range: ActionRange | None = None
    device: str | torch.device = "cpu"
    dtype: torch.dtype = torch.float32

    @property
    def scaling(self) -> Scaling:
        """Mean and deviation of all states, and the bounds of actions."""
        return self._view.scaling

    @property
    def _view(self) -> Transitions:
        return Transitions(
            self.trajectories, True, action_range=self.action_range, state_epsilon=SEQUENCE_STATE_EPSILON
        )

    def tensor(self, column: Array) -> Tensor:
        """A copy where models are fitted, in the dtype of their parameters."""
        return torch.from_numpy(np.array(column)).to(self.device, self.dtype)

    def scaled_actions(self) -> Float[Tensor, "steps action"]:
        """Actions in a learner's units."""
        low, high = self.tensor(self.scaling.low), self.tensor(self.scaling.high)
        return 2 * (self.tensor(self._view.actions.numpy()) - low) / (high - low) - 1


def fitted(known: Known, config: InverseDynamicsConfig, seeds: Sequence[int], say: Say = lambda line: None) -> Fitted:
    """The models of all seeds, from the cache folder or fitted now; see `fit`."""
    scaling = known.scaling
    bounds = [scaling.low.tolist(), scaling.high.tolist()]
    hidden = digest_of({"given": known.given})
    facts = [known.trajectories.digest, hidden, bounds, str(known.dtype), described(config)]
    return stored(NAME, facts, seeds, lambda missing: fit(known, config, missing, say), say)


def fit(known: Known, config: InverseDynamicsConfig, seeds: Sequence[int], say: Say = lambda line: None) -> Fitted:
    """Fit the models of all seeds.

    A step is fitted to if its action is given and its next observation was recorded. States are standardised by the
    mean and the standard deviation of all trajectories.

    Args:
        known: what is fitted to.
        config: hyperparameters.
        seeds: each decides its initialisation, the episodes that it holds out, and its batches.
        say: hears how far it is.

    Returns:
        What was best on held-out episodes, for each member, and the loss there: -log p(a) a step, in a learner's units.

    Raises:
        DataError: too few episodes with actions.
        OffbenchError: the loss is not finite.
    """
    started = time.perf_counter()
    parts = [_parted(known, config, seed) for seed in seeds]
    fitting = _Fitting(known, config, seeds)
    if config.density == "squashed":
        _tell_of_bounds(fitting.actions.cpu().numpy()[known.given], say)
    validation = _Validation(fitting, [part.held_out for part in parts])
    replayed = Replayed(fitting.descend)
    generators = [stream(seed, f"{NAME}/batches") for seed in seeds]
    for first in range(0, config.updates, config.validate_every):
        count = min(config.validate_every, config.updates - first)
        shape = (count, config.members, config.batch_size)
        drawn = [
            part.fitted_to[generator.integers(part.fitted_to.size, size=shape)]
            for part, generator in zip(parts, generators, strict=True)
        ]
        for rows in torch.from_numpy(np.stack(drawn, 1)).to(known.device):
            replayed(rows)
        validation.look()
        if (first + count) * 10 // config.updates > first * 10 // config.updates:
            loss = float(validation.lowest.mean())
            say(f"{NAME}: update {first + count:,} of {config.updates:,}, hold-out loss {loss:.4g}")
    return Fitted(validation.best, validation.lowest, time.perf_counter() - started)


def _tell_of_bounds(actions: Float[Array, "steps action"], say: Say) -> None:
    """Say so where the squashed density will blur actions."""
    share = float((np.abs(actions) >= EDGE).mean())
    if share > MANY_AT_BOUNDS:
        say(
            f"{NAME}: {100 * share:.0f}% of the numbers in the actions lie at their bounds, where a squashed density "
            "blurs those between; the density gaussian does not"
        )


class _Parted(NamedTuple):
    """Numbers of the steps that a seed fits to, and of those that it holds out."""

    fitted_to: Int[Array, " _"]
    held_out: Int[Array, " _"]


def _parted(known: Known, config: InverseDynamicsConfig, seed: int) -> _Parted:
    """The steps of a seed: some of the episodes with actions are held out as a whole."""
    trajectories = known.trajectories
    assert trajectories.final_observations is not None
    usable = known.given.copy()
    filled = trajectories.lengths > 0
    usable[trajectories.offsets[1:][filled & ~trajectories.final_observations] - 1] = False
    steps = np.flatnonzero(usable)
    episodes = np.searchsorted(trajectories.offsets, steps, side="right") - 1
    labelled = np.unique(episodes)
    if len(labelled) < 2:
        raise DataError(
            f"inverse dynamics are fitted to at least two episodes with actions, one of which is held out, and "
            f"{trajectories.name} has {len(labelled)}; a larger share of labelled episodes would be right"
        )
    generator = stream(seed, f"{NAME}/hold-out")
    held = generator.permutation(labelled)[: max(1, int(config.hold_out * len(labelled)))]
    out = np.isin(episodes, held)
    tested = steps[out]
    if tested.size > MOST_VALIDATED:
        tested = np.sort(generator.permutation(tested)[:MOST_VALIDATED])
    return _Parted(steps[~out], tested)


class _Fitting:
    """The models while they are fitted."""

    def __init__(self, known: Known, config: InverseDynamicsConfig, seeds: Sequence[int]) -> None:
        self.config, self.actions = config, known.scaled_actions()
        self.windows = Windows(known.trajectories, config.past, known.device, known.dtype)
        self.network = config.network(known.trajectories.observations.shape[1], self.actions.shape[1])
        self.keys = torch.tensor(list(seeds), dtype=torch.int64, device=known.device)
        drawn = self.network.initialise(seeds, NAME)
        self.parameters = {name: value.to(known.device, known.dtype) for name, value in drawn.items()}
        for name, value in (("mean", known.scaling.mean), ("std", known.scaling.std)):
            self.parameters[f"input.{name}"].copy_(known.tensor(value).expand(len(seeds), -1))
        self.fixed = {name: value for name, value in self.parameters.items() if name.startswith("input.")}
        self.trained = {name: value for name, value in self.parameters.items() if name not in self.fixed}
        self.adam = Adam(self.trained, config.learning_rate)

    def descend(self, rows: Int[Tensor, "seeds members batch"]) -> None:
        """One step of each member on its own steps of the data."""
        windows, actions, mask = self.windows.at(rows), self.actions[rows], self.mask(rows.shape[-1])

        def loss(trained: Parameters) -> Tensor:
            return self.network.losses(self.fixed | trained, windows, actions, mask).mean(-1).sum()

        found, _ = gradient(loss, self.trained)
        self.adam.update(self.trained, found)

    def mask(self, batch: int) -> Float[Tensor, "seeds members 2 batch hidden"] | None:
        """What the coming update drops."""
        if self.config.dropout == 0:
            return None
        size, networks = self.config.hidden[-1], (self.config.members, 2, batch)
        (drawn,) = dropout_masks(self.keys, self.adam.count, [size], int(np.prod(networks)), self.config.dropout)
        return drawn.view(-1, *networks, size).to(self.windows.dtype)


class _Validation:
    """The best parameters of each member on what its seed holds out.

    Attributes:
        best: as the parameters.
        lowest: the loss with them.
    """

    def __init__(self, fitting: _Fitting, held_out: Sequence[Int[Array, " _"]]) -> None:
        self.fitting = fitting
        longest = max(steps.size for steps in held_out)
        # Seeds hold out episodes of different lengths: to the longest a step is repeated, which weighs nothing.
        padded = [np.concatenate([steps, np.repeat(steps[:1], longest - steps.size)]) for steps in held_out]
        weights = [np.where(np.arange(longest) < steps.size, 1 / steps.size, 0) for steps in held_out]
        device, dtype = fitting.windows.device, fitting.windows.dtype
        self._steps = torch.from_numpy(np.stack(padded)).to(device)
        self._weights = torch.from_numpy(np.stack(weights)).to(device, dtype)
        self.best = {name: value.clone() for name, value in fitting.parameters.items()}
        shape = (len(held_out), fitting.config.members)
        self.lowest: Float[Tensor, "seeds members"] = torch.full(shape, torch.inf, device=device, dtype=dtype)

    def look(self) -> None:
        """Take over the parameters of those members that are better than before."""
        losses = self.losses()
        if not bool(losses.isfinite().all()):
            raise OffbenchError(
                f"the hold-out loss of {NAME} is not finite; the data hold numbers that are too large, or the learning "
                "rate is too high"
            )
        better = losses < self.lowest
        self.lowest = torch.where(better, losses, self.lowest)
        for name, value in self.fitting.trained.items():
            mask = better.view(*better.shape, *[1] * (value.dim() - 2))
            self.best[name] = torch.where(mask, value, self.best[name])

    def losses(self) -> Float[Tensor, "seeds members"]:
        """-log p(a) a held-out step."""
        fitting, sums = self.fitting, torch.zeros_like(self.lowest)
        with torch.no_grad():
            for steps, weights in zip(
                *(torch.split(each, _BLOCK, 1) for each in (self._steps, self._weights)), strict=True
            ):
                every = steps.unsqueeze(1).expand(-1, fitting.config.members, -1)
                found = fitting.network.losses(fitting.parameters, fitting.windows.at(every), fitting.actions[every])
                sums += (found * weights.unsqueeze(1)).sum(-1)
        return sums


_BLOCK = 1024  # steps whose loss is taken at a time


def described(config: InverseDynamicsConfig) -> dict[str, Any]:
    """The hyperparameters, as JSON holds them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}
