"""Adam (Kingma and Ba 2015, arXiv 1412.6980), its learning-rate schedule, decay and clipping, inside the update."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from offbench.basis.once import once
from offbench.nn.mlp import Parameters

# One of these, or a function from the share of the updates that are done to a factor of the learning rate.
Schedule = Literal["constant", "cosine"] | Callable[[Float64[Tensor, ""]], Float64[Tensor, ""]]


class Adam:
    """First and second moments of one network's parameters; every element is its own, so seeds never mix.

    Bias correction and epsilon as in torch.optim.Adam. The count of updates is a tensor, so that one compiled graph
    serves all of them. With ``schedule="cosine"`` the learning rate of update t (from 0) is lr (1 + cos(pi t /
    total)) / 2; a function of one's own is given t / total, a float64 tensor, and gives the factor, in operations on
    tensors alone. In the first ``warmup`` updates it is multiplied by (t + 1) / warmup. With ``weight_decay`` each
    update first shrinks all parameters by rate * weight_decay (AdamW, Loshchilov and Hutter 2019, arXiv 1711.05101).
    With ``coupled_decay`` that share of the parameters is added to their gradient (torch.optim.Adam's weight_decay).
    With ``clip`` the gradient of each seed is scaled down to that norm where it is longer.
    """

    def __init__(
        self,
        parameters: Parameters,
        learning_rate: float,
        schedule: Schedule = "constant",
        total: int = 1,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        warmup: int = 0,
        clip: float | None = None,
        coupled_decay: float = 0.0,
    ) -> None:
        self.learning_rate, self.schedule, self.total = learning_rate, schedule, total
        self.betas, self.epsilon = betas, epsilon
        self.weight_decay, self.warmup, self.clip = weight_decay, warmup, clip
        self.coupled_decay = coupled_decay
        device = next(iter(parameters.values())).device
        # An integer: torch.compile (2.13) takes float64 scalars for constants and loses what is written to them.
        self.count = torch.zeros((), dtype=torch.int64, device=device)
        self.first = {name: torch.zeros_like(value) for name, value in parameters.items()}
        self.second = {name: torch.zeros_like(value) for name, value in parameters.items()}

    def update(
        self, parameters: Parameters, gradients: Parameters, factors: Float[Tensor, " seeds"] | None = None
    ) -> None:
        """Move ``parameters`` against ``gradients``, in place; each seed's rate is multiplied by its factor."""
        if self.clip is not None:
            gradients = clipped(gradients, self.clip)
        beta1, beta2 = self.betas
        rate = self._rate()
        count = (self.count + 1).to(torch.float64)
        step_size, scale = rate / (1 - beta1**count), torch.sqrt(1 - beta2**count)
        # With a factor a seed, loops have two levels, and torch (2.13) fails in fusing the outer ones of what is left.
        if self.clip is None and factors is None:
            step_size, scale = once(step_size), once(scale)
        for name, parameter in parameters.items():
            gradient, first, second = gradients[name], self.first[name], self.second[name]
            if self.coupled_decay > 0:
                gradient = gradient + self.coupled_decay * parameter
            first.lerp_(gradient, 1 - beta1)
            second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            if self.weight_decay > 0:
                parameter.mul_(1 - rate * self.weight_decay)
            size = step_size if factors is None else step_size * factors.view(-1, *[1] * (parameter.dim() - 1))
            parameter.sub_(size * first / (second.sqrt() / scale + self.epsilon))
        self.count.add_(1)

    def _rate(self) -> Float64[Tensor, ""]:
        """Learning rate of the coming update."""
        rate = torch.full_like(self.count, self.learning_rate, dtype=torch.float64)
        if self.schedule == "cosine":
            rate = rate * 0.5 * (1 + torch.cos(math.pi * self.count.to(torch.float64) / self.total))
        elif callable(self.schedule):
            rate = rate * self.schedule(self.count.to(torch.float64) / self.total)
        if self.warmup > 0:
            rate = rate * ((self.count + 1).to(torch.float64) / self.warmup).clamp(max=1)
        return rate

    def state(self) -> dict[str, Tensor]:
        """The tensors that make up the state, by name."""
        moments = {f"first.{name}": value for name, value in self.first.items()}
        moments |= {f"second.{name}": value for name, value in self.second.items()}
        return {"count": self.count} | moments


def gradient_norm(gradients: Parameters) -> Float[Tensor, " seeds"]:
    """Euclidean norm of each seed's gradient over all parameters of a network."""
    return torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients.values()]).sum(0).sqrt()


def clipped(gradients: Parameters, limit: float) -> Parameters:
    """Gradients of which each seed's norm is at most ``limit``; as torch.nn.utils.clip_grad_norm_, seed by seed."""
    factor = (limit / (gradient_norm(gradients) + 1e-6)).clamp(max=1)
    return {name: gradient * factor.view(-1, *[1] * (gradient.dim() - 1)) for name, gradient in gradients.items()}
