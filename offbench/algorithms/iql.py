"""Implicit Q-Learning (IQL), Kostrikov, Nair and Levine 2021 (arXiv 2110.06169).

V(s) is an upper expectile of Q(s, a) over the actions in the data, so that it approaches the value of the best of
them without ever evaluating an action that the data does not hold; Q bootstraps from V; the policy imitates actions
in proportion to exp(beta advantage).

Update order and constants are CORL's (commit eeeeef26), whose published scores we quote: all three losses use the
parameters before the step. The official code updates V first and uses the new V in the other two, averages no Q
losses (twice ours), and initialises orthogonally (``initialisation="orthogonal"``); both orders reach the published
scores.
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
from offbench.nn.expectiles import expectile_loss
from offbench.nn.mlp import MLP, Initialisation, Parameters
from offbench.nn.noise import dropout_masks
from offbench.nn.policies import TanhMeanPolicy

MAX_WEIGHT = 100.0  # exp(beta A) is clipped here, after the exponential


@dataclass(frozen=True)
class IQLConfig:
    """Hyperparameters of IQL."""

    expectile: float = 0.7
    """tau: 0.5 makes V the mean of Q over the data's actions, 1 their maximum."""
    beta: float = 3.0
    """Inverse temperature of the policy's weights exp(beta A); larger is greedier."""
    discount: float = 0.99
    """gamma."""
    polyak: float = 0.005
    """Share of the new Q in each move of the target Q."""
    hidden: tuple[int, ...] = (256, 256)
    """Sizes of the hidden layers of all networks."""
    learning_rate: float = 3e-4
    """Learning rate of Adam for Q, V and policy."""
    actor_schedule: Literal["constant", "cosine"] = "cosine"
    """The policy's learning rate falls to 0 along a cosine over the whole run, or stays."""
    actor: Literal["gaussian", "deterministic"] = "gaussian"
    """Weighted log-likelihood of a Gaussian, or weighted squared error of a deterministic policy."""
    log_std_range: tuple[float, float] = (-20.0, 2.0)
    """Bounds of the Gaussian's log standard deviation (official: -5, 2)."""
    dropout: float = 0.0
    """Share of the policy's hidden units dropped in training."""
    initialisation: Initialisation = "torch"
    """Weights as torch.nn.Linear draws them, or orthogonal with gain sqrt(2)."""
    batch_size: int = 256
    """Transitions a seed in one update."""
    normalise_states: bool = True
    """Standardise states by their mean and standard deviation over the data."""
    reward_transform: RewardTransform = "none"
    """return_range: times 1000 / (highest - lowest return); minus_one: r - 1, for sparse goals."""

    def __post_init__(self) -> None:
        within("expectile", self.expectile, 0, 1, open_low=True, open_high=True)
        within("beta", self.beta, 0, float("inf"))
        within("learning_rate", self.learning_rate, 0, 1, open_low=True)
        within("discount", self.discount, 0, 1)
        within("polyak", self.polyak, 0, 1, open_low=True)
        within("dropout", self.dropout, 0, 1, open_high=True)
        within("lower log_std_range", self.log_std_range[0], -100, self.log_std_range[1])


_CORL = "CORL configs, commit eeeeef26"


