"""SAC-N: soft actor-critic whose target is the minimum of N critics, An et al. 2021 (arXiv 2110.01548).

Where the data hold few actions the N critics disagree, and the smallest of them is far below their mean: pessimism that
needs no model of the data. The more critics, the more pessimistic.

Update order and constants are CORL's (commit eeeeef26), whose published scores we quote: temperature, policy, critics,
targets, each with what the one before has already updated. CORL's published runs make 3 million updates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import Algorithm, Metrics, Networks, Preset, copy, polyak, within
from offbench.data.scaling import RewardTransform
from offbench.data.transitions import Batch
from offbench.nn.ensembles import SLOPE_EPSILON, initialise_critics
from offbench.nn.mlp import MLP
from offbench.nn.policies import SquashedGaussianPolicy


@dataclass(frozen=True)
class SACNConfig:
    """Hyperparameters of SAC-N."""

    critics: int = 10
    """N."""
    discount: float = 0.99
    """gamma."""
    polyak: float = 0.005
    """Share of the new Q in each move of the target Q."""
    hidden: tuple[int, ...] = (256, 256, 256)
    """Sizes of the hidden layers of all networks."""
    learning_rate: float = 3e-4
    """Learning rate of Adam for critics, policy and temperature."""
    log_std_range: tuple[float, float] = (-5.0, 2.0)
    """Bounds of the policy's log standard deviation."""
    batch_size: int = 256
    """Transitions a seed in one update."""
    normalise_states: bool = False
    """Standardise states by their mean and standard deviation over the data."""
    reward_transform: RewardTransform = "none"
    """return_range: times 1000 / (highest - lowest return); minus_one: r - 1, for sparse goals."""

    def __post_init__(self) -> None:
        within("critics", self.critics, 1, 10_000)
        within("discount", self.discount, 0, 1)
        within("polyak", self.polyak, 0, 1, open_low=True)
        within("learning_rate", self.learning_rate, 0, 1, open_low=True)
        within("lower log_std_range", self.log_std_range[0], -100, self.log_std_range[1])


_CORL = "CORL configs, commit eeeeef26"


class SACN(Algorithm):
    """N critics with Polyak targets, a squashed Gaussian policy, a temperature that holds its entropy at -actions."""

    Config = SACNConfig
    metrics: ClassVar[tuple[str, ...]] = ("temperature_loss", "actor_loss", "critic_loss")
    config: SACNConfig
    quick: ClassVar[Mapping[str, Any]] = {"critics": 3}
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("halfcheetah-medium-*",), {"critics": 10}, _CORL),
        Preset(("hopper-medium-v*",), {"critics": 500}, _CORL),
        Preset(("hopper-medium-replay-v*", "hopper-medium-expert-v*"), {"critics": 200}, _CORL),
        Preset(("walker2d-medium-*",), {"critics": 20}, _CORL),
        Preset(("antmaze-*", "maze2d-*"), {"critics": 25}, _CORL),
        Preset(("pen-*", "door-*", "hammer-*", "relocate-*"), {"critics": 100}, _CORL),
    )

    def build(self) -> None:
        """Q_1 ... Q_N as an ensemble, their targets, the policy and the logarithm of the temperature."""
        c, sizes = self.config, self.sizes
        self.critic = MLP(sizes.observation + sizes.action, c.hidden, 1, members=c.critics)
        self.actor = SquashedGaussianPolicy(
            MLP(sizes.observation, c.hidden, 2 * sizes.action), c.log_std_range, slope_epsilon=SLOPE_EPSILON
        )
        critic = initialise_critics(self.critic, self.seeds, "critic")
        actor = self.actor.initialise(self.seeds, "actor", hidden_bias=0.1, output_bound=1e-3)
        self.add("critic", critic, c.learning_rate)
        self.add("target_critic", copy(critic), None)
        self.add("actor", actor, c.learning_rate)
        self.add("temperature", {"log": torch.zeros(len(self.seeds), 1, dtype=torch.float64)}, c.learning_rate)

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
        """L_Q = sum_i E (Q_i(s, a) - y)^2."""
        s, a, r, s_next, terminal = batch[:5]
        with torch.no_grad():
            # y = r + gamma (min_i Q'_i(s', a') - alpha log pi(a' | s')), a' ~ pi(s')
            alpha = torch.exp(self.networks["temperature"]["log"])
            a_next, log_prob = self.actor.sample(self.networks["actor"], s_next, batch.noise["next_action"])
            q_next = self.critic(self.networks["target_critic"], torch.cat([s_next, a_next], -1))[..., 0].amin(1)
            y = r + self.config.discount * (1 - terminal) * (q_next - alpha * log_prob)
        q = self.critic(networks["critic"], torch.cat([s, a], -1))[..., 0]  # (seeds, N, batch)
        return {"critic_loss": ((q - y.unsqueeze(1)) ** 2).mean(-1).sum(1)}

    def update(self, batch: Batch) -> Metrics:
        """One Adam step of the temperature, one of the policy, one of the critics, then their targets follow."""
        metrics = self.descend(self.temperature_loss, ["temperature"], batch)
        metrics |= self.descend(self.actor_loss, ["actor"], batch)
        metrics |= self.descend(self.critic_loss, ["critic"], batch)
        polyak(self.networks["target_critic"], self.networks["critic"], self.config.polyak)
        return metrics

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """The mode of the policy."""
        return self.actor.mode(self.networks["actor"], observations)
