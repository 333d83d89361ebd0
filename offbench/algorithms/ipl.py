"""Inverse preference learning (IPL), Hejna and Sadigh 2023 (arXiv 2305.15363): IQL on rewards that its own Q implies.

Given V, every Q is that of one reward, r(s, a) = Q(s, a) - gamma E V(s'). So no reward model is fitted: the sums of
this reward over two segments tell which is preferred, and Q learns to tell it right. A penalty on r^2 singles out one
of the many rewards that say the same. V and the policy are those of IQL.

Order and constants are those of the official code (jhejna/inverse-preference-learning, gym_locomotion/ipl_iql): V moves
first, and both Q and the policy see the new one; a half of every average is over the steps of compared segments and a
half over transitions of the data. For MetaWorld it has ``regulariser=3, expectile=0.75, target_clipping=False,
hidden=(256, 256, 256), pairs=16, segment_steps=16, replay_weight=0``, no other data than segments. A segment has no
state after its last step, so that H steps give H - 1 rewards; of longer ones a stretch is read that begins at random,
for each of a pair by itself. Weights are orthogonal with gain sqrt(2), there with gain 1. A segment does not say
whether one of its steps ended something: in segments gamma always counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from offbench.algorithms.base import Algorithm, Metrics, Networks, View, copy, polyak, within
from offbench.data.partial_views import Compared, ComparedBatch
from offbench.data.preferences import Preferences
from offbench.errors import OffbenchError
from offbench.nn.bradley_terry import cross_entropies
from offbench.nn.expectiles import expectile_loss
from offbench.nn.mlp import MLP
from offbench.nn.noise import uniform
from offbench.nn.policies import TanhMeanPolicy

MAX_WEIGHT = 100.0  # exp(A / beta) is clipped here, after the exponential


@dataclass(frozen=True)
class IPLConfig:
    """Hyperparameters of IPL."""

    expectile: float = 0.7
    """tau: 0.5 makes V the mean of Q over the data's actions, 1 their maximum."""
    temperature: float = 1 / 3
    """beta of the policy's weights exp(A / beta); smaller is greedier."""
    regulariser: float = 0.5
    """c, weight of the squares of implied rewards."""
    replay_weight: float = 0.5
    """What transitions of the data count in averages, against the steps of compared segments."""
    target_clipping: bool = True
    """Keep V(s') within 1 / (c (1 - gamma)), all that rewards so penalised can add up to."""
    pairs: int = 8
    """Pairs a seed in one update; at most batch_size."""
    segment_steps: int = 64
    """Steps that are read of a segment, from a random one on where it is longer."""
    discount: float = 0.99
    """gamma."""
    polyak: float = 0.005
    """Share of the new Q in each move of the target Q."""
    hidden: tuple[int, ...] = (256, 256)
    """Sizes of the hidden layers of all networks."""
    learning_rate: float = 3e-4
    """Learning rate of Adam for Q, V and policy."""
    log_std_range: tuple[float, float] = (-5.0, 2.0)
    """Bounds of the Gaussian policy's log standard deviation."""
    batch_size: int = 256
    """Transitions of the data a seed in one update."""
    normalise_states: bool = False
    """Standardise states by their mean and standard deviation over the data."""

    def __post_init__(self) -> None:
        within("expectile", self.expectile, 0, 1, open_low=True, open_high=True)
        within("temperature", self.temperature, 0, float("inf"), open_low=True)
        within("regulariser", self.regulariser, 0, float("inf"), open_low=self.target_clipping)
        within("replay_weight", self.replay_weight, 0, 1)
        within("pairs", self.pairs, 1, self.batch_size)
        within("segment_steps", self.segment_steps, 2, float("inf"))
        within("discount", self.discount, 0, 1, open_high=self.target_clipping)
        within("polyak", self.polyak, 0, 1, open_low=True)
        within("learning_rate", self.learning_rate, 0, 1, open_low=True)
        within("lower log_std_range", self.log_std_range[0], -100, self.log_std_range[1])


class Steps(NamedTuple):
    """The steps of first segments, of second ones, and transitions of the data, one after another.

    Attributes:
        s, a, s_next: states, actions and next states.
        going_on: 1 where the step ended nothing, else 0.
        sizes: how many there are of each of the three.
        labels: the share by which the second segment of each pair is preferred.
    """

    s: Float[Tensor, "seeds steps observation"]
    a: Float[Tensor, "seeds steps action"]
    s_next: Float[Tensor, "seeds steps observation"]
    going_on: Float[Tensor, "seeds steps"]
    sizes: list[int]
    labels: Float[Tensor, "seeds pairs"]


