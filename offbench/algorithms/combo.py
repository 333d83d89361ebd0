"""Conservative Offline Model-Based policy Optimisation (COMBO), Yu et al. 2021 (arXiv 2102.08363).

Soft actor-critic on branches in a learned model. No uncertainty is estimated: the critics are pushed down at the
policy's and at random actions, in states of the branches, and up at the data's own transitions, as in CQL.

Constants and the order of updates are OfflineRL-Kit's (policy, temperature, critics, targets), whose scores are
published (1 million updates, the mean of the last ten evaluations): half of a batch is the data's, targets hold no
entropy, the weight is not learned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import Algorithm, Metrics, Networks, Preset, View, polyak, within
from offbench.algorithms.imagined import fit_dynamics, learned_imagination
from offbench.algorithms.soft import SoftConfig, policy_losses, soft_networks, values
from offbench.data.transitions import Batch
from offbench.nn.conservative import soft_maximum


@dataclass(frozen=True)
class COMBOConfig(SoftConfig):
    """Hyperparameters of COMBO."""

    conservatism: float = 5.0
    """beta, the weight of pushing Q down at the policy's actions and up at those of the data."""
    pushed_down: Literal["mixed", "imagined"] = "mixed"
    """In which states Q is pushed down: in all of the batch, or in the imagined ones alone."""
    sampled_actions: int = 10
    """Actions drawn uniformly, from pi(s) and from pi(s'), so many of each, to estimate the integral over actions."""
    real_ratio: float = 0.5
    """Share of the data's own transitions in a batch."""
    hidden: tuple[int, ...] = (256, 256, 256)
    """Sizes of the hidden layers of critics and policy."""

    def __post_init__(self) -> None:
        super().__post_init__()
        within("conservatism", self.conservatism, 0, float("inf"))
        within("sampled_actions", self.sampled_actions, 1, 10_000)
        within("rows of the data in a batch, real_ratio x batch_size,", int(self.real_ratio * self.batch_size), 1, 1e9)


_ORK = "OfflineRL-Kit's README"


class COMBO(Algorithm):
    """Twin Q with Polyak targets, a squashed Gaussian policy, a temperature that holds its entropy, and a model."""

    Config = COMBOConfig
    metrics: ClassVar[tuple[str, ...]] = ("actor_loss", "temperature_loss", "critic_loss", "q", "gap")
    config: COMBOConfig
    quick: ClassVar[Mapping[str, Any]] = {
        "dynamics_hidden": (32, 32), "dynamics_epochs": 20, "rollout_count": 64, "rollout_every": 40,
        "rollout_length": 2, "termination": "HalfCheetah", "sampled_actions": 2, "conservatism": 0.5,
    }  # fmt: skip
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("halfcheetah-medium-v*", "halfcheetah-medium-replay-v*"), {"conservatism": 0.5}, _ORK),
        Preset(("hopper-medium-replay-v*",), {"conservatism": 0.5}, _ORK),
        Preset(("hopper-medium-v*", "hopper-medium-expert-v*", "halfcheetah-medium-expert-v*"), {}, _ORK),
        Preset(("walker2d-medium-v*", "walker2d-medium-expert-v*"), {"rollout_length": 1}, _ORK),
        Preset(("walker2d-medium-replay-v*",), {"rollout_length": 1, "conservatism": 0.5}, _ORK),
    )

    def build(self) -> None:
        """Q_1, Q_2 and their targets, the policy, the logarithm of the temperature, and the model."""
        c = self.config
        self.critic, self.actor = soft_networks(self)
        self.imagination = learned_imagination(self)
        self.real = self.imagination.branches.real(c.batch_size)  # rows of a batch that the data hold, its first
        self.lowered = 0 if c.pushed_down == "mixed" else self.real  # the first row whose Q is pushed down

    def prepare(self, data: View, say: Callable[[str], None]) -> None:
        """Fit the model of each seed."""
        fit_dynamics(self, data, say)

    def sample(
        self, observations: Float[Tensor, "seeds batch observation"], noise: Float[Tensor, "seeds batch action"]
    ) -> Float[Tensor, "seeds batch action"]:
        """a ~ pi(s)."""
        return self.actor.sample(self.networks["actor"], observations, noise)[0]

    def noise(self) -> Mapping[str, tuple[int, ...]]:
        """One action at s and one at s'; those that estimate the integral over actions."""
        c, action = self.config, self.sizes.action
        many = (c.batch_size - self.lowered, c.sampled_actions, action)
        one = (c.batch_size, action)
        return {"action": one, "next_action": one, "uniform": many, "present": many, "next": many}

    def target(self, batch: Batch) -> Float[Tensor, "seeds batch"]:
        """y = r + gamma min_i Q'_i(s', a'), a' ~ pi(s'), r alone after a termination."""
        s_next = batch.next_observations
        a_next = self.sample(s_next, batch.noise["next_action"])
        q = values(self, "target_critic", s_next, a_next).amin(1)
        return batch.rewards + self.config.discount * (1 - batch.terminations) * q

    def critic_loss(self, networks: Networks, batch: Batch) -> Metrics:
        """L_Q = sum_i (E (Q_i(s, a) - y)^2 + beta (E_rho log integral exp Q_i(s, a) da - E_data Q_i(s, a)))."""
        s, s_next = batch.observations, batch.next_observations
        with torch.no_grad():
            y = self.target(batch)
            heads, next_heads = (
                self.actor.heads(self.networks["actor"], states[:, self.lowered :]) for states in (s, s_next)
            )
        q = self.critic(networks["critic"], torch.cat([s, batch.actions], -1))[..., 0]  # (seeds, 2, batch)
        down = soft_maximum(self.critic, networks["critic"], s[:, self.lowered :], heads, next_heads, batch.noise)
        gap = down.mean(-1) - q[..., : self.real].mean(-1)
        bellman = ((q - y.unsqueeze(1)) ** 2).mean(-1)
        return {"critic_loss": (bellman + self.config.conservatism * gap).sum(1)}

    def update(self, batch: Batch) -> Metrics:
        """One Adam step of policy and temperature, one of the critics, then the targets follow.

        The metric q is the mean over batch and critics of what the critics said of the batch before their step, gap how
        much more they said of its imagined rows than of the data's.
        """
        with torch.no_grad():
            q = values(self, "critic", batch.observations, batch.actions).mean(1)  # (seeds, batch)
            alpha = torch.exp(self.networks["temperature"]["log"])
        metrics = self.descend(partial(policy_losses, self, alpha), ["actor", "temperature"], batch)
        metrics |= self.descend(self.critic_loss, ["critic"], batch)
        polyak(self.networks["target_critic"], self.networks["critic"], self.config.polyak)
        return metrics | {"q": q.mean(1), "gap": q[:, self.real :].mean(1) - q[:, : self.real].mean(1)}

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """The mode of the policy."""
        return self.actor.mode(self.networks["actor"], observations)
