"""Model-based Offline Policy Optimisation (MOPO), Yu et al. 2020 (arXiv 2005.13239).

Soft actor-critic on branches that the policy makes in a learned model, from states of the data, with the model's
uncertainty subtracted from its rewards. ``penalty="none"`` is MBPO (Janner et al. 2019, arXiv 1906.08253) without
pessimism, the base whose Q grows without bound where branches end (`offbench.algorithms.ravl`).

Constants and the order of updates are OfflineRL-Kit's (critics, policy, temperature, targets), whose scores are
published (3 million updates, the mean of the last ten evaluations).

With ``dynamics_members=1`` and ``critic_smoothing`` it is a single model with a Lipschitz-regularised value
(`offbench.nn.smoothness`), offline; both are off by default.
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
from offbench.algorithms.imagined import fit_dynamics, learned_imagination
from offbench.algorithms.soft import SoftConfig, policy_losses, soft_networks, values
from offbench.data.transitions import Batch
from offbench.dynamics.penalties import OF_SEVERAL, PENALTIES, Penalty
from offbench.errors import OffbenchError
from offbench.nn.smoothness import adversarial_change, bound_layers


@dataclass(frozen=True)
class MOPOConfig(SoftConfig):
    """Hyperparameters of MOPO."""

    penalty: Penalty = "max_aleatoric"
    """u(s, a), how unsure the model is; "none" is MBPO without pessimism."""
    penalty_weight: float = 0.5
    """lambda: rewards are r - lambda u."""
    critic_smoothing: float = 0.0
    """Weight of (Q(s + delta, a) - Q(s, a))^2 in the critics' loss, delta the worst small step; 0 leaves it out."""
    critic_smoothing_radius: float = 0.1
    """Size of delta in each dimension, in deviations of the data's states."""
    critic_norm: float | None = None
    """Spectral norm that no hidden layer of a critic exceeds; None bounds none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        within("penalty_weight", self.penalty_weight, 0, float("inf"))
        within("critic_smoothing", self.critic_smoothing, 0, float("inf"))
        within("critic_smoothing_radius", self.critic_smoothing_radius, 0, float("inf"), open_low=True)
        if self.critic_norm is not None:
            within("critic_norm", self.critic_norm, 0, float("inf"), open_low=True)
        if self.dynamics_members == 1 and self.penalty in OF_SEVERAL:
            raise OffbenchError(f"the penalty {self.penalty} compares members, and a single model has none to compare")


_ORK = "OfflineRL-Kit's README"


class MOPO(Algorithm):
    """Twin Q with Polyak targets, a squashed Gaussian policy, a temperature that holds its entropy, and a model."""

    Config = MOPOConfig
    metrics: ClassVar[tuple[str, ...]] = ("critic_loss", "actor_loss", "temperature_loss", "q")
    config: MOPOConfig
    quick: ClassVar[Mapping[str, Any]] = {
        "dynamics_hidden": (32, 32), "dynamics_epochs": 20, "rollout_count": 64, "rollout_every": 40,
        "rollout_length": 2, "termination": "HalfCheetah", "real_ratio": 0.5,
    }  # fmt: skip
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("halfcheetah-medium-v*", "halfcheetah-medium-replay-v*", "walker2d-medium-v*"), {}, _ORK),
        Preset(("hopper-medium-v*", "hopper-medium-expert-v*"), {"penalty_weight": 5.0}, _ORK),
        Preset(("hopper-medium-replay-v*", "halfcheetah-medium-expert-v*"), {"penalty_weight": 2.5}, _ORK),
        Preset(
            ("walker2d-medium-replay-v*", "walker2d-medium-expert-v*"),
            {"rollout_length": 1, "penalty_weight": 2.5},
            _ORK,
        ),
    )

    def build(self) -> None:
        """Q_1, Q_2 and their targets, the policy, the logarithm of the temperature, and the model."""
        c = self.config
        self.critic, self.actor = soft_networks(self)
        if c.critic_norm is not None:
            for name in ("critic", "target_critic"):
                bound_layers(self.networks[name], c.critic_norm, len(c.hidden))

        unsure = PENALTIES[c.penalty]
        self.imagination = learned_imagination(
            self, None if c.penalty == "none" else lambda prediction: c.penalty_weight * unsure(prediction)
        )

    def prepare(self, data: View, say: Callable[[str], None]) -> None:
        """Fit the model of each seed."""
        fit_dynamics(self, data, say)

    def sample(
        self, observations: Float[Tensor, "seeds batch observation"], noise: Float[Tensor, "seeds batch action"]
    ) -> Float[Tensor, "seeds batch action"]:
        """a ~ pi(s)."""
        return self.actor.sample(self.networks["actor"], observations, noise)[0]

    def noise(self) -> Mapping[str, tuple[int, ...]]:
        """One action at s and one at s'."""
        shape = (self.config.batch_size, self.sizes.action)
        return {"action": shape, "next_action": shape}

    def next_value(self, batch: Batch) -> Float[Tensor, "seeds batch"]:
        """min_i Q'_i(s', a') - alpha log pi(a' | s'), a' ~ pi(s')."""
        alpha = torch.exp(self.networks["temperature"]["log"])  # (seeds, 1)
        s_next, noise = batch.next_observations, batch.noise["next_action"]
        a_next, log_prob = self.actor.sample(self.networks["actor"], s_next, noise)
        return values(self, "target_critic", s_next, a_next).amin(1) - alpha * log_prob

    def critic_loss(self, networks: Networks, batch: Batch) -> Metrics:
        """L_Q = sum_i E (Q_i(s, a) - r - gamma V'(s'))^2, V' of ``next_value``, 0 after a termination."""
        with torch.no_grad():
            y = batch.rewards + self.config.discount * (1 - batch.terminations) * self.next_value(batch)
        q = self.critic(networks["critic"], torch.cat([batch.observations, batch.actions], -1))[..., 0]
        loss = ((q - y.unsqueeze(1)) ** 2).mean(-1).sum(1)
        if self.config.critic_smoothing > 0:
            loss = loss + self.config.critic_smoothing * self.roughness(networks, batch)
        return {"critic_loss": loss}

    def roughness(self, networks: Networks, batch: Batch) -> Float[Tensor, " seeds"]:
        """sum_i E (Q_i(s + delta_i, a) - Q_i(s, a))^2, delta_i = epsilon sigma sign(dQ_i/ds), sigma of the data."""
        deviations = self.networks["dynamics"]["input.std"][..., : self.sizes.observation]
        radius = self.config.critic_smoothing_radius * deviations
        changes = adversarial_change(self.critic, networks["critic"], batch.observations, batch.actions, radius)
        return changes.mean(-1).sum(1)

    def update(self, batch: Batch) -> Metrics:
        """One Adam step of the critics, one of policy and temperature, then the targets follow.

        Layers of the critics that grew beyond ``critic_norm`` are scaled back after their step.

        The metric q is the mean over batch and critics of what the critics say of the batch.
        """
        metrics = self.descend(self.critic_loss, ["critic"], batch)
        if self.config.critic_norm is not None:
            bound_layers(self.networks["critic"], self.config.critic_norm, len(self.config.hidden))
        alpha = torch.exp(self.networks["temperature"]["log"])
        metrics |= self.descend(partial(policy_losses, self, alpha), ["actor", "temperature"], batch)
        polyak(self.networks["target_critic"], self.networks["critic"], self.config.polyak)
        with torch.no_grad():
            return metrics | {"q": values(self, "critic", batch.observations, batch.actions).mean((1, 2))}

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """The mode of the policy."""
        return self.actor.mode(self.networks["actor"], observations)
