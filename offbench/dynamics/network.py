"""The network of a dynamics ensemble: what it predicts, how wide it is sure to be, and what its losses are.

Sources: Chua et al. 2018, PETS (arXiv 1805.12114); Janner et al. 2019, MBPO (arXiv 1906.08253); constants of
OfflineRL-Kit, which the published scores of MOPO, COMBO and MOBILE come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from offbench.nn.mlp import Parameters, linear
from offbench.nn.random import stream

FIRST_BOUNDS = (-10.0, 0.5)  # of the log variance, before they are learned
BOUND_WEIGHT = 0.01
SMALLEST_STD = 1e-12  # of an input; a column that never changes is divided by 1


class Prediction(NamedTuple):
    """What each member says of the next observation and the reward, which is the last of the numbers.

    Attributes:
        means: in the units of observations and rewards.
        stds: standard deviations; 0 where the members are deterministic.
    """

    means: Float[Tensor, "seeds members batch observation+1"]
    stds: Float[Tensor, "seeds members batch observation+1"]


@dataclass(frozen=True)
class DynamicsNetwork:
    """Members that map (state, action) to a Gaussian over (change of the state, reward); parameters are passed in.

    Attributes:
        observation, action: sizes of the vectors.
        hidden: sizes of the hidden layers, with SiLU between them.
        members: how many networks.
        probabilistic: whether they predict a variance; else only a mean.
        input_clip: bound of the standardised inputs; None for none.
    """

    observation: int
    action: int
    hidden: tuple[int, ...] = (200, 200, 200, 200)
    members: int = 7
    probabilistic: bool = True
    input_clip: float | None = None

    @property
    def layers(self) -> int:
        """Linear layers of a member."""
        return len(self.hidden) + 1

    def initialise(self, seeds: Sequence[int], name: str) -> Parameters:
        """Fresh float64 parameters.

        ``layer<i>.weight`` (seeds, members, in, out) from N(0, 1 / (4 in)) cut at two standard deviations, and
        ``layer<i>.bias`` (seeds, members, 1, out) of 0; ``bounds.low`` and ``bounds.high`` (seeds, 1, 1, out) of the
        log variance, which the members share; ``input.mean`` and ``input.std`` (seeds, 1, in), which are not trained.
        """
        outputs = self.observation + 1
        sizes = [self.observation + self.action, *self.hidden, outputs * (2 if self.probabilistic else 1)]
        parameters: Parameters = {}
        for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            shape = (self.members, fan_in, fan_out)
            drawn = [_truncated_normal(stream(seed, f"{name}/layer{layer}"), shape) for seed in seeds]
            parameters[f"layer{layer}.weight"] = torch.from_numpy(np.stack(drawn)) / (2 * fan_in**0.5)
            parameters[f"layer{layer}.bias"] = torch.zeros(len(seeds), self.members, 1, fan_out, dtype=torch.float64)
        for bound, value in zip(("low", "high"), FIRST_BOUNDS, strict=True):
            parameters[f"bounds.{bound}"] = torch.full((len(seeds), 1, 1, outputs), value, dtype=torch.float64)
        parameters["input.mean"] = torch.zeros(len(seeds), 1, sizes[0], dtype=torch.float64)
        parameters["input.std"] = torch.ones(len(seeds), 1, sizes[0], dtype=torch.float64)
        return parameters

    def heads(
        self, parameters: Parameters, inputs: Float[Tensor, "seeds members batch observation+action"]
    ) -> tuple[
        Float[Tensor, "seeds members batch observation+1"], Float[Tensor, "seeds members batch observation+1"] | None
    ]:
        """Mean and log variance of (change of the state, reward); no variance of deterministic members.

        The log variance is held within the learned bounds softly: v <- high - softplus(high - v), then from below.
        """
        mean, std = (parameters[f"input.{part}"].unsqueeze(1) for part in ("mean", "std"))
        x = (inputs - mean) / std
        if self.input_clip is not None:
            x = x.clamp(-self.input_clip, self.input_clip)
        for layer in range(self.layers):
            x = linear(x, parameters[f"layer{layer}.weight"], parameters[f"layer{layer}.bias"])
            if layer < self.layers - 1:
                x = torch.nn.functional.silu(x)
        if not self.probabilistic:
            return x, None
        means, log_variances = x.chunk(2, -1)
        low, high = parameters["bounds.low"], parameters["bounds.high"]
        log_variances = high - torch.nn.functional.softplus(high - log_variances)
        return means, low + torch.nn.functional.softplus(log_variances - low)

    def losses(
        self,
        parameters: Parameters,
        inputs: Float[Tensor, "seeds members batch observation+action"],
        targets: Float[Tensor, "seeds members batch observation+1"],
    ) -> Float[Tensor, " seeds"]:
        """Sum over members of the mean of (mu - y)^2 exp(-v) + v, plus 0.01 (sum of high - sum of low).

        The mean is over batch and dimensions; v is the log variance. Deterministic members: the mean square error.
        """
        means, log_variances = self.heads(parameters, inputs)
        squares = (means - targets) ** 2
        if log_variances is None:
            return squares.mean((-2, -1)).sum(-1)
        likelihood = (squares * torch.exp(-log_variances) + log_variances).mean((-2, -1)).sum(-1)
        width = (parameters["bounds.high"] - parameters["bounds.low"]).sum((-3, -2, -1))
        return likelihood + BOUND_WEIGHT * width

    def predict(
        self,
        parameters: Parameters,
        observations: Float[Tensor, "seeds batch observation"],
        actions: Float[Tensor, "seeds batch action"],
    ) -> Prediction:
        """What each member says of the next observation and the reward."""
        pairs = torch.cat([observations, actions], -1).unsqueeze(1)
        return self.predicted(parameters, pairs.expand(-1, self.members, -1, -1))

    def predicted(
        self, parameters: Parameters, pairs: Float[Tensor, "seeds members batch observation+action"]
    ) -> Prediction:
        """What each member, of all or of the first ones, says of its own rows."""
        means, log_variances = self.heads(parameters, pairs)
        states, rewards = torch.split(means, [self.observation, 1], -1)
        means = torch.cat([states + pairs[..., : self.observation], rewards], -1)
        stds = torch.zeros_like(means) if log_variances is None else torch.exp(0.5 * log_variances)
        return Prediction(means, stds)


def chosen(
    prediction: Prediction, members: Int[Tensor, "seeds batch"], noise: Float[Tensor, "seeds batch observation+1"]
) -> Float[Tensor, "seeds batch observation+1"]:
    """A draw of next observation and reward from the Gaussian of one member a row."""
    index = members[:, None, :, None].expand(-1, 1, -1, prediction.means.shape[-1])
    mean, std = (part.gather(1, index)[:, 0] for part in prediction)
    return mean + std * noise


def trainable(parameters: Parameters) -> Parameters:
    """Those parameters that gradients move; the tensors themselves, not copies."""
    return {name: value for name, value in parameters.items() if not name.startswith("input.")}


def _truncated_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers, drawn again where they lie beyond two."""
    drawn = generator.standard_normal(shape)
    while (beyond := np.abs(drawn) > 2).any():
        drawn[beyond] = generator.standard_normal(int(beyond.sum()))
    return drawn
