"""ReBRAC: TD3+BC with a penalty in the target too, Tarasov et al. 2023 (arXiv 2305.09836).

Both the policy and the value that Q bootstraps from pay for the squared distance to the data's actions, each with a
weight of its own; the second needs the action that follows in the data. Deeper networks and layer normalisation in
the critics are part of the method.

Update order and constants are CORL's (the authors' own; commit eeeeef26), whose published scores we quote: the policy
and the targets move in the first of every two updates, the policy's target towards the policy before its step. The data
loader there takes the action of the next row, of another episode after a termination (where it does not count), and
leaves out the last step of a truncated episode, which has no next action; here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import Algorithm, Metrics, Networks, Preset, View, copy, polyak, within
from offbench.data.scaling import RewardTransform
from offbench.data.transitions import Batch, Transitions
from offbench.nn.mlp import MLP
from offbench.nn.policies import TanhMeanPolicy


@dataclass(frozen=True)
class ReBRACConfig:
    """Hyperparameters of ReBRAC. The two penalties' defaults are the commonest of the presets."""

    actor_penalty: float = 0.01
    """beta_1, weight of the squared distance to the data's action in the policy's loss."""
    critic_penalty: float = 0.01
    """beta_2, weight of the squared distance to the data's next action in the target of Q."""
    target_noise: float = 0.2
    """Standard deviation of the noise on the target policy's actions."""
    noise_clip: float = 0.5
    """Bound of that noise."""
    discount: float = 0.99
    """gamma."""
    polyak: float = 0.005
    """Share of the new networks in each move of their targets."""
    hidden: tuple[int, ...] = (256, 256, 256)
    """Sizes of the hidden layers of all networks."""
    layer_norm: bool = True
    """Normalise the critics' hidden layers."""
    learning_rate: float = 1e-3
    """Learning rate of Adam for the policy."""
    critic_learning_rate: float = 1e-3
    """Learning rate of Adam for Q."""
    batch_size: int = 1024
    """Transitions a seed in one update."""
    normalise_states: bool = False
    """Standardise states by their mean and standard deviation over the data."""
    reward_transform: RewardTransform = "none"
    """return_range: times 1000 / (highest - lowest return); minus_one: r - 1; times_100: 100 r, for sparse goals."""

    def __post_init__(self) -> None:
        within("actor_penalty", self.actor_penalty, 0, float("inf"))
        within("critic_penalty", self.critic_penalty, 0, float("inf"))
        within("target_noise", self.target_noise, 0, float("inf"))
        within("noise_clip", self.noise_clip, 0, float("inf"))
        within("discount", self.discount, 0, 1)
        within("polyak", self.polyak, 0, 1, open_low=True)
        within("learning_rate", self.learning_rate, 0, 1, open_low=True)
        within("critic_learning_rate", self.critic_learning_rate, 0, 1, open_low=True)


# Penalties of policy and Q for each dataset.
_LOCOMOTION = {
    "halfcheetah-random": (0.001, 0.1),
    "halfcheetah-medium": (0.001, 0.01),
    "halfcheetah-expert": (0.01, 0.01),
    "halfcheetah-medium-expert": (0.01, 0.1),
    "halfcheetah-medium-replay": (0.01, 0.001),
    "halfcheetah-full-replay": (0.001, 0.1),
    "hopper-random": (0.001, 0.01),
    "hopper-medium": (0.01, 0.01),
    "hopper-expert": (0.1, 0.1),
    "hopper-medium-expert": (0.1, 0.01),
    "hopper-medium-replay": (0.05, 0.5),
    "hopper-full-replay": (0.01, 0.01),
    "walker2d-random": (0.01, 0.0),
    "walker2d-medium": (0.05, 0.1),
    "walker2d-expert": (0.01, 0.5),
    "walker2d-medium-expert": (0.01, 0.01),
    "walker2d-medium-replay": (0.05, 0.01),
    "walker2d-full-replay": (0.01, 0.01),
}
_ANTMAZE = {
    "antmaze-umaze": (0.003, 0.002),
    "antmaze-umaze-diverse": (0.003, 0.001),
    "antmaze-medium-play": (0.001, 0.0005),
    "antmaze-medium-diverse": (0.001, 0.0),
    "antmaze-large-play": (0.002, 0.001),
    "antmaze-large-diverse": (0.002, 0.002),
}
_MAZE2D_ADROIT = {
    "maze2d-umaze": (0.003, 0.001),
    "maze2d-medium": (0.003, 0.001),
    "maze2d-large": (0.003, 0.001),
    "pen-human": (0.1, 0.5),
    "pen-cloned": (0.05, 0.5),
    "pen-expert": (0.01, 0.01),
    "door-human": (0.1, 0.1),
    "door-cloned": (0.01, 0.1),
    "door-expert": (0.05, 0.01),
    "hammer-human": (0.01, 0.5),
    "hammer-cloned": (0.1, 0.5),
    "hammer-expert": (0.01, 0.01),
    "relocate-human": (0.1, 0.01),
    "relocate-cloned": (0.1, 0.01),
    "relocate-expert": (0.05, 0.01),
}
_SMALL = {"learning_rate": 3e-4, "critic_learning_rate": 3e-4, "batch_size": 256}
_SPARSE = _SMALL | {"critic_learning_rate": 5e-5, "discount": 0.999, "reward_transform": "times_100"}


