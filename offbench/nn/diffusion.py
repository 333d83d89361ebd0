"""Diffusion of action vectors: noise that is added in steps, a network that predicts it, and sampling by taking it out.

Sources: Ho et al. 2020, DDPM (arXiv 2006.11239); squared-cosine betas of Nichol and Dhariwal 2021 (arXiv 2102.09672);
as a policy Chi et al. 2023, Diffusion Policy (arXiv 2303.04137), whose one-dimensional U-Net sees sequences of actions.
On a single action each of its convolutions is a product with one matrix. Here it is a residual MLP of one width instead
of the U-Net's 256, 512 and 1024.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn import functional

from offbench.nn.mlp import MLP, Parameters, linear

OFFSET = 0.008  # s of Nichol and Dhariwal, so that the first beta is not too small
LARGEST_BETA = 0.999

Predict = Callable[[Float[Tensor, "seeds batch action"], int], Float[Tensor, "seeds batch action"]]


@dataclass(frozen=True)
class Diffusion:
    """T steps of noise: q(a_k | a) = N(sqrt(A_k) a, 1 - A_k), A_k the product of 1 - beta_0, ..., 1 - beta_k.

    Attributes:
        steps: T.
    """

    steps: int

    @cached_property
    def betas(self) -> Float64[Tensor, " steps"]:
        """beta_k = 1 - f(k + 1) / f(k), at most 0.999, f(k) = cos^2(pi / 2 (k / T + s) / (1 + s)), s = 0.008."""
        times = torch.arange(self.steps + 1, dtype=torch.float64) / self.steps
        left = torch.cos((times + OFFSET) / (1 + OFFSET) * math.pi / 2) ** 2
        return (1 - left[1:] / left[:-1]).clamp(max=LARGEST_BETA)

    @cached_property
    def kept(self) -> Float64[Tensor, " steps"]:
        """A_k, the share of the action's variance that is left after step k."""
        return torch.cumprod(1 - self.betas, 0)

    def noised(
        self,
        actions: Float[Tensor, "seeds batch action"],
        steps: Int64[Tensor, "seeds batch"],
        noise: Float[Tensor, "seeds batch action"],
    ) -> Float[Tensor, "seeds batch action"]:
        """a_k = sqrt(A_k) a + sqrt(1 - A_k) noise at the given steps k."""
        kept = self.kept.to(actions.device)[steps].unsqueeze(-1)
        return kept.sqrt().to(actions.dtype) * actions + (1 - kept).sqrt().to(actions.dtype) * noise

    def sample(
        self, predict: Predict, noise: Float[Tensor, "seeds batch steps action"]
    ) -> Float[Tensor, "seeds batch action"]:
        """Actions in [-1, 1], from pure noise by taking out what ``predict(a_k, k)`` says, from step T - 1 to step 0.

        Each step estimates a = (a_k - sqrt(1 - A_k) noise) / sqrt(A_k), clips it to [-1, 1], and draws a_{k-1} from
        q(a_{k-1} | a_k, a), whose variance is beta_k (1 - A_{k-1}) / (1 - A_k). Of ``noise``, standard normal, the
        first is where it begins, and the others are what each step but step 0 adds.
        """
        x = noise[:, :, 0]
        kept, betas = self.kept.tolist(), self.betas.tolist()
        for number, k in enumerate(reversed(range(self.steps)), start=1):
            before = kept[k - 1] if k else 1.0
            estimate = ((x - math.sqrt(1 - kept[k]) * predict(x, k)) / math.sqrt(kept[k])).clamp(-1, 1)
            of_estimate = math.sqrt(before) * betas[k] / (1 - kept[k])
            of_present = math.sqrt(1 - betas[k]) * (1 - before) / (1 - kept[k])
            x = of_estimate * estimate + of_present * x
            if k:
                x = x + math.sqrt(betas[k] * (1 - before) / (1 - kept[k])) * noise[:, :, number]
        return x


