"""TD3+BC: TD3 with a behaviour-cloning term, Fujimoto and Gu 2021 (arXiv 2106.06860).

The policy maximises Q while staying near the data's actions. Dividing Q by its mean absolute value makes one weight
between the two serve all datasets.

Update order and constants are CORL's (commit eeeeef26), whose published scores we quote: the policy and all targets
move every second update, after Q. CORL and the official code agree in every equation; the official one keeps rewards
of antmaze as they are, CORL subtracts 1 there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import Algorithm, Metrics, Networks, Preset, copy, polyak, within
from offbench.data.scaling import RewardTransform
from offbench.data.transitions import Batch
from offbench.nn.mlp import MLP, member
from offbench.nn.policies import TanhMeanPolicy


@dataclass(frozen=True)
class TD3BCConfig:
    """Hyperparameters of TD3+BC."""

    alpha: float = 2.5
    """Weight of Q, once normalised, against behaviour cloning; 0 is behaviour cloning."""
    target_noise: float = 0.2
    """Standard deviation of the noise on the target policy's actions."""
    noise_clip: float = 0.5
    """Bound of that noise."""
    discount: float = 0.99
    """gamma."""
    polyak: float = 0.005
    """Share of the new networks in each move of their targets."""
    hidden: tuple[int, ...] = (256, 256)
    """Sizes of the hidden layers of all networks."""
    learning_rate: float = 3e-4
    """Learning rate of Adam for Q and policy."""
    batch_size: int = 256
    """Transitions a seed in one update."""
    normalise_states: bool = True
    """Standardise states by their mean and standard deviation over the data."""
    reward_transform: RewardTransform = "none"
    """return_range: times 1000 / (highest - lowest return); minus_one: r - 1, for sparse goals."""

    def __post_init__(self) -> None:
        within("alpha", self.alpha, 0, float("inf"))
        within("target_noise", self.target_noise, 0, float("inf"))
        within("noise_clip", self.noise_clip, 0, float("inf"))
        within("discount", self.discount, 0, 1)
        within("polyak", self.polyak, 0, 1, open_low=True)
        within("learning_rate", self.learning_rate, 0, 1, open_low=True)


class TD3BC(Algorithm):
    """Twin Q and a deterministic policy, both with Polyak targets."""

    Config = TD3BCConfig
    metrics: ClassVar[tuple[str, ...]] = ("critic_loss", "actor_loss")
    period: ClassVar[int] = 2
    config: TD3BCConfig
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("antmaze-*",), {"reward_transform": "minus_one"}, "CORL configs, commit eeeeef26"),
    )

    def build(self) -> None:
        """Q_1, Q_2 as an ensemble of two, the policy, and the targets of both."""
        c, sizes = self.config, self.sizes
        self.critic = MLP(sizes.observation + sizes.action, c.hidden, 1, members=2)
        self.first_critic = replace(self.critic, members=None)
        self.actor = TanhMeanPolicy(MLP(sizes.observation, c.hidden, sizes.action))
        critic, actor = self.critic.initialise(self.seeds, "critic"), self.actor.initialise(self.seeds, "actor")
        self.add("critic", critic, c.learning_rate)
        self.add("target_critic", copy(critic), None)
        self.add("actor", actor, c.learning_rate)
        self.add("target_actor", copy(actor), None)

    def noise(self) -> Mapping[str, tuple[int, ...]]:
        """One perturbation of the target policy's action at each s'."""
        return {"target_action": (self.config.batch_size, self.sizes.action)}

    def critic_loss(self, networks: Networks, batch: Batch) -> Metrics:
        """L_Q = sum_i E (Q_i(s, a) - y)^2 with the target of TD3."""
        c = self.config
        s, a, r, s_next, terminal = batch[:5]
        with torch.no_grad():
            # a' = clip(pi'(s') + clip(epsilon, -c, c), -1, 1), epsilon ~ N(0, sigma^2)
            epsilon = (c.target_noise * batch.noise["target_action"]).clamp(-c.noise_clip, c.noise_clip)
            a_next = (self.actor.mean(self.networks["target_actor"], s_next) + epsilon).clamp(-1, 1)
            q_next = self.critic(self.networks["target_critic"], torch.cat([s_next, a_next], -1))[..., 0].amin(1)
            y = r + c.discount * (1 - terminal) * q_next  # (seeds, batch)
        q = self.critic(networks["critic"], torch.cat([s, a], -1))[..., 0]  # (seeds, 2, batch)
        return {"critic_loss": ((q - y.unsqueeze(1)) ** 2).mean(-1).sum(1)}

    def actor_loss(self, networks: Networks, batch: Batch) -> Metrics:
        """L_pi = -lambda E Q_1(s, pi(s)) + E (pi(s) - a)^2; the square is a mean over action dimensions."""
        s, a = batch.observations, batch.actions
        pi = self.actor.mean(networks["actor"], s)
        q = self.first_critic(member(self.networks["critic"], 0), torch.cat([s, pi], -1))[..., 0]
        # lambda = alpha / E |Q_1(s, pi(s))|, a number as far as gradients are concerned
        weight = self.config.alpha / q.detach().abs().mean(-1)
        return {"actor_loss": -weight * q.mean(-1) + ((pi - a) ** 2).mean((-2, -1))}

    def update(self, batch: Batch) -> Metrics:
        """One Adam step of Q; every second time one of the policy, after which all targets follow."""
        metrics = self.descend(self.critic_loss, ["critic"], batch)
        if self.phase == 1:
            metrics |= self.descend(self.actor_loss, ["actor"], batch)
            polyak(self.networks["target_critic"], self.networks["critic"], self.config.polyak)
            polyak(self.networks["target_actor"], self.networks["actor"], self.config.polyak)
        return metrics

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """pi(s)."""
        return self.actor.mean(self.networks["actor"], observations)
