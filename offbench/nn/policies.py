"""Policy networks: a tanh on the mean, with or without a Gaussian around it, and a Gaussian squashed by tanh."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.nn.mlp import MLP, Initialisation, Parameters


@dataclass(frozen=True)
class TanhMeanPolicy:
    """a = tanh(network(s)), and around it, where ``log_std_range`` is given, a diagonal Gaussian in action space.

    The Gaussian is *centred* at the squashed mean and is not itself squashed, so its density has no Jacobian term. Its
    log standard deviation is one learned vector, the same in all states, initialised to 0 and clipped to the range.
    """

    network: MLP
    log_std_range: tuple[float, float] | None = None

    def initialise(self, seeds: Sequence[int], name: str, initialisation: Initialisation = "torch") -> Parameters:
        """Fresh float64 parameters of the network and, for a Gaussian, ``log_std`` (seeds, 1, action)."""
        parameters = self.network.initialise(seeds, name, initialisation)
        if self.log_std_range is not None:
            parameters["log_std"] = torch.zeros(len(seeds), 1, self.network.outputs, dtype=torch.float64)
        return parameters

    def mean(
        self,
        parameters: Parameters,
        observations: Float[Tensor, "seeds batch observation"],
        masks: Sequence[Float[Tensor, "seeds batch _"]] | None = None,
    ) -> Float[Tensor, "seeds batch action"]:
        """Mean actions, in [-1, 1]; masks as in `MLP`."""
        return torch.tanh(self.network(parameters, observations, masks))

    def log_prob(
        self,
        parameters: Parameters,
        mean: Float[Tensor, "seeds batch action"],
        actions: Float[Tensor, "seeds batch action"],
    ) -> Float[Tensor, "seeds batch"]:
        """Joint log-density of actions under the Gaussian around ``mean``."""
        assert self.log_std_range is not None
        log_std = parameters["log_std"].clamp(*self.log_std_range)
        return gaussian_log_prob(actions, mean, log_std)


@dataclass(frozen=True)
class GaussianPolicy:
    """a ~ N(network(s), std^2), neither mean nor sample squashed; samples are clipped to [-1, 1].

    The log standard deviation is one learned vector, the same in all states, initialised to 0 and clipped to the range.
    """

    network: MLP
    log_std_range: tuple[float, float]

    def initialise(self, seeds: Sequence[int], name: str) -> Parameters:
        """Fresh float64 parameters of the network and ``log_std`` (seeds, 1, action)."""
        log_std = torch.zeros(len(seeds), 1, self.network.outputs, dtype=torch.float64)
        return self.network.initialise(seeds, name) | {"log_std": log_std}

    def mode(
        self, parameters: Parameters, observations: Float[Tensor, "seeds batch observation"]
    ) -> Float[Tensor, "seeds batch action"]:
        """The mean, clipped."""
        return self.network(parameters, observations).clamp(-1, 1)

    def sample(
        self,
        parameters: Parameters,
        observations: Float[Tensor, "seeds batch observation"],
        noise: Float[Tensor, "seeds batch action"],
    ) -> Float[Tensor, "seeds batch action"]:
        """Clipped actions for standard normal ``noise``."""
        std = torch.exp(parameters["log_std"].clamp(*self.log_std_range))
        return (self.network(parameters, observations) + std * noise).clamp(-1, 1)

    def log_prob(
        self,
        parameters: Parameters,
        observations: Float[Tensor, "seeds batch observation"],
        actions: Float[Tensor, "seeds batch action"],
    ) -> Float[Tensor, "seeds batch"]:
        """Joint log-density of actions, before any clipping."""
        log_std = parameters["log_std"].clamp(*self.log_std_range)
        return gaussian_log_prob(actions, self.network(parameters, observations), log_std)


@dataclass(frozen=True)
class SquashedGaussianPolicy:
    """a = tanh(u), u ~ N(mean(s), std(s)^2), both heads from one network of 2 * action outputs.

    With ``affine_log_std`` the network's log standard deviation is scaled and shifted by two learned numbers before it
    is clipped, as in CQL. ``slope_epsilon`` is added to 1 - tanh(u)^2 in densities, as in CORL's SAC-N and EDAC: it
    bounds what an action at the edge adds to the entropy. Source: Haarnoja et al. 2018, Soft Actor-Critic (arXiv
    1801.01290), appendix C.
    """

    network: MLP
    log_std_range: tuple[float, float]
    affine_log_std: bool = False
    slope_epsilon: float = 0.0

    def heads(
        self, parameters: Parameters, observations: Float[Tensor, "seeds batch observation"]
    ) -> tuple[Float[Tensor, "seeds batch action"], Float[Tensor, "seeds batch action"]]:
        """Mean and log standard deviation of u."""
        mean, log_std = self.network(parameters, observations).chunk(2, -1)
        if self.affine_log_std:
            log_std = parameters["log_std.scale"] * log_std + parameters["log_std.shift"]  # (seeds, 1, 1) both
        return mean, log_std.clamp(*self.log_std_range)

    def mode(
        self, parameters: Parameters, observations: Float[Tensor, "seeds batch observation"]
    ) -> Float[Tensor, "seeds batch action"]:
        """tanh(mean)."""
        return torch.tanh(self.heads(parameters, observations)[0])

    def initialise(
        self,
        seeds: Sequence[int],
        name: str,
        hidden_bias: float | None = None,
        output_bound: float | None = None,
        log_std_shift: float = 0.0,
    ) -> Parameters:
        """Fresh float64 parameters of the network and, where learned, scale 1 and shift of the log std."""
        parameters = self.network.initialise(seeds, name, hidden_bias=hidden_bias, output_bound=output_bound)
        if self.affine_log_std:
            one = torch.ones(len(seeds), 1, 1, dtype=torch.float64)
            parameters |= {"log_std.scale": one, "log_std.shift": log_std_shift * one}
        return parameters

    def sample(
        self,
        parameters: Parameters,
        observations: Float[Tensor, "seeds batch observation"],
        noise: Float[Tensor, "seeds batch action"],
    ) -> tuple[Float[Tensor, "seeds batch action"], Float[Tensor, "seeds batch"]]:
        """Actions for standard normal ``noise``, and their log-densities."""
        return squashed(*self.heads(parameters, observations), noise, self.slope_epsilon)


def squashed(
    mean: Float[Tensor, "*#points action"],
    log_std: Float[Tensor, "*#points action"],
    noise: Float[Tensor, "*points action"],
    slope_epsilon: float = 0.0,
) -> tuple[Float[Tensor, "*points action"], Float[Tensor, "*points"]]:
    """tanh(mean + std noise) and its joint log-density; noise is standard normal."""
    u = mean + torch.exp(log_std) * noise
    return torch.tanh(u), gaussian_log_prob(u, mean, log_std) - log_tanh_slope(u, slope_epsilon).sum(-1)


def log_tanh_slope(u: Float[Tensor, "*points"], epsilon: float = 0.0) -> Float[Tensor, "*points"]:
    """log(1 - tanh(u)^2 + epsilon), elementwise; without epsilon exact also where tanh(u) rounds to 1."""
    if epsilon:
        return torch.log(1 - torch.tanh(u) ** 2 + epsilon)
    return 2 * (math.log(2) - u - torch.nn.functional.softplus(-2 * u))


def gaussian_log_prob(
    x: Float[Tensor, "*points action"],
    mean: Float[Tensor, "*#points action"],
    log_std: Float[Tensor, "*#points action"],
) -> Float[Tensor, "*points"]:
    """Joint log-density of x under a diagonal Gaussian."""
    z = (x - mean) * torch.exp(-log_std)
    return (-0.5 * z**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)
