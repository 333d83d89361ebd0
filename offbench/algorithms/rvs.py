"""RvS-R, return-conditioned "reinforcement learning via supervised learning", Emmons et al. 2021 (arXiv 2112.10751).

Behaviour cloning by a wide network that also sees what is still to be earned. At test time one asks for a high return.
The condition is the average reward over the rest of the time limit, which stays as asked throughout an episode, or the
sum of rewards to come, which each reward lowers (RCSL, Brandfonbrener et al. 2022, arXiv 2206.01079; then with the
deterministic policy, as in MBRCSL, Zhou et al. 2024, arXiv 2310.19308).

Network, loss and presets follow the official code (scottemmons/rvs): a Gaussian around a mean that is free, and clipped
only where the policy acts. That code sweeps over returns to ask for, from 0.3 to 1.2 times the expert's; here one is
asked for, ``evaluation_target``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Real
from torch import Tensor

from offbench.algorithms.asking import Asked
from offbench.algorithms.base import Acting, Algorithm, Metrics, Networks, Preset, View, within
from offbench.data.sequences import SequenceBatch, Sequences
from offbench.errors import OffbenchError
from offbench.nn.mlp import MLP
from offbench.nn.noise import dropout_masks
from offbench.nn.policies import gaussian_log_prob


@dataclass(frozen=True)
class RvSConfig:
    """Hyperparameters of RvS-R."""

    evaluation_target: float | None = None
    """Return that scored episodes are asked for; the highest of the data if not given."""
    condition: Literal["average", "sum"] = "average"
    """Rewards to come as their average over the rest of the time limit, or as their sum over return_scale."""
    return_scale: float | None = None
    """What sums of rewards are divided by; the largest absolute return of the data if not given."""
    episode_limit: int | None = None
    """The time limit; the longer of the task's limit and the data's longest episode if not given."""
    actor: Literal["gaussian", "deterministic"] = "gaussian"
    """Log-likelihood of a Gaussian, or squared error of a deterministic policy."""
    hidden: tuple[int, ...] = (1024, 1024)
    """Sizes of the hidden layers."""
    dropout: float = 0.0
    """Share of hidden units dropped in training."""
    learning_rate: float = 1e-3
    """Learning rate of Adam."""
    batch_size: int = 256
    """Steps a seed in one update."""
    normalise_states: bool = False
    """Standardise states by their mean and standard deviation over the data."""
    log_std_range: tuple[float, float] = (-20.0, 2.0)
    """Bounds of the Gaussian's log standard deviation."""

    def __post_init__(self) -> None:
        if self.return_scale is not None:
            within("return_scale", self.return_scale, 0, float("inf"), open_low=True)
        within("dropout", self.dropout, 0, 1, open_high=True)
        within("learning_rate", self.learning_rate, 0, 1, open_low=True)
        within("lower log_std_range", self.log_std_range[0], -100, self.log_std_range[1])


class RvS(Algorithm):
    """pi(s, w): one network of state and condition."""

    Config = RvSConfig
    view: ClassVar[Callable[..., View]] = partial(Sequences, context=1)
    metrics: ClassVar[tuple[str, ...]] = ("actor_loss",)
    config: RvSConfig
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("halfcheetah-*", "hopper-*", "walker2d-*"), {"batch_size": 16384}, "official gym_rvs_r.cfg"),
    )

    def build(self) -> None:
        """The policy, with one log standard deviation a dimension where it is a Gaussian."""
        c = self.config
        if c.evaluation_target is None or c.return_scale is None or c.episode_limit is None:
            raise OffbenchError(
                "RvS needs evaluation_target, return_scale and episode_limit; train takes them from the data"
            )
        self.target, self.scale, self.limit = c.evaluation_target, c.return_scale, c.episode_limit
        self.network = MLP(self.sizes.observation + 1, c.hidden, self.sizes.action)
        # As in the official code: orthogonal, with a last layer that is small.
        actor = self.network.initialise(self.seeds, "actor", "orthogonal", output_gain=0.01)
        if c.actor == "gaussian":
            actor["log_std"] = torch.zeros(len(self.seeds), 1, self.sizes.action, dtype=torch.float64)
        self.add("actor", actor, c.learning_rate)

    def losses(self, networks: Networks, batch: SequenceBatch) -> Metrics:
        """L = E -log pi(a | s, w), or E (pi(s, w) - a)^2 averaged over action dimensions."""
        s, a = batch.observations[:, :, 0], batch.actions[:, :, 0]
        w = self.conditions(batch.returns_to_go[:, :, 0], batch.timesteps[:, :, 0])
        actor, c = networks["actor"], self.config
        masks = dropout_masks(self.keys, self.count, c.hidden, s.shape[1], c.dropout) if c.dropout > 0 else None
        mean = self.network(actor, torch.cat([s, w.unsqueeze(-1)], -1), masks)
        if c.actor == "deterministic":
            return {"actor_loss": ((mean - a) ** 2).mean((1, 2))}
        return {"actor_loss": -gaussian_log_prob(a, mean, actor["log_std"].clamp(*c.log_std_range)).mean(1)}

    def conditions(
        self, returns_to_go: Float[Tensor, "seeds batch"], timesteps: Real[Tensor, "seeds batch"]
    ) -> Float[Tensor, "seeds batch"]:
        """w for scaled returns-to-go at timesteps: themselves, or the average reward that they mean in steps left."""
        if self.config.condition == "sum":
            return returns_to_go
        return returns_to_go * self.scale / (self.limit - timesteps)

    def update(self, batch: SequenceBatch) -> Metrics:
        """One Adam step."""
        return self.descend(self.losses, ["actor"], batch)

    def choose(
        self, observations: Float[Tensor, "seeds batch observation"], conditions: Float[Tensor, "seeds batch"]
    ) -> Float[Tensor, "seeds batch action"]:
        """pi(s, w), clipped to [-1, 1]."""
        inputs = torch.cat([observations, conditions.unsqueeze(-1)], -1)
        return self.network(self.networks["actor"], inputs).clamp(-1, 1)

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """Actions of the first step of episodes that are asked for ``evaluation_target``."""
        asked = self.acting()
        asked.reset(torch.ones(observations.shape[:2], dtype=torch.bool, device=self.device))
        return asked.act(observations)

    def acting(self) -> Acting:
        """The policies with what each episode is still to earn: an average that stays, or a sum that rewards lower."""
        target = torch.full((len(self.seeds),), self.target / self.scale, dtype=self.dtype, device=self.device)

        def choose(observations: Tensor, to_go: Tensor) -> Tensor:
            return self.choose(observations, self.conditions(to_go, torch.zeros_like(to_go)))

        return Asked(choose, target, self.scale if self.config.condition == "sum" else None)
