"""IQL in the style of CORL's single-file script: its classes, its buffer, its distribution, its log of each update.

What it computes is what ours does in the default configuration. What is CORL's is how: rows by numpy's generator, a
module with both Q, a policy that makes a MultivariateNormal of a diagonal at each call, three optimisers in turn,
targets parameter by parameter, ``.item()`` of each loss. `_plain.py` has the method without what of
this is slow.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from _plain import Plain, adam
from torch import Tensor, nn
from torch.distributions import MultivariateNormal
from torch.nn import functional

from offbench.algorithms.iql import MAX_WEIGHT


def layers(sizes: list[int], *last: nn.Module) -> nn.Sequential:
    """Linear layers with ReLU between them, and what follows the last."""
    parts: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        parts += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*parts, nn.Linear(sizes[-2], sizes[-1]), *last)


class TwinQ(nn.ModuleList):
    """Q_1 and Q_2; called, it gives the smaller."""

    def both(self, s: Tensor, a: Tensor) -> tuple[Tensor, ...]:
        sa = torch.cat([s, a], 1)
        return tuple(network(sa).squeeze(-1) for network in self)

    def forward(self, s: Tensor, a: Tensor) -> Tensor:
        return torch.min(*self.both(s, a))


class GaussianPolicy(nn.Module):
    def __init__(self, sizes: list[int], log_std_range: tuple[float, float]) -> None:
        super().__init__()
        self.net = layers(sizes, nn.Tanh())
        self.log_std, self.range = nn.Parameter(torch.zeros(sizes[-1])), log_std_range

    def forward(self, s: Tensor) -> MultivariateNormal:
        std = torch.exp(self.log_std.clamp(*self.range))
        return MultivariateNormal(self.net(s), scale_tril=torch.diag(std))


def soft_update(target: nn.Module, source: nn.Module, tau: float) -> None:
    for old, new in zip(target.parameters(), source.parameters(), strict=True):
        old.data.copy_((1 - tau) * old.data + tau * new.data)


def asymmetric_l2_loss(u: Tensor, tau: float) -> Tensor:
    return torch.mean(torch.abs(tau - (u < 0).to(u.dtype)) * u**2)


class CORL(Plain):
    """Implicit Q-learning."""

    def build(self, observation: int, action: int) -> None:
        c = self.c
        sizes = [observation + action, *c.hidden, 1]
        self.critic, self.target_critic = TwinQ([layers(sizes), layers(sizes)]), TwinQ([layers(sizes), layers(sizes)])
        self.target_critic.load_state_dict(self.critic.state_dict())
        self.target_critic.requires_grad_(False)
        self.value = layers([observation, *c.hidden, 1])
        self.actor = GaussianPolicy([observation, *c.hidden, action], c.log_std_range)
        self.critic_optimiser = adam(c.learning_rate, self.critic)
        self.value_optimiser = adam(c.learning_rate, self.value)
        self.actor_optimiser = adam(c.learning_rate, self.actor)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.actor_optimiser, self.total)

    @property
    def log_std(self) -> nn.Parameter:
        return self.actor.log_std

    def sample(self) -> list[Tensor]:
        return self.rows(np.random.randint(0, len(self.columns[0]), size=self.c.batch_size))  # type: ignore[arg-type]

    def learn(self, s: Tensor, a: Tensor, r: Tensor, s_next: Tensor, terminal: Tensor) -> None:
        with torch.no_grad():
            next_v = self.value(s_next).squeeze(-1)
        advantage = self._update_v(s, a)
        self._update_q(next_v, s, a, r, terminal)
        self._update_policy(advantage, s, a)

    def _update_v(self, s: Tensor, a: Tensor) -> Tensor:
        with torch.no_grad():
            target_q = self.target_critic(s, a)
        advantage = target_q - self.value(s).squeeze(-1)
        self.descend("value_loss", self.value_optimiser, asymmetric_l2_loss(advantage, self.c.expectile))
        return advantage

    def _update_q(self, next_v: Tensor, s: Tensor, a: Tensor, r: Tensor, terminal: Tensor) -> None:
        targets = r + (1.0 - terminal) * self.c.discount * next_v.detach()
        qs: Any = self.critic.both(s, a)
        loss = sum(functional.mse_loss(q, targets) for q in qs) / len(qs)
        self.descend("critic_loss", self.critic_optimiser, loss)
        soft_update(self.target_critic, self.critic, self.c.polyak)

    def _update_policy(self, advantage: Tensor, s: Tensor, a: Tensor) -> None:
        weight = torch.exp(self.c.beta * advantage.detach()).clamp(max=MAX_WEIGHT)
        loss = torch.mean(weight * -self.actor(s).log_prob(a))
        self.descend("actor_loss", self.actor_optimiser, loss)
        self.schedule.step()


STYLED: dict[str, type[Plain]] = {"iql": CORL}
