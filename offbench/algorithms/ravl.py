"""Reach-Aware Value Learning (RAVL), Sims et al. 2024 (arXiv 2402.12527).

Branches of k steps end in states that no branch acts in: edge-of-reach states. Q is bootstrapped from there and never
corrected there, and a policy that seeks what Q promises drives the branches to them. MOPO's penalty hides this as long
as the model is unsure there, and fails with a perfect one. RAVL is unsure of the value instead: the minimum over N
critics whose gradients are kept apart (EDAC), and no penalty on the rewards.

The last step of a branch is stored as what it is, a truncation. Update order and constants are the authors'
(github.com/anyasims/edge-of-reach): temperature, policy, critics, targets. Of their settings for each dataset one is
published; the scores of their table are not at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import Algorithm, Metrics, Networks, Preset, View, copy, polyak, within
from offbench.algorithms.imagined import ImaginedConfig, fit_dynamics, learned_imagination
from offbench.data.transitions import Batch
from offbench.nn.ensembles import SLOPE_EPSILON, similarity
from offbench.nn.mlp import MLP
from offbench.nn.policies import SquashedGaussianPolicy


@dataclass(frozen=True)
class RAVLConfig(ImaginedConfig):
    """Hyperparameters of RAVL."""

    critics: int = 10
    """N."""
    diversity: float = 1.0
    """eta, the weight of the cosine between the critics' gradients."""
    discount: float = 0.99
    """gamma."""
    polyak: float = 0.005
    """Share of the new Q in each move of the target Q."""
    hidden: tuple[int, ...] = (256, 256, 256)
    """Sizes of the hidden layers of critics and policy."""
    learning_rate: float = 3e-4
    """Learning rate of Adam for critics, policy and temperature."""
    log_std_range: tuple[float, float] = (-5.0, 2.0)
    """Bounds of the policy's log standard deviation."""
    batch_size: int = 256
    """Transitions a seed in one update, real and imagined."""

    def __post_init__(self) -> None:
        super().__post_init__()
        within("critics", self.critics, 2, 10_000)
        within("diversity", self.diversity, 0, float("inf"))
        within("learning_rate", self.learning_rate, 0, 1, open_low=True)
        within("discount", self.discount, 0, 1)
        within("polyak", self.polyak, 0, 1, open_low=True)
        within("lower log_std_range", self.log_std_range[0], -100, self.log_std_range[1])