class IQL(Algorithm):
    """Twin Q with Polyak targets, one V without a target, one policy."""

    Config = IQLConfig
    metrics: ClassVar[tuple[str, ...]] = ("value_loss", "critic_loss", "actor_loss")
    config: IQLConfig
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("antmaze-*",), {"expectile": 0.9, "beta": 10.0, "reward_transform": "minus_one"}, _CORL),
        Preset(
            ("hopper-medium-v*", "hopper-medium-replay-v*"),
            {"actor": "deterministic", "polyak": 0.001, "reward_transform": "return_range"},
            _CORL,
        ),
        Preset(("hopper-medium-expert-v*",), {"expectile": 0.5, "beta": 6.0}, _CORL),
        Preset(("pen-*", "door-*", "hammer-*", "relocate-*"), {"expectile": 0.8, "beta": 3.0, "dropout": 0.1}, _CORL),
        Preset(
            ("crossing-v*",),
            {
                "expectile": 0.9,
                "beta": 10.0,
                "discount": 0.98,
                "polyak": 0.02,
                "learning_rate": 1e-3,
                "hidden": (128, 128),
            },
            "tuned here on the score: 5 settings, seeds 0 to 3, after 8 on earlier mazes",
        ),
        Preset(("kitchen-*",), {"expectile": 0.7, "beta": 0.5, "dropout": 0.1}, "IQL paper, section 5"),
    )

    def build(self) -> None:
        """Q_1, Q_2 as an ensemble of two, their targets, V and the policy."""
        c, sizes = self.config, self.sizes
        self.critic = MLP(sizes.observation + sizes.action, c.hidden, 1, members=2)
        self.value = MLP(sizes.observation, c.hidden, 1)
        log_std_range = c.log_std_range if c.actor == "gaussian" else None
        self.actor = TanhMeanPolicy(MLP(sizes.observation, c.hidden, sizes.action), log_std_range)
        critic = self.critic.initialise(self.seeds, "critic", c.initialisation)
        self.add("critic", critic, c.learning_rate)
        self.add("target_critic", copy(critic), None)
        self.add("value", self.value.initialise(self.seeds, "value", c.initialisation), c.learning_rate)
        actor = self.actor.initialise(self.seeds, "actor", c.initialisation)
        self.add("actor", actor, c.learning_rate, c.actor_schedule)

    def losses(self, networks: Networks, batch: Batch) -> Metrics:
        """The three losses; no gradient of one reaches the networks of another."""
        c = self.config
        s, a, r, s_next, terminal = batch[:5]
        sa = torch.cat([s, a], -1)
        q = self.critic(networks["critic"], sa)[..., 0]  # (seeds, 2, batch)
        v = self.value(networks["value"], s)[..., 0]  # (seeds, batch)
        with torch.no_grad():
            q_target = self.critic(self.networks["target_critic"], sa)[..., 0].amin(1)
            v_next = self.value(self.networks["value"], s_next)[..., 0]

        # L_V = E |tau - 1(u < 0)| u^2 with u = min_i Q'_i(s, a) - V(s)   (paper, equation 5)
        advantage = q_target - v
        value_loss = expectile_loss(advantage, c.expectile).mean(-1)

        # L_Q = E (r + gamma V(s') - Q_i(s, a))^2, a mean over i   (paper, equation 6)
        y = r + c.discount * (1 - terminal) * v_next
        critic_loss = ((q - y.unsqueeze(1)) ** 2).mean((-2, -1))

        # L_pi = E exp(beta (Q' - V)) (-log pi(a | s))   (paper, equation 7)
        weight = torch.exp(c.beta * advantage.detach()).clamp(max=MAX_WEIGHT)
        actor_loss = (weight * self._imitation(networks["actor"], s, a)).mean(-1)
        return {"value_loss": value_loss, "critic_loss": critic_loss, "actor_loss": actor_loss}

    def _imitation(
        self, actor: Parameters, s: Float[Tensor, "seeds batch observation"], a: Float[Tensor, "seeds batch action"]
    ) -> Float[Tensor, "seeds batch"]:
        """Error of the policy at each transition: -log pi(a | s), or the squared error summed over a."""
        c = self.config
        masks = None
        if c.dropout > 0:
            masks = dropout_masks(self.keys, self.count, c.hidden, s.shape[1], c.dropout)
        mean = self.actor.mean(actor, s, masks)
        if c.actor == "deterministic":
            return ((mean - a) ** 2).sum(-1)
        return -self.actor.log_prob(actor, mean, a)

    def update(self, batch: Batch) -> Metrics:
        """One Adam step of V, Q and policy together, then the target Q follows the new Q."""
        metrics = self.descend(self.losses, ["value", "critic", "actor"], batch)
        polyak(self.networks["target_critic"], self.networks["critic"], self.config.polyak)
        return metrics

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """The mean of the policy, nothing dropped."""
        return self.actor.mean(self.networks["actor"], observations)
