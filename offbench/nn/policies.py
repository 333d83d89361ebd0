"""Policy networks: deterministic and Gaussian, both with a tanh on the mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
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

    def mean(self, parameters: Parameters, observations: Tensor, masks: Sequence[Tensor] | None = None) -> Tensor:
        """Mean actions (seeds, batch, action) in [-1, 1] for observations (seeds, batch, observation)."""
        return torch.tanh(self.network(parameters, observations, masks))

    def log_prob(self, parameters: Parameters, mean: Tensor, actions: Tensor) -> Tensor:
        """Joint log-density (seeds, batch) of actions (seeds, batch, action) under the Gaussian around ``mean``."""
        assert self.log_std_range is not None
        log_std = parameters["log_std"].clamp(*self.log_std_range)
        return gaussian_log_prob(actions, mean, log_std)


def gaussian_log_prob(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log-density of x (..., dimension) under a diagonal Gaussian, summed over the last axis."""
    z = (x - mean) * torch.exp(-log_std)
    return (-0.5 * z**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)
