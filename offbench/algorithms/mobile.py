"""Model-Bellman Inconsistency penalised policy optimisation (MOBILE), Sun et al. 2023 (ICML, PMLR 202).

Soft actor-critic on branches in a learned model. What is subtracted is not how unsure the model is of the next state
but how much that matters: the elites' next states are valued, and their values' standard deviation is the penalty, anew
in each update, of imagined transitions alone.

Constants and the order of updates are OfflineRL-Kit's, by MOBILE's authors, whose scores are published (3 million
updates, the mean of the last ten evaluations): targets hold no entropy and are never below 0, the temperature is never
above 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import Algorithm, Metrics, Networks, Preset, View, polyak, within
from offbench.algorithms.imagined import dynamics_config, fit_dynamics, learned_imagination
from offbench.algorithms.soft import SoftConfig, policy_losses, soft_networks, values
from offbench.data.transitions import Batch

HIGHEST_TEMPERATURE = 1.0


@dataclass(frozen=True)
class MOBILEConfig(SoftConfig):
    """Hyperparameters of MOBILE."""

    penalty_weight: float = 1.5
    """lambda: targets are r - lambda U + gamma V'."""
    outcomes: int = 10
    """Next states that are drawn from each elite to estimate its value of them."""
    lowest_target: float | None = 0.0
    """Targets are not below this; None for no bound, right where returns are negative."""
    temperature: float | None = None
    """Weight of the entropy; learned where it is not given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        within("penalty_weight", self.penalty_weight, 0, float("inf"))
        within("outcomes", self.outcomes, 1, 10_000)
        within("dynamics_members", self.dynamics_members, 2, 1000)  # whose values are compared


_ORK = "OfflineRL-Kit's README"


class MOBILE(Algorithm):
    """Twin Q with Polyak targets, a squashed Gaussian policy, a temperature that holds its entropy, and a model."""

    Config = MOBILEConfig
    metrics: ClassVar[tuple[str, ...]] = ("critic_loss", "actor_loss", "temperature_loss", "q", "inconsistency")
    config: MOBILEConfig
    quick: ClassVar[Mapping[str, Any]] = {
        "dynamics_hidden": (32, 32), "dynamics_epochs": 20, "rollout_count": 64, "rollout_every": 40, "outcomes": 2,
        "rollout_length": 1, "termination": "HalfCheetah", "real_ratio": 0.9, "lowest_target": None,
        "penalty_weight": 0.1,
    }  # fmt: skip
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("halfcheetah-random-v*", "halfcheetah-medium-v*", "walker2d-medium-v*"), {"penalty_weight": 0.5}, _ORK),
        Preset(("hopper-random-v*",), {"penalty_weight": 5.0}, _ORK),
        Preset(("walker2d-random-v*", "halfcheetah-medium-expert-v*"), {"penalty_weight": 2.0}, _ORK),
        Preset(("hopper-medium-v*",), {"penalty_weight": 1.5, "temperature": 0.2}, _ORK),
        Preset(("halfcheetah-medium-replay-v*", "hopper-medium-replay-v*"), {"penalty_weight": 0.1}, _ORK),
        Preset(("walker2d-medium-replay-v*",), {"penalty_weight": 0.5, "rollout_length": 1}, _ORK),
        Preset(("hopper-medium-expert-v*",), {"penalty_weight": 1.5}, _ORK),
        Preset(("walker2d-medium-expert-v*",), {"penalty_weight": 1.5, "rollout_length": 1}, _ORK),
    )

    def build(self) -> None:
        """Q_1, Q_2 and their targets, the policy, the logarithm of the temperature, and the model."""
        c = self.config
        self.critic, self.actor = soft_networks(self)
        model = dynamics_config(self)
        self.model, self.elites = model.network(self.sizes.observation, self.sizes.action), model.elites
        self.imagination = learned_imagination(self)
        self.real = self.imagination.branches.real(c.batch_size)  # rows of a batch that the data hold, its first

    def prepare(self, data: View, say: Callable[[str], None]) -> None:
        """Fit the model of each seed."""
        fit_dynamics(self, data, say, branches_alone=False)

    def sample(
        self, observations: Float[Tensor, "seeds batch observation"], noise: Float[Tensor, "seeds batch action"]
    ) -> Float[Tensor, "seeds batch action"]:
        """a ~ pi(s)."""
        return self.actor.sample(self.networks["actor"], observations, noise)[0]

    def noise(self) -> Mapping[str, tuple[int, ...]]:
        """One action at s and one at s'; the elites' next states of imagined rows, and an action at each."""
        c, one = self.config, (self.config.batch_size, self.sizes.action)
        many = (self.elites, c.outcomes, c.batch_size - self.real)
        return {
            "action": one,
            "next_action": one,
            "outcome": (*many, self.sizes.observation),
            "outcome_action": (*many, self.sizes.action),
        }

    def alpha(self) -> Float[Tensor, "seeds 1"]:
        """The temperature: the one given, or the learned one, at most 1."""
        log = self.networks["temperature"]["log"]
        if self.config.temperature is not None:
            return torch.full_like(log, self.config.temperature)
        return torch.exp(log).clamp(max=HIGHEST_TEMPERATURE)

    def value(
        self, states: Float[Tensor, "seeds batch observation"], noise: Float[Tensor, "seeds batch action"]
    ) -> Float[Tensor, "seeds batch"]:
        """min_i Q'_i(s, a), a ~ pi(s)."""
        actions = self.actor.sample(self.networks["actor"], states, noise)[0]
        return values(self, "target_critic", states, actions).amin(1)

    def inconsistency(self, batch: Batch) -> Float[Tensor, "seeds batch"]:
        """U(s, a): the standard deviation over elites of the mean value of next states drawn from each.

        It is 0 at the data's own transitions. The deviation is the unbiased one, as in OfflineRL-Kit.
        """
        s, a = batch.observations[:, self.real :], batch.actions[:, self.real :]
        means, stds = (part[:, : self.elites, :, :-1] for part in self.model.predict(self.networks["dynamics"], s, a))
        outcomes = means.unsqueeze(2) + stds.unsqueeze(2) * batch.noise["outcome"]
        found = self.value(outcomes.flatten(1, 3), batch.noise["outcome_action"].flatten(1, 3))
        unsure = found.view(*outcomes.shape[:4]).mean(2).std(1)
        return torch.cat([torch.zeros_like(batch.rewards[:, : self.real]), unsure], 1)

    def target(self, batch: Batch, unsure: Float[Tensor, "seeds batch"]) -> Float[Tensor, "seeds batch"]:
        """y = max(0, r - lambda U(s, a) + gamma V'(s')), V' 0 after a termination."""
        c = self.config
        following = self.value(batch.next_observations, batch.noise["next_action"])
        y = batch.rewards - c.penalty_weight * unsure + c.discount * (1 - batch.terminations) * following
        return y if c.lowest_target is None else y.clamp(min=c.lowest_target)

    def critic_loss(self, networks: Networks, batch: Batch, y: Float[Tensor, "seeds batch"]) -> Metrics:
        """L_Q = 1/2 sum_i E (Q_i(s, a) - y)^2."""
        q = self.critic(networks["critic"], torch.cat([batch.observations, batch.actions], -1))[..., 0]
        return {"critic_loss": ((q - y.unsqueeze(1)) ** 2).mean((1, 2))}

    def update(self, batch: Batch) -> Metrics:
        """One Adam step of the critics, one of policy and temperature, then the targets follow.

        The metric q is the mean over batch and critics of what the critics say of the batch, and inconsistency the
        mean of U over its imagined rows.
        """
        with torch.no_grad():
            unsure = self.inconsistency(batch)
            y = self.target(batch, unsure)
        metrics = self.descend(partial(self.critic_loss, y=y), ["critic"], batch)
        metrics |= self.descend(partial(policy_losses, self, self.alpha()), ["actor", "temperature"], batch)
        polyak(self.networks["target_critic"], self.networks["critic"], self.config.polyak)
        with torch.no_grad():
            metrics["q"] = values(self, "critic", batch.observations, batch.actions).mean((1, 2))
        return metrics | {"inconsistency": unsure[:, self.real :].mean(1)}

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """The mode of the policy."""
        return self.actor.mode(self.networks["actor"], observations)
