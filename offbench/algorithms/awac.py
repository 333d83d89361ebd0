"""Advantage-Weighted Actor-Critic (AWAC), Nair et al. 2020 (arXiv 2006.09359).

Q is that of the policy itself; the policy imitates the data's actions in proportion to exp(advantage / lambda), so that
it never needs the density of the data.

Update order and constants are CORL's (commit eeeeef26), whose published scores we quote: Q first, then the policy with
the new Q, then the targets. The authors' code (rlkit) normalises the weights over the batch; CORL clips them at 100.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import Algorithm, Metrics, Networks, Preset, copy, polyak, within
from offbench.data.scaling import RewardTransform
from offbench.data.transitions import Batch
from offbench.nn.mlp import MLP, Parameters
from offbench.nn.policies import GaussianPolicy

MAX_WEIGHT = 100.0  # exp(A / lambda) is clipped here, after the exponential


@dataclass(frozen=True)
class AWACConfig:
    """Hyperparameters of AWAC."""

    temperature: float = 1 / 3
    """lambda of the weights exp(A / lambda); smaller is greedier."""
    discount: float = 0.99
    """gamma."""
    polyak: float = 0.005
    """Share of the new Q in each move of the target Q."""
    hidden: tuple[int, ...] = (256, 256, 256)
    """Sizes of the hidden layers of all networks."""
    learning_rate: float = 3e-4
    """Learning rate of Adam for Q and policy."""
    log_std_range: tuple[float, float] = (-20.0, 2.0)
    """Bounds of the policy's log standard deviation."""
    batch_size: int = 256
    """Transitions a seed in one update."""
    normalise_states: bool = True
    """Standardise states by their mean and standard deviation over the data."""
    reward_transform: RewardTransform = "none"
    """return_range: times 1000 / (highest - lowest return); minus_one: r - 1, for sparse goals."""

    def __post_init__(self) -> None:
        within("temperature", self.temperature, 0, float("inf"), open_low=True)
        within("discount", self.discount, 0, 1)
        within("polyak", self.polyak, 0, 1, open_low=True)
        within("learning_rate", self.learning_rate, 0, 1, open_low=True)
        within("lower log_std_range", self.log_std_range[0], -100, self.log_std_range[1])


_CORL = "CORL configs, commit eeeeef26"


class AWAC(Algorithm):
    """Twin Q with Polyak targets and a Gaussian policy, whose mean is free and whose samples are clipped."""

    Config = AWACConfig
    metrics: ClassVar[tuple[str, ...]] = ("critic_loss", "actor_loss")
    config: AWACConfig
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("antmaze-*",), {"temperature": 0.1, "reward_transform": "minus_one"}, _CORL),
        Preset(("maze2d-*", "pen-*", "door-*", "hammer-*", "relocate-*"), {"temperature": 0.1}, _CORL),
    )

    def build(self) -> None:
        """Q_1, Q_2 as an ensemble of two, their targets and the policy."""
        c, sizes = self.config, self.sizes
        self.critic = MLP(sizes.observation + sizes.action, c.hidden, 1, members=2)
        self.actor = GaussianPolicy(MLP(sizes.observation, c.hidden, sizes.action), c.log_std_range)
        critic = self.critic.initialise(self.seeds, "critic")
        self.add("critic", critic, c.learning_rate)
        self.add("target_critic", copy(critic), None)
        self.add("actor", self.actor.initialise(self.seeds, "actor"), c.learning_rate)

    def noise(self) -> Mapping[str, tuple[int, ...]]:
        """One action at s' for the target and one at s for the value."""
        shape = (self.config.batch_size, self.sizes.action)
        return {"next_action": shape, "policy_action": shape}

    def critic_loss(self, networks: Networks, batch: Batch) -> Metrics:
        """L_Q = sum_i E (Q_i(s, a) - r - gamma min_j Q'_j(s', a'))^2 with a' ~ pi(s')."""
        s, a, r, s_next, terminal = batch[:5]
        with torch.no_grad():
            a_next = self.actor.sample(self.networks["actor"], s_next, batch.noise["next_action"])
            q_next = self._value(self.networks["target_critic"], s_next, a_next)
            y = r + self.config.discount * (1 - terminal) * q_next  # (seeds, batch)
        q = self.critic(networks["critic"], torch.cat([s, a], -1))[..., 0]  # (seeds, 2, batch)
        return {"critic_loss": ((q - y.unsqueeze(1)) ** 2).mean(-1).sum(1)}

    def actor_loss(self, networks: Networks, batch: Batch) -> Metrics:
        """L_pi = -E exp(A(s, a) / lambda) log pi(a | s)."""
        s, a = batch.observations, batch.actions
        log_prob = self.actor.log_prob(networks["actor"], s, a)
        return {"actor_loss": -(self.weights(batch) * log_prob).mean(-1)}

    def weights(self, batch: Batch) -> Float[Tensor, "seeds batch"]:
        """min(exp(A / lambda), 100) with A = min_i Q_i(s, a) - min_i Q_i(s, a~), a~ ~ pi(s)."""
        s, critic = batch.observations, self.networks["critic"]
        with torch.no_grad():
            sampled = self.actor.sample(self.networks["actor"], s, batch.noise["policy_action"])
            advantage = self._value(critic, s, batch.actions) - self._value(critic, s, sampled)
            return torch.exp(advantage / self.config.temperature).clamp(max=MAX_WEIGHT)

    def _value(
        self, critic: Parameters, s: Float[Tensor, "seeds batch observation"], a: Float[Tensor, "seeds batch action"]
    ) -> Float[Tensor, "seeds batch"]:
        """The smaller Q."""
        return self.critic(critic, torch.cat([s, a], -1))[..., 0].amin(1)

    def update(self, batch: Batch) -> Metrics:
        """One Adam step of Q, one of the policy with the new Q, then the target Q follows."""
        metrics = self.descend(self.critic_loss, ["critic"], batch)
        metrics |= self.descend(self.actor_loss, ["actor"], batch)
        polyak(self.networks["target_critic"], self.networks["critic"], self.config.polyak)
        return metrics

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """The mean of the policy, clipped."""
        return self.actor.mode(self.networks["actor"], observations)
