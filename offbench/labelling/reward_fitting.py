"""Fitting reward models to preferences; the best parameters on pairs that share no step with the rest are kept.

All members of all seeds, and of all folds of a cross-validation, are one batched product. Members see the same pairs
and differ in their initialisation and in the order of the pairs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from offbench.basis.replay import Replayed
from offbench.basis.shapes import Array
from offbench.data.preferences import Preferences
from offbench.data.scaling import STATE_EPSILON
from offbench.errors import DataError, OffbenchError
from offbench.labelling.reward_models import NAME, Compared, RewardConfig, described, differences, initial, room
from offbench.labelling.store import Fitted, Say, stored
from offbench.nn.adam import Adam, Schedule
from offbench.nn.bradley_terry import cross_entropies
from offbench.nn.gradients import gradient
from offbench.nn.mlp import Parameters
from offbench.nn.noise import dropout_masks
from offbench.nn.random import stream

WARM, LOWEST = (
    0.1,
    0.1,
)  # share of the updates in which the transformer's rate rises, and of it where it starts and ends
FEWEST_LEFT = 0.5  # of the pairs that are not held out; a hold-out that costs more is refused


@dataclass(frozen=True, eq=False)
class Case:
    """What the members of one seed, or of one fold of one seed, are fitted to.

    Attributes:
        seed: decides initialisations and batches.
        fitted_to: numbers of the pairs.
        held_out: numbers of the pairs that choose among parameters; none keeps the last ones.
        labels: of all pairs.
        name: tells cases of a seed apart.
    """

    seed: int
    fitted_to: Int[Array, " _"]
    held_out: Int[Array, " _"]
    labels: Float[Array, " pairs"]
    name: str = ""


def fitted(
    preferences: Preferences,
    config: RewardConfig,
    seeds: Sequence[int],
    say: Say = lambda line: None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Fitted:
    """The models of all seeds, from the cache folder or fitted now; see `fit`."""
    facts = [preferences.digest, str(dtype), described(config)]
    made = stored(NAME, facts, seeds, lambda missing: fit(preferences, config, missing, say, device, dtype), say)
    return made._replace(parameters={name: value.to(device) for name, value in made.parameters.items()})


def fit(
    preferences: Preferences,
    config: RewardConfig,
    seeds: Sequence[int],
    say: Say = lambda line: None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Fitted:
    """Fit the models of all seeds.

    Args:
        preferences: pairs and labels.
        config: hyperparameters.
        seeds: each decides its initialisations, the pairs that it holds out, and its batches.
        say: hears how far it is.
        device: where.
        dtype: of parameters.

    Returns:
        What was best on held-out pairs, or last where none are, for each member, and the cross-entropy there, NaN where
        none are. Parameters take states and actions in the environment's units, and lead with (seeds, members).

    Raises:
        DataError: too few pairs, or a hold-out that most others share steps with.
        OffbenchError: the loss is not finite.
    """
    cases = [parted(preferences, np.arange(len(preferences)), config, seed) for seed in seeds]
    return fit_cases(preferences, config, cases, say, device, dtype)


def parted(
    preferences: Preferences,
    pairs: Int[Array, " _"],
    config: RewardConfig,
    seed: int,
    labels: Float[Array, " pairs"] | None = None,
    name: str = "",
) -> Case:
    """Of ``pairs`` some to hold out, and those others that share no step with them to fit to.

    Raises:
        DataError: too few are left.
    """
    order = pairs[stream(seed, f"{NAME}{name}/hold-out").permutation(len(pairs))]
    count = max(1, int(round(config.hold_out * len(pairs), 9))) if config.hold_out > 0 else 0
    held, rest = np.sort(order[:count]), np.sort(order[count:])
    kept = rest[~preferences[rest].overlapping(preferences[held])] if count and len(rest) else rest
    if len(kept) == 0 or len(kept) < FEWEST_LEFT * len(rest):
        raise DataError(
            f"of {len(pairs)} pairs {count} are held out, and only {len(kept)} of the others share no step with these; "
            f"more pairs, of longer data, or a hold_out of 0, after which the last parameters are kept, would be right"
        )
    return Case(seed, kept, held, preferences.labels if labels is None else labels, name)


def fit_cases(
    preferences: Preferences,
    config: RewardConfig,
    cases: Sequence[Case],
    say: Say = lambda line: None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Fitted:
    """As `fit`, of cases in the place of seeds."""
    started = time.perf_counter()
    fitting = _Fitting(preferences, config, cases, torch.device(device), dtype)
    validation = _Validation(fitting) if len(cases[0].held_out) else None
    replayed = Replayed(fitting.descend)
    generators = [
        stream(case.seed, f"{NAME}{case.name}/batches", member) for case in cases for member in range(config.members)
    ]
    own = [case.fitted_to for case in cases for _ in range(config.members)]
    for first in range(0, config.updates, config.validate_every):
        count = min(config.validate_every, config.updates - first)
        drawn = [
            pairs[generator.integers(pairs.size, size=(count, config.batch_size))]
            for pairs, generator in zip(own, generators, strict=True)
        ]
        for rows in torch.from_numpy(np.stack(drawn, 1)).to(device):
            replayed(rows)
        if validation is not None:
            validation.look()
        if (first + count) * 10 // config.updates > first * 10 // config.updates:
            told = "" if validation is None else f", hold-out cross-entropy {float(validation.lowest.mean()):.4g}"
            say(f"{NAME}: update {first + count:,} of {config.updates:,}{told}")
    found = fitting.parameters if validation is None else validation.best
    shape = (len(cases), config.members)
    lowest = torch.full(shape, math.nan, dtype=dtype) if validation is None else validation.lowest.view(shape)
    sound = all(bool(value.isfinite().all()) for value in found.values())
    if not sound or bool(lowest.isinf().any()):
        raise OffbenchError(
            f"a {NAME} is not finite; the segments hold numbers that are too large, or learning_rate is"
        )
    named = {name: value.view(*shape, *value.shape[1:]) for name, value in found.items()}
    return Fitted(named, lowest, time.perf_counter() - started)


class _Fitting(Compared):
    """The models while they are fitted; rows are the members of all cases.

    Attributes:
        parameters: of all rows, (rows, ...) each.
        labels: of all pairs.
    """

    parameters: Parameters
    labels: Float[Tensor, "rows pairs"]

    def __init__(
        self,
        preferences: Preferences,
        config: RewardConfig,
        cases: Sequence[Case],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(preferences, config, device, dtype)
        self.cases = cases
        named = [(case.seed, case.name) for case in cases]
        drawn = initial(self.network, named, config.members, self.segments.shape[-1])
        self.parameters = {name: value.flatten(0, 1).to(device, dtype) for name, value in drawn.items()}
        self._standardise()
        self.fixed = {name: value for name, value in self.parameters.items() if name.startswith("input.")}
        self.trained = {name: value for name, value in self.parameters.items() if name not in self.fixed}
        self.labels = self.by_member(np.stack([case.labels for case in cases])).to(dtype)
        drops = [
            stream(seed, f"{NAME}{name}/dropout", member).integers(2**31)
            for seed, name in named
            for member in range(config.members)
        ]
        self.keys = torch.tensor(drops, dtype=torch.int64, device=device)
        attends = config.model == "transformer"
        schedule: Schedule = warm_up_cosine if attends else "constant"
        decay = config.weight_decay if attends else 0.0
        self.adam = Adam(self.trained, config.rate, schedule, config.updates, weight_decay=decay)

    def by_member(self, column: Array) -> Tensor:
        """What each case has, once for each of its members."""
        return torch.from_numpy(column).to(self.segments.device).repeat_interleave(self.config.members, 0)

    def _standardise(self) -> None:
        """Mean and deviation of the steps of the pairs that each case is fitted to."""
        for row, case in enumerate(self.cases):
            own = self.segments[:, torch.from_numpy(case.fitted_to).to(self.segments.device)].double().flatten(0, 2)
            members = slice(row * self.config.members, (row + 1) * self.config.members)
            self.parameters["input.mean"][members] = own.mean(0).to(self.segments.dtype)
            self.parameters["input.std"][members] = (own.std(0, correction=0) + STATE_EPSILON).to(self.segments.dtype)

    def descend(self, pairs: Int[Tensor, "rows batch"]) -> None:
        """One step of each member on its own pairs, of so many members at a time as there is room for."""
        rows, batch = pairs.shape
        many = max(1, room(pairs.device) // (2 * batch * self.length * self.network.width))
        parts = [self._gradients(slice(first, first + many), pairs) for first in range(0, rows, many)]
        self.adam.update(self.trained, {name: torch.cat([part[name] for part in parts]) for name in self.trained})

    def _gradients(self, rows: slice, pairs: Int[Tensor, "rows batch"]) -> Parameters:
        """Those of the mean cross-entropy of each of some rows."""
        own = pairs[rows]
        fixed = {name: value[rows] for name, value in self.fixed.items()}
        sides, labels, masks = self.at(own), self.labels[rows].gather(1, own), self._masks(rows, own.shape[1])

        def loss(trained: Parameters) -> Tensor:
            judged = differences(self.network, self.config, fixed | trained, sides, masks)
            return cross_entropies(judged, labels).mean(-1).sum()

        return gradient(loss, {name: value[rows] for name, value in self.trained.items()})[0]

    def _masks(self, rows: slice, batch: int) -> list[Tensor] | None:
        """What the coming update drops."""
        sizes = self.network.mask_sizes(self.length)
        if self.config.dropout == 0 or not sizes:
            return None
        drawn = dropout_masks(self.keys[rows], self.adam.count, sizes, 2 * batch, self.config.dropout)
        return [mask.to(self.segments.dtype) for mask in drawn]


class _Validation:
    """The best parameters of each member on the pairs that its case holds out.

    Attributes:
        best: as the parameters.
        lowest: the cross-entropy with them.
    """

    best: Parameters
    lowest: Float[Tensor, " rows"]

    def __init__(self, fitting: _Fitting) -> None:
        self.fitting = fitting
        pairs, weights = padded([case.held_out for case in fitting.cases])
        self._pairs, self._weights = fitting.by_member(pairs), fitting.by_member(weights).to(fitting.labels.dtype)
        self.best = {name: value.clone() for name, value in fitting.parameters.items()}
        self.lowest = torch.full_like(self._weights[:, 0], torch.inf)

    def look(self) -> None:
        """Take over the parameters of those members that are better than before."""
        fitting = self.fitting
        judged = fitting.differences(fitting.parameters, self._pairs)
        losses = (cross_entropies(judged, fitting.labels.gather(1, self._pairs)) * self._weights).sum(-1)
        better = losses < self.lowest
        self.lowest = torch.where(better, losses, self.lowest)
        for name, value in fitting.trained.items():
            self.best[name] = torch.where(better.view(-1, *[1] * (value.dim() - 1)), value, self.best[name])


def padded(chosen: Sequence[Int[Array, " _"]]) -> tuple[Int[Array, "cases most"], Float64[Array, "cases most"]]:
    """Lists of numbers as rows of one length, and the weights of a mean over each: 0 where a number fills up."""
    most = max(len(own) for own in chosen)
    rows = [np.concatenate([own, np.zeros(most - len(own), np.int64)]) for own in chosen]
    weights = [np.where(np.arange(most) < len(own), 1 / max(1, len(own)), 0.0) for own in chosen]
    return np.stack(rows), np.stack(weights)


def warm_up_cosine(share: Float64[Tensor, ""]) -> Float64[Tensor, ""]:
    """The factor of the learning rate: 0.1 to 1 in the first tenth of the updates, then a cosine back to 0.1."""
    falling = 0.5 * (1 + torch.cos(math.pi * (share - WARM) / (1 - WARM)))
    return LOWEST + (1 - LOWEST) * torch.where(share < WARM, share / WARM, falling)