@dataclass(frozen=True)
class NoiseNetwork:
    """What was added to an action, told from the noised action, the step and a state; parameters are passed in.

    Blocks of x + mish(norm(W_2 ((1 + scale) mish(norm(W_1 x)) + shift))), where scale and shift are linear in mish of
    the step's embedding and of the state (FiLM, Perez et al. 2018, arXiv 1709.07871). The state also enters beside the
    action.

    Attributes:
        observation, action: sizes of the vectors.
        steps: of the diffusion.
        width: of every layer.
        blocks: how many there are.
    """

    observation: int
    action: int
    steps: int
    width: int = 256
    blocks: int = 3

    def initialise(self, seeds: Sequence[int], name: str) -> Parameters:
        """Fresh float64 ``<layer>.weight`` (seeds, in, out) and ``<layer>.bias`` (seeds, 1, out), as torch draws them.

        Each block has ``first`` and ``second``, whose results are normalised with ``scale`` and ``shift``, and two that
        give FiLM's scale and shift: ``of_step``, and ``of_state``.
        """
        w = self.width
        sizes = {"embed0": (w, w), "embed1": (w, w), "input": (self.action + self.observation, w)}
        for block in range(self.blocks):
            sizes |= {f"block{block}.{part}": (w, w) for part in ("first", "second")}
            sizes |= {f"block{block}.of_step": (w, 2 * w), f"block{block}.of_state": (self.observation, 2 * w)}
        parameters: Parameters = {}
        for layer, (fan_in, fan_out) in (sizes | {"output": (w, self.action)}).items():
            made = MLP(fan_in, (), fan_out).initialise(seeds, f"{name}/{layer}")
            parameters |= {f"{layer}.{part}": made[f"layer0.{part}"] for part in ("weight", "bias")}
            if layer.endswith(("first", "second")):
                parameters[f"{layer}.scale"] = torch.ones(len(seeds), 1, w, dtype=torch.float64)
                parameters[f"{layer}.shift"] = torch.zeros(len(seeds), 1, w, dtype=torch.float64)
        return parameters

    def films(
        self, parameters: Parameters, observations: Float[Tensor, "seeds batch observation"]
    ) -> tuple[list[Float[Tensor, "seeds steps film"]], list[Float[Tensor, "seeds batch film"]]]:
        """What each step and each state add to the scale and shift of each block: the same for all noised actions."""
        weight = parameters["embed0.weight"]
        table = sinusoids(self.steps, self.width).to(weight).expand(len(weight), -1, -1)
        table = functional.mish(_layer(parameters, "embed0", table))
        table, states = functional.mish(_layer(parameters, "embed1", table)), functional.mish(observations)
        names = [f"block{block}" for block in range(self.blocks)]
        return (
            [_layer(parameters, f"{name}.of_step", table) for name in names],
            [_layer(parameters, f"{name}.of_state", states) for name in names],
        )

    def __call__(
        self,
        parameters: Parameters,
        actions: Float[Tensor, "seeds batch action"],
        observations: Float[Tensor, "seeds batch observation"],
        films: Sequence[Float[Tensor, "seeds batch film"]],
    ) -> Float[Tensor, "seeds batch action"]:
        """The noise in noised actions, with the sums of ``films`` of their steps and states, one a block."""
        x = _layer(parameters, "input", torch.cat([actions, observations], -1))
        for block, film in enumerate(films):
            scale, shift = film.chunk(2, -1)
            inner = _normal_layer(parameters, f"block{block}.first", x)
            x = x + _normal_layer(parameters, f"block{block}.second", (1 + scale) * inner + shift)
        return _layer(parameters, "output", x)

    def at(
        self,
        parameters: Parameters,
        actions: Float[Tensor, "seeds batch action"],
        observations: Float[Tensor, "seeds batch observation"],
        steps: Int64[Tensor, "seeds batch"],
    ) -> Float[Tensor, "seeds batch action"]:
        """The noise in actions that were noised to the given steps."""
        of_steps, of_states = self.films(parameters, observations)
        # A product with zeros and ones, whose gradient does not depend on the order of threads, as a gather's does.
        hot = functional.one_hot(steps, self.steps).to(actions.dtype)
        films = [torch.bmm(hot, table) + own for table, own in zip(of_steps, of_states, strict=True)]
        return self(parameters, actions, observations, films)


def sinusoids(count: int, size: int) -> Float64[Tensor, "count size"]:
    """Sines and cosines of the numbers 0, 1, ..., with wavelengths from 2 pi to 2 pi 10,000 (Vaswani et al. 2017)."""
    half = size // 2
    rates = torch.exp(-math.log(1e4) * torch.arange(half, dtype=torch.float64) / max(half - 1, 1))
    angles = torch.arange(count, dtype=torch.float64).unsqueeze(-1) * rates
    return functional.pad(torch.cat([angles.sin(), angles.cos()], -1), (0, size - 2 * half))


def _layer(parameters: Parameters, name: str, x: Tensor) -> Tensor:
    return linear(x, parameters[f"{name}.weight"], parameters[f"{name}.bias"])


def _normal_layer(parameters: Parameters, name: str, x: Tensor) -> Tensor:
    """Linear, normalised, mish."""
    x = _layer(parameters, name, x)
    x = functional.layer_norm(x, x.shape[-1:]) * parameters[f"{name}.scale"] + parameters[f"{name}.shift"]
    return functional.mish(x)
