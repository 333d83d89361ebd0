"""Soft Actor-Critic (SAC), Haarnoja et al. 2018 (arXiv 1812.05905), as D4RL's behaviour policies were trained.

Two deviations, both for the sake of few updates on small machines: the critics' hidden layers are normalised, and an
update is made every few environment steps. Critic, policy and temperature are moved together, each with the others'
parameters from before the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from offbench.algorithms.base import Algorithm, Metrics, Networks, copy, polyak
from offbench.data.transitions import Batch
from offbench.nn.mlp import MLP
from offbench.nn.policies import SquashedGaussianPolicy


@dataclass(frozen=True)
class SACConfig:
    """Hyperparameters of SAC."""

    discount: float = 0.99
    """gamma."""
    polyak: float = 0.005
    """Share of the new Q in each move of the target Q."""
    hidden: tuple[int, ...] = (256, 256)
    """Sizes of the hidden layers of all networks."""
    learning_rate: float = 3e-4
    """Learning rate of Adam for critic, policy and temperature."""
    log_std_range: tuple[float, float] = (-20.0, 2.0)
    """Bounds of the policy's log standard deviation."""
    layer_norm: bool = True
    """Normalise the critics' hidden layers."""
    batch_size: int = 256
    """Transitions in one update."""


class SAC(Algorithm):
    """Twin Q with Polyak targets, a squashed Gaussian policy, and a temperature that holds its entropy at -actions."""

    Config = SACConfig
    metrics: ClassVar[tuple[str, ...]] = ("critic_loss", "actor_loss", "temperature_loss")
    config: SACConfig

    def build(self) -> None:
        """Q_1, Q_2 as an ensemble of two, their targets, the policy and the logarithm of the temperature."""
        c, sizes = self.config, self.sizes
        self.critic = MLP(sizes.observation + sizes.action, c.hidden, 1, members=2, layer_norm=c.layer_norm)
        self.actor = SquashedGaussianPolicy(MLP(sizes.observation, c.hidden, 2 * sizes.action), c.log_std_range)
        critic = self.critic.initialise(self.seeds, "critic")
        self.add("critic", critic, c.learning_rate)
        self.add("target_critic", copy(critic), None)
        self.add("actor", self.actor.network.initialise(self.seeds, "actor"), c.learning_rate)
        self.add("temperature", {"log": torch.zeros(len(self.seeds), 1, dtype=torch.float64)}, c.learning_rate)

    def noise(self) -> Mapping[str, tuple[int, ...]]:
        """One action at s and one at s'."""
        shape = (self.config.batch_size, self.sizes.action)
        return {"action": shape, "next_action": shape}

    def losses(self, networks: Networks, batch: Batch) -> Metrics:
        """The three losses, (seeds,) each; no gradient of one reaches the networks of another."""
        s, a, r, s_next, terminal, noise = batch[:6]
        alpha = torch.exp(self.networks["temperature"]["log"])  # (seeds, 1)
        with torch.no_grad():
            a_next, log_prob_next = self.actor.sample(self.networks["actor"], s_next, noise["next_action"])
            q_next = self.critic(self.networks["target_critic"], torch.cat([s_next, a_next], -1))[..., 0].amin(1)
            y = r + self.config.discount * (1 - terminal) * (q_next - alpha * log_prob_next)
        q = self.critic(networks["critic"], torch.cat([s, a], -1))[..., 0]  # (seeds, 2, batch)
        critic_loss = ((q - y.unsqueeze(1)) ** 2).mean(-1).sum(1)

        a_new, log_prob = self.actor.sample(networks["actor"], s, noise["action"])
        q_new = self.critic(self.networks["critic"], torch.cat([s, a_new], -1))[..., 0].amin(1)
        actor_loss = (alpha * log_prob - q_new).mean(-1)

        surplus = log_prob.detach() - self.sizes.action  # target entropy: -|A|
        temperature_loss = -(networks["temperature"]["log"] * surplus).mean(-1)
        return {"critic_loss": critic_loss, "actor_loss": actor_loss, "temperature_loss": temperature_loss}

    def update(self, batch: Batch) -> Metrics:
        """One Adam step of critic, policy and temperature together, then the target Q follows the new Q."""
        metrics = self.descend(self.losses, ["critic", "actor", "temperature"], batch)
        polyak(self.networks["target_critic"], self.networks["critic"], self.config.polyak)
        return metrics

    def act(self, observations: Tensor) -> Tensor:
        """The mode of the policy."""
        return self.actor.mode(self.networks["actor"], observations)