class IPL(Algorithm):
    """Twin Q with Polyak targets, one V without a target, one policy."""

    Config = IPLConfig
    view: ClassVar[Callable[..., View]] = Compared
    requires: ClassVar[tuple[str | type, ...]] = (Preferences,)
    metrics: ClassVar[tuple[str, ...]] = ("value_loss", "preference_loss", "reward_penalty", "actor_loss")
    config: IPLConfig
    quick: ClassVar[Mapping[str, Any]] = {"pairs": 4}

    def build(self) -> None:
        """Q_1, Q_2 as an ensemble of two, their targets, V and the policy."""
        c, sizes = self.config, self.sizes
        self.critic = MLP(sizes.observation + sizes.action, c.hidden, 1, members=2)
        self.value = MLP(sizes.observation, c.hidden, 1)
        self.actor = TanhMeanPolicy(MLP(sizes.observation, c.hidden, sizes.action), c.log_std_range)
        critic = self.critic.initialise(self.seeds, "critic", "orthogonal")
        self.add("critic", critic, c.learning_rate)
        self.add("target_critic", copy(critic), None)
        self.add("value", self.value.initialise(self.seeds, "value", "orthogonal"), c.learning_rate)
        self.add("actor", self.actor.initialise(self.seeds, "actor", "orthogonal"), c.learning_rate)

    def value_losses(self, networks: Networks, x: Steps) -> Metrics:
        """L_V = E |tau - 1(u < 0)| u^2 with u = min_i Q'_i(s, a) - V(s), as in IQL."""
        advantage = self._target(x) - self.value(networks["value"], x.s)[..., 0]
        return {"value_loss": self._halves(expectile_loss(advantage, self.config.expectile), x)}

    def critic_losses(self, networks: Networks, x: Steps) -> Metrics:
        """-E [y log sigma(R_2 - R_1) + (1 - y) log sigma(R_1 - R_2)] and c E r^2, means over both Q."""
        rewards = self.implied_rewards(networks, x)
        pairs = x.labels.shape[-1]
        first, second, _ = torch.split(rewards, x.sizes, -1)
        # R = sum of r over the segment
        difference = second - first
        logits = difference.reshape(*difference.shape[:2], pairs, -1).sum(-1)
        wrong = cross_entropies(logits, x.labels.unsqueeze(1))
        penalty = self.config.regulariser * self._halves((rewards**2).mean(1), x)
        return {"preference_loss": wrong.mean((1, 2)), "reward_penalty": penalty}

    def implied_rewards(self, networks: Networks, x: Steps) -> Float[Tensor, "seeds members steps"]:
        """r_i(s, a) = Q_i(s, a) - gamma V(s'), no V of what follows an end."""
        c = self.config
        q = self.critic(networks["critic"], torch.cat([x.s, x.a], -1))[..., 0]
        with torch.no_grad():
            v_next = self.value(self.networks["value"], x.s_next)[..., 0]
            if c.target_clipping:
                limit = 1 / (c.regulariser * (1 - c.discount))
                v_next = v_next.clamp(-limit, limit)
        return q - (c.discount * x.going_on * v_next).unsqueeze(1)

    def actor_losses(self, networks: Networks, x: Steps) -> Metrics:
        """L_pi = E exp(A / beta) (-log pi(a | s)), A = min_i Q'_i(s, a) - V(s)."""
        advantage = self._target(x) - self.value(self.networks["value"], x.s)[..., 0].detach()
        weight = torch.exp(advantage / self.config.temperature).clamp(max=MAX_WEIGHT)
        log_prob = self.actor.log_prob(networks["actor"], self.actor.mean(networks["actor"], x.s), x.a)
        return {"actor_loss": self._halves(-weight * log_prob, x)}

    def _target(self, x: Steps) -> Float[Tensor, "seeds steps"]:
        """min_i Q'_i(s, a)."""
        with torch.no_grad():
            return self.critic(self.networks["target_critic"], torch.cat([x.s, x.a], -1))[..., 0].amin(1)

    def _halves(self, values: Float[Tensor, "seeds steps"], x: Steps) -> Float[Tensor, " seeds"]:
        """The mean over segments and that over transitions of the data, weighed."""
        first, second, replay = (part.mean(-1) for part in torch.split(values, x.sizes, -1))
        weight = self.config.replay_weight
        return (1 - weight) * (first + second) / 2 + weight * replay

    def steps(self, batch: ComparedBatch) -> Steps:
        """What an update learns from: of each segment ``segment_steps`` from a random place on, less the last."""
        length, pairs = batch.first_actions.shape[2], batch.labels.shape[1]
        if length < 2:
            raise OffbenchError(f"IPL needs segments of at least 2 steps to know a next state, not {length}")
        taken = min(self.config.segment_steps, length)
        drawn = uniform(self.keys, self.count, "segment", (2, pairs)) * (length - taken + 1)
        places = drawn.long().unsqueeze(-1) + torch.arange(taken, device=self.device)  # (seeds, 2, pairs, taken)
        sides = (
            (_rows(batch.first_observations, places[:, 0]), _rows(batch.first_actions, places[:, 0])),
            (_rows(batch.second_observations, places[:, 1]), _rows(batch.second_actions, places[:, 1])),
        )
        t = batch.transitions
        s = torch.cat([*(s[:, :, :-1].flatten(1, 2) for s, _ in sides), t.observations], 1)
        a = torch.cat([*(a[:, :, :-1].flatten(1, 2) for _, a in sides), t.actions], 1)
        s_next = torch.cat([*(s[:, :, 1:].flatten(1, 2) for s, _ in sides), t.next_observations], 1)
        count = pairs * (taken - 1)
        going_on = torch.cat([torch.ones_like(s[:, : 2 * count, 0]), 1 - t.terminations], 1)
        return Steps(s, a, s_next, going_on, [count, count, t.rewards.shape[1]], batch.labels)

    def update(self, batch: ComparedBatch) -> Metrics:
        """One Adam step of V, then of Q, then of the policy; then the target Q follows the new Q."""
        x = self.steps(batch)
        metrics = self.descend(self.value_losses, ["value"], x)
        metrics |= self.descend(self.critic_losses, ["critic"], x)
        metrics |= self.descend(self.actor_losses, ["actor"], x)
        polyak(self.networks["target_critic"], self.networks["critic"], self.config.polyak)
        return metrics

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """The mean of the policy."""
        return self.actor.mean(self.networks["actor"], observations)


def _rows(
    segments: Float[Tensor, "seeds pairs length size"], places: Int64[Tensor, "seeds pairs taken"]
) -> Float[Tensor, "seeds pairs taken size"]:
    """The steps of segments at places."""
    return segments.gather(2, places.unsqueeze(-1).expand(-1, -1, -1, segments.shape[-1]))
