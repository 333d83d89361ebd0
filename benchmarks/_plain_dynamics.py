"""A dynamics ensemble and its branches as model-based codebases write them: members batched, one seed, NumPy between.

Shapes, losses, weight decay and sampling are those of ours in its default configuration, from the same config. Every
batch goes from NumPy to torch; a branch's step predicts with all members, comes back to NumPy, draws from each and
picks one. tests/benchmarks/test_plain_dynamics.py proves that from the same weights the loss and the predictions are
ours.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from offbench.dynamics.fitting import DynamicsConfig
from offbench.dynamics.network import BOUND_WEIGHT, FIRST_BOUNDS


class PlainEnsemble(nn.Module):
    """Members side by side in batched products, with an optimiser and a scaler."""

    def __init__(self, observation: int, action: int, config: DynamicsConfig) -> None:
        super().__init__()
        self.c = config
        sizes = [observation + action, *config.hidden, 2 * (observation + 1)]
        shapes = pairwise(sizes)
        self.weights = nn.ParameterList([
            nn.init.trunc_normal_(torch.empty(config.members, inputs, outputs), std=1 / (2 * inputs**0.5))
            for inputs, outputs in shapes
        ])  # fmt: skip
        self.biases = nn.ParameterList([torch.zeros(config.members, 1, outputs) for outputs in sizes[1:]])
        self.low, self.high = (nn.Parameter(torch.full((observation + 1,), value)) for value in FIRST_BOUNDS)
        self.mean, self.std = np.zeros((1, sizes[0]), np.float32), np.ones((1, sizes[0]), np.float32)
        self.optimiser = torch.optim.Adam(self.parameters(), lr=config.learning_rate)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, (members, batch, observation + 1) each."""
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.einsum("nbi,nij->nbj", x, weight) + bias
            if layer < len(self.weights) - 1:
                x = x * torch.sigmoid(x)
        mean, log_variance = x.chunk(2, -1)
        log_variance = self.high - functional.softplus(self.high - log_variance)
        return mean, self.low + functional.softplus(log_variance - self.low)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Likelihood, decay and width of the bounds."""
        mean, log_variance = self.forward(x)
        likelihood = (((mean - y) ** 2) * torch.exp(-log_variance) + log_variance).mean((1, 2)).sum()
        decay = sum(
            0.5 * rate * (weight**2).sum() for rate, weight in zip(self.c.weight_decay, self.weights, strict=True)
        )
        return likelihood + decay + BOUND_WEIGHT * (self.high.sum() - self.low.sum())

    def fit(self, inputs: np.ndarray[Any, Any], targets: np.ndarray[Any, Any], updates: int) -> None:
        """So many updates, on bootstrap samples."""
        rng = np.random.default_rng(0)
        rows = rng.integers(len(inputs), size=(self.c.members, updates * self.c.batch_size))
        for first in range(0, rows.shape[1], self.c.batch_size):
            batch = rows[:, first : first + self.c.batch_size]
            x = torch.as_tensor((inputs[batch] - self.mean) / self.std)
            loss = self.loss(x, torch.as_tensor(targets[batch]))
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            loss.item()

    @torch.no_grad()
    def step(
        self, observations: np.ndarray[Any, Any], actions: np.ndarray[Any, Any], rng: np.random.Generator
    ) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Next observations and rewards, each row's from one elite."""
        x = torch.as_tensor((np.concatenate([observations, actions], -1) - self.mean) / self.std)
        mean, log_variance = (part.numpy() for part in self.forward(x.expand(self.c.members, -1, -1)))
        mean[..., :-1] += observations
        drawn = mean + rng.normal(size=mean.shape).astype(np.float32) * np.sqrt(np.exp(log_variance))
        members = rng.integers(self.c.elites, size=len(observations))
        chosen = drawn[members, np.arange(len(observations))]
        return chosen[:, :-1], chosen[:, -1]
