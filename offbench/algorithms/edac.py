"""Ensemble-Diversified Actor-Critic (EDAC), An et al. 2021 (arXiv 2110.01548).

SAC-N needs many critics because their gradients in the action point the same way, and then no direction leads out of
the data into disagreement. EDAC penalises the cosine between these gradients and needs a tenth of the critics.

Update order and constants are CORL's (commit eeeeef26), whose published scores we quote: temperature, policy, critics,
targets, each with what the one before has already updated. CORL's published runs make 3 million updates. The authors
standardise the rewards of Adroit, use a policy learning rate of 3e-5 there, and back up the largest of several Q for
pen-cloned; CORL does not.
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
from offbench.nn.ensembles import SLOPE_EPSILON, initialise_critics, similarity
from offbench.nn.mlp import MLP
from offbench.nn.policies import SquashedGaussianPolicy


@dataclass(frozen=True)
class EDACConfig:
    """Hyperparameters of EDAC."""

    critics: int = 10
    """N."""
    diversity: float = 1.0
    """eta, the weight of the cosine between the critics' gradients."""
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
        within("critics", self.critics, 2, 10_000)
        within("diversity", self.diversity, 0, float("inf"))
        within("discount", self.discount, 0, 1)
        within("polyak", self.polyak, 0, 1, open_low=True)
        within("learning_rate", self.learning_rate, 0, 1, open_low=True)
        within("lower log_std_range", self.log_std_range[0], -100, self.log_std_range[1])


_CORL = "CORL configs, commit eeeeef26"


class EDAC(Algorithm):
    """N critics with Polyak targets, a squashed Gaussian policy, a temperature that holds its entropy at -actions."""

    Config = EDACConfig
    metrics: ClassVar[tuple[str, ...]] = ("temperature_loss", "actor_loss", "critic_loss")
    config: EDACConfig
    quick: ClassVar[Mapping[str, Any]] = {"critics": 3}
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("halfcheetah-medium-expert-v*", "walker2d-medium-expert-v*"), {"critics": 10, "diversity": 5.0}, _CORL),
        Preset(("halfcheetah-medium-*", "walker2d-medium-*", "antmaze-*"), {"critics": 10, "diversity": 1.0}, _CORL),
        Preset(("hopper-medium-*",), {"critics": 50, "diversity": 1.0}, _CORL),
        Preset(("maze2d-*",), {"critics": 10, "diversity": 0.1}, _CORL),
        Preset(("pen-human-v*",), {"critics": 20, "diversity": 1000.0}, _CORL),
        Preset(("pen-*",), {"critics": 20, "diversity": 10.0}, _CORL),
        Preset(("door-*", "hammer-*", "relocate-*"), {"critics": 50, "diversity": 200.0}, _CORL),
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
        """L_Q = sum_i E (Q_i(s, a) - y)^2 + eta L_ES, L_ES the mean cosine of dQ_i/da."""
        s, a, r, s_next, terminal = batch[:5]
        with torch.no_grad():
            # y = r + gamma (min_i Q'_i(s', a') - alpha log pi(a' | s')), a' ~ pi(s')
            alpha = torch.exp(self.networks["temperature"]["log"])
            a_next, log_prob = self.actor.sample(self.networks["actor"], s_next, batch.noise["next_action"])
            q_next = self.critic(self.networks["target_critic"], torch.cat([s_next, a_next], -1))[..., 0].amin(1)
            y = r + self.config.discount * (1 - terminal) * (q_next - alpha * log_prob)
        sa, actions = torch.cat([s, a], -1), self.sizes.observation
        q, gradients = self.critic.with_input_gradient(networks["critic"], sa, first=actions)
        error = ((q[..., 0] - y.unsqueeze(1)) ** 2).mean(-1).sum(1)
        return {"critic_loss": error + self.config.diversity * similarity(gradients)}

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