def _presets(penalties: Mapping[str, tuple[float, float]], shared: Mapping[str, Any]) -> tuple[Preset, ...]:
    made = []
    for name, (actor, critic) in penalties.items():
        values = {"actor_penalty": actor, "critic_penalty": critic, **shared}
        made.append(Preset((f"{name}-v*",), values, "CORL configs, commit eeeeef26"))
    return tuple(made)


class ReBRAC(Algorithm):
    """Twin Q and a deterministic policy, both with Polyak targets."""

    Config = ReBRACConfig
    metrics: ClassVar[tuple[str, ...]] = ("critic_loss", "actor_loss")
    period: ClassVar[int] = 2
    view: ClassVar[Callable[..., View]] = partial(Transitions, next_actions=True)
    config: ReBRACConfig
    presets: ClassVar[tuple[Preset, ...]] = (
        _presets(_LOCOMOTION, {}) + _presets(_ANTMAZE, _SPARSE) + _presets(_MAZE2D_ADROIT, _SMALL)
    )

    def build(self) -> None:
        """Q_1, Q_2 as an ensemble of two, the policy, and the targets of both."""
        c, sizes = self.config, self.sizes
        self.critic = MLP(
            sizes.observation + sizes.action, c.hidden, 1, members=2, layer_norm=c.layer_norm, norm_epsilon=1e-6
        )
        self.actor = TanhMeanPolicy(MLP(sizes.observation, c.hidden, sizes.action))
        critic = self.critic.initialise(self.seeds, "critic", hidden_bias=0.1, output_bound=3e-3)
        actor = self.actor.network.initialise(self.seeds, "actor", hidden_bias=0.1, output_bound=1e-3)
        self.add("critic", critic, c.critic_learning_rate)
        self.add("target_critic", copy(critic), None)
        self.add("actor", actor, c.learning_rate)
        self.add("target_actor", copy(actor), None)

    def noise(self) -> Mapping[str, tuple[int, ...]]:
        """One perturbation of the target policy's action at each s'."""
        return {"target_action": (self.config.batch_size, self.sizes.action)}

    def critic_loss(self, networks: Networks, batch: Batch) -> Metrics:
        """L_Q = sum_i E (Q_i(s, a) - y)^2 with a penalised target."""
        c = self.config
        s, a, r, s_next, terminal = batch[:5]
        assert batch.next_actions is not None
        with torch.no_grad():
            # y = r + gamma (min_i Q'_i(s', a') - beta_2 |a' - a'_data|^2), a' = clip(pi'(s') + clipped noise, -1, 1)
            epsilon = (c.target_noise * batch.noise["target_action"]).clamp(-c.noise_clip, c.noise_clip)
            a_next = (self.actor.mean(self.networks["target_actor"], s_next) + epsilon).clamp(-1, 1)
            q_next = self.critic(self.networks["target_critic"], torch.cat([s_next, a_next], -1))[..., 0].amin(1)
            penalty = ((a_next - batch.next_actions) ** 2).sum(-1)
            y = r + c.discount * (1 - terminal) * (q_next - c.critic_penalty * penalty)  # (seeds, batch)
        q = self.critic(networks["critic"], torch.cat([s, a], -1))[..., 0]  # (seeds, 2, batch)
        return {"critic_loss": ((q - y.unsqueeze(1)) ** 2).mean(-1).sum(1)}

    def actor_loss(self, networks: Networks, batch: Batch) -> Metrics:
        """L_pi = E (beta_1 |pi(s) - a|^2 - lambda min_i Q_i(s, pi(s))), lambda = 1 / E |min_i Q_i|."""
        s, a = batch.observations, batch.actions
        pi = self.actor.mean(networks["actor"], s)
        q = self.critic(self.networks["critic"], torch.cat([s, pi], -1))[..., 0].amin(1)
        weight = 1 / q.detach().abs().mean(-1)
        penalty = ((pi - a) ** 2).sum(-1).mean(-1)  # a sum over action dimensions, where TD3+BC has a mean
        return {"actor_loss": self.config.actor_penalty * penalty - weight * q.mean(-1)}

    def update(self, batch: Batch) -> Metrics:
        """One Adam step of Q; every second time one of the policy, and all targets follow."""
        metrics = self.descend(self.critic_loss, ["critic"], batch)
        if self.phase == 0:
            polyak(self.networks["target_actor"], self.networks["actor"], self.config.polyak)
            metrics |= self.descend(self.actor_loss, ["actor"], batch)
            polyak(self.networks["target_critic"], self.networks["critic"], self.config.polyak)
        return metrics

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """pi(s)."""
        return self.actor.mean(self.networks["actor"], observations)
