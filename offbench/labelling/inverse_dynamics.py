"""Inverse dynamics: which action led from states to the next, as SS-ORL labels trajectories without actions.

Source: Zheng et al. 2023, "Semi-Supervised Offline Reinforcement Learning with Action-Free Trajectories" (arXiv
2210.06518). The model sees several transitions, s_{t-m}, ..., s_t, s_{t+1}, for where the behaviour is not Markovian
the past tells of the action, too. It says a Gaussian squashed by tanh; the label is tanh of its mean.

An action at its bound is atanh(1 - 1e-6) = 7.3 before the tanh: where many are, as in clipped control, the squashed
Gaussian pays for them with all others. ``density="gaussian"`` has the same networks and a Gaussian around tanh of the
mean, in the space of actions.

Windows never leave an episode: what lies before its first step is its first state, and what follows its last step is
its final observation. (In the released code starts are padded with raw zeros, and at the last step, whose next state it
lacks, the window is shifted by one.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int, Int64, Shaped
from torch import Tensor

from offbench.data.frames import shared_tensor
from offbench.data.trajectories import Trajectories
from offbench.nn.mlp import MLP, Parameters, linear
from offbench.nn.policies import gaussian_log_prob, log_tanh_slope

Density = Literal["squashed", "gaussian"]

LOG_STD_RANGE = (-5.0, 2.0)
EDGE = 1 - 1e-6  # what actions are clamped to, for atanh(1) is infinite
_BLOCK = 2048  # steps that are labelled at a time


class Labels(NamedTuple):
    """What models say of steps.

    Attributes:
        actions: of the mixture's mean, in a learner's units: -1 and 1 are the bounds of the task's actions.
        variance: of the mixture, the mean over the numbers of an action: how unsure a model is. Before the tanh where
            the density is squashed, else in a learner's units.
    """

    actions: Float[Tensor, "seeds steps action"]
    variance: Float[Tensor, "seeds steps"]


class Windows:
    """The states around each step of trajectories.

    Attributes:
        past: m, states before the one that is acted from.
        device, dtype: of what it gives.
    """

    def __init__(
        self, trajectories: Trajectories, past: int, device: str | torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        self.past, self.device, self.dtype = past, torch.device(device), dtype
        self._observations = shared_tensor(trajectories.observations).to(device)
        self._offsets = torch.from_numpy(trajectories.offsets.copy()).to(device)

    def at(self, steps: Int[Tensor, " *chosen"]) -> Float[Tensor, "*chosen context observation"]:
        """s_{t-m}, ..., s_t, s_{t+1} of each step t, as the data have them."""
        return self._observations[window_rows(self._offsets, steps, self.past)].to(self.dtype)


def window_rows(
    offsets: Int64[Tensor, " bounds"], steps: Int[Tensor, " *chosen"], past: int
) -> Int64[Tensor, "*chosen context"]:
    """The rows of ``observations`` in the window of each step, those before the episode its first one."""
    episodes = torch.searchsorted(offsets, steps.contiguous(), right=True) - 1
    around = torch.arange(-past, 2, device=offsets.device)
    first = (offsets[episodes] + episodes).unsqueeze(-1)
    return torch.maximum((steps + episodes).unsqueeze(-1) + around, first)


@dataclass(frozen=True)
class InverseDynamics:
    """Members that map windows to a density over actions; parameters are passed in.

    Mean and log standard deviation have a network each, of the same sizes, so that both are one product.

    Attributes:
        observation, action: sizes of the vectors.
        hidden: sizes of the hidden layers, with ReLU between them.
        members: networks of an ensemble.
        past: m, states before the one that is acted from.
        density: of tanh(u), u a Gaussian, or a Gaussian around the tanh of a mean.
    """

    observation: int
    action: int
    hidden: tuple[int, ...] = (256, 256)
    members: int = 1
    past: int = 1
    density: Density = "squashed"

    def initialise(self, seeds: Sequence[int], name: str) -> Parameters:
        """Fresh float64 parameters.

        Orthogonal ``layer<i>.weight`` (seeds, members, 2, in, out) and ``layer<i>.bias`` of 0, first those of the mean;
        ``input.mean`` and ``input.std`` (seeds, observation), which are not trained.
        """
        inputs = (self.past + 2) * self.observation
        networks = MLP(inputs, self.hidden, self.action, members=2 * self.members)
        drawn = networks.initialise(seeds, name, "orthogonal", output_gain=1.0)
        parameters = {key: torch.unflatten(value, 1, (self.members, 2)) for key, value in drawn.items()}
        parameters["input.mean"] = torch.zeros(len(seeds), self.observation, dtype=torch.float64)
        parameters["input.std"] = torch.ones(len(seeds), self.observation, dtype=torch.float64)
        return parameters

    def heads(
        self,
        parameters: Parameters,
        windows: Float[Tensor, "seeds members batch context observation"],
        mask: Float[Tensor, "seeds members 2 batch hidden"] | None = None,
    ) -> tuple[Float[Tensor, "seeds members batch action"], Float[Tensor, "seeds members batch action"]]:
        """Mean and log standard deviation of the Gaussian.

        mask: what the last hidden layers are multiplied by; None drops nothing.
        """
        mean, std = (parameters[f"input.{part}"].view(-1, 1, 1, 1, self.observation) for part in ("mean", "std"))
        x = ((windows - mean) / std).flatten(-2).unsqueeze(2).expand(-1, -1, 2, -1, -1)
        last = len(self.hidden)
        for layer in range(last + 1):
            if layer == last and mask is not None:
                x = x * mask
            x = linear(x, parameters[f"layer{layer}.weight"], parameters[f"layer{layer}.bias"])
            if layer < last:
                x = torch.relu(x)
        low, high = LOG_STD_RANGE
        mean = x[:, :, 0] if self.density == "squashed" else torch.tanh(x[:, :, 0])
        return mean, low + 0.5 * (high - low) * (torch.tanh(x[:, :, 1]) + 1)

    def losses(
        self,
        parameters: Parameters,
        windows: Float[Tensor, "seeds members batch context observation"],
        actions: Float[Tensor, "seeds members batch action"],
        mask: Float[Tensor, "seeds members 2 batch hidden"] | None = None,
    ) -> Float[Tensor, "seeds members batch"]:
        """-log p(a | window), the sum over the numbers of an action."""
        log_prob = squashed_log_prob if self.density == "squashed" else gaussian_log_prob
        return -log_prob(actions, *self.heads(parameters, windows, mask))

    def label(self, parameters: Parameters, windows: Windows, count: int) -> Labels:
        """What the ensemble of each seed says of the first ``count`` steps, the windows of which it is given.

        Of a step whose next observation was not recorded it is what is said where the state stays.
        """
        seeds, actions, variances = len(parameters["input.mean"]), [], []
        for first in range(0, count, _BLOCK):
            steps = torch.arange(first, min(first + _BLOCK, count), device=windows.device)
            seen = windows.at(steps).expand(seeds, self.members, -1, -1, -1)
            mean, variance = mixture(*self.heads(parameters, seen))
            actions.append(torch.tanh(mean) if self.density == "squashed" else mean)
            variances.append(variance.mean(-1))
        return Labels(torch.cat(actions, 1), torch.cat(variances, 1))


def squashed_log_prob(
    actions: Shaped[Tensor, "*points action"],
    mean: Float[Tensor, "*points action"],
    log_std: Float[Tensor, "*points action"],
) -> Float[Tensor, "*points"]:
    """Joint log-density of actions = tanh(u), u ~ N(mean, std^2); actions are clamped to +-(1 - 1e-6) first."""
    u = torch.atanh(actions.clamp(-EDGE, EDGE))
    return gaussian_log_prob(u, mean, log_std) - log_tanh_slope(u).sum(-1)


def mixture(
    means: Float[Tensor, "seeds members batch action"], log_stds: Float[Tensor, "seeds members batch action"]
) -> tuple[Float[Tensor, "seeds batch action"], Float[Tensor, "seeds batch action"]]:
    """Mean and variance of the equal mixture of the members' Gaussians.

    mu = mean_k mu_k and the mean of sigma_k^2 + (mu_k - mu)^2.
    """
    mean = means.mean(1)
    return mean, (torch.exp(2 * log_stds) + (means - mean.unsqueeze(1)) ** 2).mean(1)
