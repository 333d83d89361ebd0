"""Extreme Q-Learning (XQL), Garg et al. 2023 (arXiv 2301.02328).

As IQL, but V(s) is the soft maximum T log E exp(Q(s, a) / T) over the actions in the data: the maximum of many noisy
values is Gumbel-distributed, and V is found by regression under that distribution, without sampling actions.

Update order, constants and initialisation are those of the authors' code (Div99/XQL), in its "consistent" settings of
one temperature a domain. Its tuned settings change the temperature by dataset and add noisy or random actions to V's
batch; they are not presets here. Layer normalisation in V is part of the method's stability, as are the bound on the
exponent and the division by the largest exponential of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import Algorithm, Metrics, Networks, Preset, copy, polyak, within
from offbench.data.scaling import RewardTransform
from offbench.data.transitions import Batch
from offbench.nn.mlp import MLP, Initialisation
from offbench.nn.noise import dropout_masks
from offbench.nn.policies import TanhMeanPolicy

MAX_WEIGHT = 100.0  # exp(beta A) is clipped here, after the exponential
HUBER = 20.0  # errors of Q above this count linearly


@dataclass(frozen=True)
class XQLConfig:
    """Hyperparameters of XQL."""

    temperature: float = 2.0
    """T of the soft maximum: towards 0 the maximum over the data's actions, large their mean."""
    largest_exponent: float = 7.0
    """(Q - V) / T is clipped here before the exponential."""
    beta: float = 3.0
    """Inverse temperature of the policy's weights exp(beta A); larger is greedier."""
    discount: float = 0.99
    """gamma."""
    polyak: float = 0.005
    """Share of the new Q in each move of the target Q."""
    hidden: tuple[int, ...] = (256, 256)
    """Sizes of the hidden layers of all networks."""
    layer_norm: bool = True
    """Normalise V's hidden layers."""
    learning_rate: float = 3e-4
    """Learning rate of Adam for Q, V and policy."""
    actor_schedule: Literal["constant", "cosine"] = "cosine"
    """The policy's learning rate falls to 0 along a cosine over the whole run, or stays."""
    log_std_range: tuple[float, float] = (-5.0, 2.0)
    """Bounds of the policy's log standard deviation."""
    dropout: float = 0.0
    """Share of the policy's hidden units dropped in training."""
    initialisation: Initialisation = "orthogonal"
    """Weights as torch.nn.Linear draws them, or orthogonal with gain sqrt(2)."""
    batch_size: int = 256
    """Transitions a seed in one update."""
    normalise_states: bool = False
    """Standardise states by their mean and standard deviation over the data."""
    reward_transform: RewardTransform = "none"
    """return_range: times 1000 / (highest - lowest return); minus_one: r - 1, for sparse goals."""

    def __post_init__(self) -> None:
        within("temperature", self.temperature, 0, float("inf"), open_low=True)
        within("largest_exponent", self.largest_exponent, 0, 80, open_low=True)
        within("discount", self.discount, 0, 1)
        within("polyak", self.polyak, 0, 1, open_low=True)
        within("learning_rate", self.learning_rate, 0, 1, open_low=True)
        within("dropout", self.dropout, 0, 1, open_high=True)
        within("lower log_std_range", self.log_std_range[0], -100, self.log_std_range[1])


_AUTHORS = "Div99/XQL, offline/reproduce, consistent settings"


