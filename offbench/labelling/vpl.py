"""Variational preference learning (VPL), Poddar et al. 2024 (arXiv 2408.10075): one reward model for raters who differ.

What a rater wants is a latent z. An encoder guesses it from a few pairs that the rater compared, q(z | set) =
N(μ, diag σ²), and the reward r(s, z) explains the labels given z:

    loss = Σ_pairs BCE(σ(Σ_t r(s_t, z) - Σ_t r(s'_t, z)), label) + β KL(q(z | set) ‖ N(0, 1)),   z ~ q(z | set)

A single Bradley-Terry model has to give raters of opposite wishes what lies between them, which nobody wants.

Differences from the authors' code: labels are here as everywhere in the package the share by which the *second* is
preferred (theirs: the first); the KL has its factor 1/2, which theirs lacks, and the prior is fixed, not learned. Pairs
do not tell the scale of r(., z): `Fitted.rewards` are to be standardised for each z before one policy learns from
several.

Inputs of the encoder are (s_1, s_2, y) of all steps of a pair, standardised. Hidden layers have leaky ReLUs of slope
0.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from offbench.basis.shapes import Array
from offbench.data.preferences import Preferences
from offbench.data.segments import Segments
from offbench.errors import DataError, OffbenchError
from offbench.labelling.rated import Scale, draw_sets, table_of
from offbench.nn.adam import Adam
from offbench.nn.bradley_terry import cross_entropies
from offbench.nn.gradients import Networks, gradients
from offbench.nn.mlp import MLP, Parameters, full_precision_linear
from offbench.nn.random import stream

_SLOPE = 0.2


@dataclass(frozen=True)
class VPLConfig:
    """Hyperparameters.

    Raises:
        OffbenchError: a number out of range.
    """

    latent: int = 32
    """Size of z; 0 is a single Bradley-Terry model for all raters."""
    hidden: tuple[int, ...] = (256, 256, 256)
    """Hidden layers of encoder and reward."""
    set_size: int = 8
    """Pairs that the encoder sees of a rater."""
    sets: int = 64
    """Sets in a batch."""
    updates: int = 2500
    """Steps of Adam."""
    learning_rate: float = 1e-3
    """Of Adam."""
    beta: float = 1e-3
    """Weight of the KL divergence from the prior."""
    cycles: int = 4
    """Times that the weight rises from 0, as half a cosine, in the first half of a cycle; 0: it is constant."""

    def __post_init__(self) -> None:
        positive = {name: getattr(self, name) for name in ("set_size", "sets", "updates", "learning_rate")}
        other = {name: getattr(self, name) for name in ("latent", "beta", "cycles")}
        wrong = [name for name, value in positive.items() if not value > 0]
        wrong += [name for name, value in other.items() if not value >= 0]
        if wrong:
            raise OffbenchError(f"{wrong[0]} of VPL is {getattr(self, wrong[0])}; a positive number would be right")

    def weight(self, update: int) -> float:
        """The weight of the KL divergence in an update, the first being 0."""
        if self.cycles == 0:
            return self.beta
        share = (update * self.cycles / self.updates) % 1.0
        return self.beta * (1.0 if share >= 0.5 else (1 - math.cos(2 * math.pi * share)) / 2)


class Sets(NamedTuple):
    """Sets of pairs of one rater each: standardised states and labels.

    Attributes:
        first, second: states of the segments.
        labels: the share by which the second is preferred.
    """

    first: Float[Tensor, "seeds sets size length state"]
    second: Float[Tensor, "seeds sets size length state"]
    labels: Float[Tensor, "seeds sets size"]


class Architecture(NamedTuple):
    """The descriptions of both networks; no encoder where z has no size."""

    encoder: MLP | None
    reward: MLP


def networks_of(config: VPLConfig, state: int, length: int) -> Architecture:
    """The networks for segments of ``length`` steps with states of a size."""
    inputs = config.set_size * (2 * length * state + 1)
    encoder = MLP(inputs, config.hidden, 2 * config.latent) if config.latent else None
    return Architecture(encoder, MLP(state + config.latent, config.hidden, 1))


@dataclass(frozen=True, eq=False)
class Fitted:
    """Fitted models of all seeds.

    Attributes:
        parameters: of "reward" and, where z has a size, "encoder".
        history: mean loss of the pairs, BCE in nats, in the last tenth of the updates.
    """

    config: VPLConfig
    networks: Architecture
    parameters: Networks
    scale: Scale
    history: Float[Tensor, " seeds"]

    def latent(self, known: Preferences) -> Float[Tensor, "seeds latent"]:
        """What a rater wants: the mean of q(z | set) for as many pairs as the encoder takes.

        Raises:
            DataError: another number of pairs.
        """
        if self.networks.encoder is None:
            return torch.zeros(len(self.history), 0, dtype=self._dtype)
        if len(known) != self.config.set_size:
            raise DataError(f"the encoder takes {self.config.set_size} pairs of a rater, not {len(known)}")
        rows = np.arange(len(known))[None].repeat(len(self.history), 0)[:, None]
        with torch.no_grad():
            mean, _ = encoded(self.networks, self.parameters, _columns(known, self.scale, self._dtype).at(rows))
        return mean[:, 0]

    def rewards(
        self, states: Float[Array, "rows state"], z: Float[Tensor, "seeds latent"]
    ) -> Float[Tensor, "seeds rows"]:
        """The reward of states, in their own units, to one who wants z."""
        scaled = self.scale(states.reshape(len(states), -1), self._dtype)
        each = scaled.expand(len(z), *scaled.shape)
        with torch.no_grad():
            return _rewarded(self.networks.reward, self.parameters["reward"], each, z.unsqueeze(1))

    def predict(self, pairs: Preferences, z: Float[Tensor, "seeds latent"]) -> Float[Tensor, "seeds pairs"]:
        """The probability with which one who wants z prefers the second of each pair."""
        sums = [
            self.rewards(_states(side).reshape(-1, self.scale.mean.numel()), z) for side in (pairs.first, pairs.second)
        ]
        first, second = (each.view(len(each), len(pairs), -1).sum(-1) for each in sums)
        return torch.sigmoid(second - first)

    @property
    def _dtype(self) -> torch.dtype:
        return self.parameters["reward"]["layer0.weight"].dtype


def fit(
    preferences: Preferences, config: VPLConfig, seeds: Sequence[int], dtype: torch.dtype = torch.float32
) -> Fitted:
    """Fit to pairs that carry raters; each seed decides its weights, batches and noise.

    Raises:
        DataError: no raters, or a rater with fewer pairs than a set has.
    """
    table, counts = table_of(preferences, config.set_size)
    scale = Scale.of(*(_states(side).reshape(-1, _states(side).shape[-1]) for side in _sides(preferences)))
    columns = _columns(preferences, scale, dtype)
    networks = networks_of(config, columns.first.shape[-1], columns.first.shape[-2])
    parameters: Networks = {
        name: {key: value.to(dtype) for key, value in network.initialise(seeds, f"vpl/{name}").items()}
        for name, network in networks._asdict().items()
        if network is not None
    }
    adams = {name: Adam(each, config.learning_rate) for name, each in parameters.items()}
    drawing = [stream(seed, "vpl/sets") for seed in seeds]
    noise = [stream(seed, "vpl/latents") for seed in seeds]
    history = []
    for update in range(config.updates):
        batch = columns.at(np.stack([draw_sets(table, counts, config.sets, config.set_size, each) for each in drawing]))
        drawn = np.stack([each.standard_normal((config.sets, config.latent)) for each in noise])
        z_noise, weight = torch.from_numpy(drawn).to(dtype), config.weight(update)

        def loss(present: Networks) -> tuple[Tensor, Tensor]:
            bce, kl = losses(networks, present, batch, z_noise)  # noqa: B023 - called at once
            return (bce.sum(-1) + weight * kl).mean(1).sum(), bce.detach().mean((1, 2))  # noqa: B023

        found, told = gradients(loss, parameters)
        for name, adam in adams.items():
            adam.update(parameters[name], found[name])
        history.append(told)
    last = torch.stack(history[-max(1, config.updates // 10) :]).mean(0)
    return Fitted(config, networks, parameters, scale, last)


def losses(
    networks: Architecture, parameters: Networks, batch: Sets, noise: Float[Tensor, "seeds sets latent"]
) -> tuple[Float[Tensor, "seeds sets size"], Float[Tensor, "seeds sets"]]:
    """(Cross-entropy of each pair, KL divergence of each set), in nats."""
    z, kl = noise, torch.zeros(noise.shape[:2], dtype=noise.dtype)
    if networks.encoder is not None:
        mean, log_variance = encoded(networks, parameters, batch)
        z = mean + (log_variance / 2).exp() * noise
        kl = (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1) / 2
    wanted = z[:, :, None, None]
    sums = [
        _rewarded(networks.reward, parameters["reward"], side, wanted).sum(-1) for side in (batch.first, batch.second)
    ]
    logits = sums[1] - sums[0]
    return cross_entropies(logits, batch.labels), kl


def encoded(
    networks: Architecture, parameters: Networks, batch: Sets
) -> tuple[Float[Tensor, "seeds sets latent"], Float[Tensor, "seeds sets latent"]]:
    """Mean and log-variance of q(z | set)."""
    assert networks.encoder is not None
    pairs = torch.cat([batch.first.flatten(3), batch.second.flatten(3), batch.labels.unsqueeze(-1)], -1)
    mean, log_variance = _leaky(networks.encoder, parameters["encoder"], pairs.flatten(2)).chunk(2, -1)
    return mean, log_variance


# -------------------------------------------------------------------- networks and columns


def _leaky(network: MLP, parameters: Parameters, x: Float[Tensor, "seeds rows inputs"]) -> Tensor:
    """What a network makes of its inputs, with leaky ReLUs."""
    for layer in range(len(network.hidden) + 1):
        x = full_precision_linear(x, parameters[f"layer{layer}.weight"], parameters[f"layer{layer}.bias"])
        if layer < len(network.hidden):
            x = torch.nn.functional.leaky_relu(x, _SLOPE)
    return x


def _rewarded(network: MLP, parameters: Parameters, states: Tensor, z: Tensor) -> Tensor:
    """r(s, z) of states (seeds, ..., state) for z (seeds, ..., latent) of as many axes."""
    inputs = torch.cat([states, z.expand(*states.shape[:-1], z.shape[-1])], -1)
    return _leaky(network, parameters, inputs.flatten(1, -2)).reshape(states.shape[:-1])


class _Columns(NamedTuple):
    """All pairs: as `Sets`, without their first two axes."""

    first: Tensor
    second: Tensor
    labels: Tensor

    def at(self, rows: Array) -> Sets:
        """The pairs at rows (seeds, sets, size)."""
        chosen = torch.from_numpy(rows)
        return Sets(self.first[chosen], self.second[chosen], self.labels[chosen])


def _columns(preferences: Preferences, scale: Scale, dtype: torch.dtype) -> _Columns:
    first, second = (scale(_states(side), dtype) for side in _sides(preferences))
    return _Columns(first, second, torch.from_numpy(np.array(preferences.labels)).to(dtype))


def _sides(preferences: Preferences) -> tuple[Segments, Segments]:
    return preferences.first, preferences.second


def _states(side: Segments) -> Float[Array, "pairs length state"]:
    return side.observations.reshape(*side.observations.shape[:2], -1)