class RAVL(Algorithm):
    """N critics with Polyak targets, a squashed Gaussian policy, a temperature that holds its entropy, and a model."""

    Config = RAVLConfig
    metrics: ClassVar[tuple[str, ...]] = ("temperature_loss", "actor_loss", "critic_loss", "q")
    config: RAVLConfig
    quick: ClassVar[Mapping[str, Any]] = {
        "critics": 2, "diversity": 0.1, "learning_rate": 1e-2, "dynamics_hidden": (32, 32), "dynamics_epochs": 100,
        "rollout_count": 64, "rollout_every": 40, "rollout_length": 1, "termination": "HalfCheetah", "real_ratio": 0.75,
    }  # fmt: skip
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("halfcheetah-medium-v*",), {"dynamics": "ravl"}, "the README of edge-of-reach"),
    )

    def build(self) -> None:
        """Q_1 ... Q_N and their targets, the policy, the logarithm of the temperature, and the model."""
        c, sizes = self.config, self.sizes
        self.critic = MLP(sizes.observation + sizes.action, c.hidden, 1, members=c.critics)
        self.actor = SquashedGaussianPolicy(
            MLP(sizes.observation, c.hidden, 2 * sizes.action), c.log_std_range, slope_epsilon=SLOPE_EPSILON
        )
        critic = self.critic.initialise(self.seeds, "critic", hidden_bias=0.1, output_bound=3e-3)
        actor = self.actor.initialise(self.seeds, "actor", hidden_bias=0.1, output_bound=1e-3)
        self.add("critic", critic, c.learning_rate)
        self.add("target_critic", copy(critic), None)
        self.add("actor", actor, c.learning_rate)
        self.add("temperature", {"log": torch.zeros(len(self.seeds), 1, dtype=torch.float64)}, c.learning_rate)

        self.imagination = learned_imagination(self)

    def prepare(self, data: View, say: Callable[[str], None]) -> None:
        """Fit the model of each seed."""
        fit_dynamics(self, data, say)

    def sample(
        self, observations: Float[Tensor, "seeds batch observation"], noise: Float[Tensor, "seeds batch action"]
    ) -> Float[Tensor, "seeds batch action"]:
        """a ~ pi(s)."""
        return self.actor.sample(self.networks["actor"], observations, noise)[0]

    def noise(self) -> Mapping[str, tuple[int, ...]]:
        """One action at s for the temperature, one at s for the policy, one at s' for the critics."""
        shape = (self.config.batch_size, self.sizes.action)
        return {"alpha_action": shape, "actor_action": shape, "next_action": shape}

    def temperature_loss(self, networks: Networks, batch: Batch) -> Metrics:
        """L_alpha = -log alpha E (log pi(a~ | s) - |A|): the entropy is held at -|A|."""
        with torch.no_grad():
            actor, noise = self.networks["actor"], batch.noise["alpha_action"]
            _, log_prob = self.actor.sample(actor, batch.observations, noise)
        return {"temperature_loss": -(networks["temperature"]["log"] * (log_prob - self.sizes.action)).mean(-1)}

    def actor_loss(self, networks: Networks, batch: Batch) -> Metrics:
        """L_pi = E (alpha log pi(a~ | s) - min_i Q_i(s, a~))."""
        s, alpha = batch.observations, torch.exp(self.networks["temperature"]["log"])  # (seeds, 1)
        sampled, log_prob = self.actor.sample(networks["actor"], s, batch.noise["actor_action"])
        q = self.critic(self.networks["critic"], torch.cat([s, sampled], -1))[..., 0].amin(1)
        return {"actor_loss": (alpha * log_prob - q).mean(-1)}

    def critic_loss(self, networks: Networks, batch: Batch) -> Metrics:
        """L_Q = sum_i E (Q_i(s, a) - y)^2 + eta L_div, L_div the mean cosine of dQ_i/da, absent where eta is 0."""
        s, a, r, s_next, terminal = batch[:5]
        with torch.no_grad():
            # y = r + gamma (min_i Q'_i(s', a') - alpha log pi(a' | s')), a' ~ pi(s')
            alpha = torch.exp(self.networks["temperature"]["log"])
            a_next, log_prob = self.actor.sample(self.networks["actor"], s_next, batch.noise["next_action"])
            q_next = self.critic(self.networks["target_critic"], torch.cat([s_next, a_next], -1))[..., 0].amin(1)
            y = r + self.config.discount * (1 - terminal) * (q_next - alpha * log_prob)
        pairs, actions, diversity = torch.cat([s, a], -1), self.sizes.observation, self.config.diversity
        if diversity == 0:
            q = self.critic(networks["critic"], pairs)[..., 0]  # (seeds, N, batch)
            return {"critic_loss": ((q - y.unsqueeze(1)) ** 2).mean(-1).sum(1)}
        values, gradients = self.critic.with_input_gradient(networks["critic"], pairs, first=actions)
        error = ((values[..., 0] - y.unsqueeze(1)) ** 2).mean(-1).sum(1)
        return {"critic_loss": error + diversity * similarity(gradients)}

    def update(self, batch: Batch) -> Metrics:
        """One Adam step of the temperature, one of the policy, one of the critics, then their targets follow.

        The metric q is the mean over batch and critics of what the critics say of the batch.
        """
        metrics = self.descend(self.temperature_loss, ["temperature"], batch)
        metrics |= self.descend(self.actor_loss, ["actor"], batch)
        metrics |= self.descend(self.critic_loss, ["critic"], batch)
        polyak(self.networks["target_critic"], self.networks["critic"], self.config.polyak)
        with torch.no_grad():
            pairs = torch.cat([batch.observations, batch.actions], -1)
            return metrics | {"q": self.critic(self.networks["critic"], pairs)[..., 0].mean((1, 2))}

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """The mode of the policy."""
        return self.actor.mode(self.networks["actor"], observations)