class XQL(Algorithm):
    """Twin Q with Polyak targets, one V without a target, one policy."""

    Config = XQLConfig
    metrics: ClassVar[tuple[str, ...]] = ("value_loss", "critic_loss", "actor_loss")
    config: XQLConfig
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(
            ("halfcheetah-*", "hopper-*", "walker2d-*"),
            {"temperature": 2.0, "reward_transform": "return_range"},
            _AUTHORS,
        ),
        Preset(
            ("antmaze-*",),
            {"temperature": 0.6, "beta": 10.0, "actor_schedule": "constant", "reward_transform": "minus_one"},
            _AUTHORS,
        ),
        Preset(
            ("pen-*", "door-*", "hammer-*", "relocate-*", "kitchen-*"),
            {"temperature": 5.0, "beta": 0.5, "dropout": 0.1},
            _AUTHORS,
        ),
    )

    def build(self) -> None:
        """Q_1, Q_2 as an ensemble of two, their targets, V and the policy."""
        c, sizes = self.config, self.sizes
        self.critic = MLP(sizes.observation + sizes.action, c.hidden, 1, members=2)
        self.value = MLP(sizes.observation, c.hidden, 1, layer_norm=c.layer_norm, norm_first=True, norm_epsilon=1e-6)
        self.actor = TanhMeanPolicy(MLP(sizes.observation, c.hidden, sizes.action), c.log_std_range)
        critic = self.critic.initialise(self.seeds, "critic", c.initialisation)
        self.add("critic", critic, c.learning_rate)
        self.add("target_critic", copy(critic), None)
        self.add("value", self.value.initialise(self.seeds, "value", c.initialisation), c.learning_rate)
        actor = self.actor.initialise(self.seeds, "actor", c.initialisation)
        self.add("actor", actor, c.learning_rate, c.actor_schedule)

    def value_loss(self, networks: Networks, batch: Batch) -> Metrics:
        """L_V = E gumbel((min_i Q'_i(s, a) - V(s)) / T)."""
        v = self.value(networks["value"], batch.observations)[..., 0]
        error = (self._target_value(batch) - v) / self.config.temperature
        return {"value_loss": gumbel_loss(error, self.config.largest_exponent).mean(-1)}

    def other_losses(self, networks: Networks, batch: Batch) -> Metrics:
        """The losses of Q and policy, with the V that was just moved."""
        c = self.config
        s, a, r, s_next, terminal = batch[:5]
        with torch.no_grad():
            v, v_next = (self.value(self.networks["value"], states)[..., 0] for states in (s, s_next))
            y = r + c.discount * (1 - terminal) * v_next
            weight = torch.exp(c.beta * (self._target_value(batch) - v)).clamp(max=MAX_WEIGHT)
        # L_Q = sum_i E huber(r + gamma V(s') - Q_i(s, a)); the paper has the square
        q = self.critic(networks["critic"], torch.cat([s, a], -1))[..., 0]  # (seeds, 2, batch)
        critic_loss = torch.nn.functional.huber_loss(q, y.unsqueeze(1).expand_as(q), reduction="none", delta=HUBER)

        # L_pi = E exp(beta (Q' - V)) (-log pi(a | s))
        masks = dropout_masks(self.keys, self.count, c.hidden, s.shape[1], c.dropout) if c.dropout > 0 else None
        log_prob = self.actor.log_prob(networks["actor"], self.actor.mean(networks["actor"], s, masks), a)
        return {"critic_loss": critic_loss.mean(-1).sum(1), "actor_loss": -(weight * log_prob).mean(-1)}

    def _target_value(self, batch: Batch) -> Float[Tensor, "seeds batch"]:
        """min_i Q'_i(s, a), without a gradient."""
        with torch.no_grad():
            sa = torch.cat([batch.observations, batch.actions], -1)
            return self.critic(self.networks["target_critic"], sa)[..., 0].amin(1)

    def update(self, batch: Batch) -> Metrics:
        """One Adam step of V, one of Q and policy with the new V, then the target Q follows the new Q."""
        metrics = self.descend(self.value_loss, ["value"], batch)
        metrics |= self.descend(self.other_losses, ["critic", "actor"], batch)
        polyak(self.networks["target_critic"], self.networks["critic"], self.config.polyak)
        return metrics

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """The mean of the policy, nothing dropped."""
        return self.actor.mean(self.networks["actor"], observations)


def gumbel_loss(z: Float[Tensor, "seeds batch"], largest: float) -> Float[Tensor, "seeds batch"]:
    """(e^z - z - 1) / e^m for z clipped above, m the largest z of a seed's batch or -1 if that is less.

    Over a constant shift of z the mean is least where the mean of e^z is 1; m scales all gradients of a batch alike.
    """
    z = z.clamp(max=largest)
    m = z.detach().amax(-1, keepdim=True).clamp(min=-1)
    return torch.exp(z - m) - (z + 1) * torch.exp(-m)
