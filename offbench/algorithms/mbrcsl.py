"""Model-based return-conditioned supervised learning (MBRCSL), Zhou et al. 2024 (arXiv 2310.19308).

Regression on returns imitates the best episodes of the data, and joins no halves of two. So episodes are made that do:
the policy behind the data, cloned with all its ways, acts in a learned model from first states to the time limit, and
only episodes are kept whose predicted return is above the best of the data. On these alone a deterministic policy
f(s, g) is regressed, g the return to go. Nothing is bootstrapped.

Constants follow the official code for its point maze (zhaoyizhou1123/mbrcsl), which differs in that it

- denoises actions by a one-dimensional U-Net (`offbench.nn.diffusion` has an MLP), which it trains at a learning rate
  that never leaves its warm-up (`offbench.dynamics.behaviour`);
- stops by the error on a tenth of the kept rollouts; here the updates are as many as are asked for (its 100 epochs of
  100 rollouts of 200 steps are 7,800);
- keeps a batch of rollouts whole once it has enough; here a seed keeps ``rollouts_needed``.

Predicted returns are what counts: where the model promises what the environment does not hold, so does the target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.asking import Asked
from offbench.algorithms.base import Acting, Algorithm, Metrics, Networks, Preset, View, within
from offbench.algorithms.imagined import ModelConfig, dynamics_config
from offbench.data.transitions import Transitions
from offbench.dynamics.behaviour import BehaviourConfig, fit_behaviour
from offbench.dynamics.episodes import ConditionedBatch, Episodes
from offbench.dynamics.store import fitted
from offbench.dynamics.terminations import rule_of
from offbench.dynamics.worlds import Learned
from offbench.errors import OffbenchError
from offbench.nn.mlp import MLP


@dataclass(frozen=True)
class MBRCSLConfig(ModelConfig):
    """Hyperparameters of MBRCSL."""

    keep_above: float | None = None
    """Rollouts of a larger predicted return are kept; the highest return of the data if not given."""
    rollouts_needed: int = 100
    """Rollouts that are kept."""
    rollout_count: int = 200
    """Rollouts that are played at once."""
    rollout_batches: int = 1000
    """Times that so many are played at most."""
    episode_limit: int | None = None
    """Steps of a rollout; the longer of the task's limit and the data's longest episode if not given."""
    diffusion_steps: int = 10
    """Steps in which the behaviour policy denoises an action."""
    behaviour_width: int = 256
    """Width of the behaviour policy's layers."""
    behaviour_blocks: int = 3
    """Residual blocks of the behaviour policy."""
    behaviour_updates: int = 40_000
    """Updates of the behaviour policy."""
    behaviour_batch_size: int = 256
    """Steps of the data in one of these."""
    behaviour_learning_rate: float = 1e-4
    """Learning rate of AdamW for the behaviour policy, at its highest."""
    hidden: tuple[int, ...] = (1024, 1024)
    """Sizes of the policy's hidden layers."""
    return_scale: float = 1.0
    """What the policy's returns to go are divided by."""
    learning_rate: float = 5e-5
    """Learning rate of Adam for the policy."""
    weight_decay: float = 0.1
    """Share of the policy's weights that is added to their gradient."""
    batch_size: int = 256
    """Steps of kept rollouts a seed in one update."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rollouts_needed", "rollout_count", "rollout_batches", "diffusion_steps"):
            within(name, getattr(self, name), 1, 10**9)
        for name in ("behaviour_width", "behaviour_blocks", "behaviour_updates", "behaviour_batch_size"):
            within(name, getattr(self, name), 1, 10**9)
        within("return_scale", self.return_scale, 0, float("inf"), open_low=True)
        within("weight_decay", self.weight_decay, 0, float("inf"))
        if self.episode_limit is not None:
            within("episode_limit", self.episode_limit, 1, 10**9)


class MBRCSL(Algorithm):
    """f(s, g) on the episodes that a cloned behaviour plays in a learned model, as far as they beat the data."""

    Config = MBRCSLConfig
    metrics: ClassVar[tuple[str, ...]] = ("actor_loss",)
    config: MBRCSLConfig
    quick: ClassVar[Mapping[str, Any]] = {
        "keep_above": -1e9, "rollouts_needed": 60, "rollout_count": 60, "rollout_batches": 2,
        "termination": "HalfCheetah", "dynamics_hidden": (32, 32), "dynamics_epochs": 20, "diffusion_steps": 5,
        "behaviour_width": 32, "behaviour_blocks": 1, "behaviour_updates": 150, "behaviour_batch_size": 64,
        "behaviour_learning_rate": 1e-2, "weight_decay": 1e-4,
    }  # fmt: skip
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("stitch-v*",), {}, "the official code's point maze, which this dataset is made like"),
    )

    def build(self) -> None:
        """The policy, and room for the rollouts that it learns from."""
        c, sizes = self.config, self.sizes
        if c.keep_above is None or c.episode_limit is None:
            raise OffbenchError("MBRCSL needs keep_above and episode_limit; train takes them from the data")
        self.rule, self.threshold = rule_of(c.termination or ""), c.keep_above
        self.network = MLP(sizes.observation + 1, c.hidden, sizes.action)
        actor = self.network.initialise(self.seeds, "actor")
        self.add("actor", actor, c.learning_rate, coupled_decay=c.weight_decay)
        self.imagination = self.episodes = Episodes(
            c.rollouts_needed,
            c.episode_limit,
            len(self.seeds),
            sizes.observation,
            sizes.action,
            self.device,
            self.dtype,
        )

    def prepare(self, data: View, say: Callable[[str], None]) -> None:
        """Fit the model and the behaviour policy of each seed, play whole episodes, and keep the good ones.

        Raises:
            OffbenchError: a seed keeps none.
        """
        c, view, model = self.config, cast(Transitions, data), dynamics_config(self)
        ensemble = fitted(view, model, self.seeds, say).parameters
        network = model.network(view.observation_size, view.action_size)
        world = Learned(network, ensemble, model.elites, self.rule, everyone=False)
        clone = BehaviourConfig(
            c.diffusion_steps,
            c.behaviour_width,
            c.behaviour_blocks,
            c.behaviour_updates,
            c.behaviour_batch_size,
            c.behaviour_learning_rate,
        )
        behaviour = fit_behaviour(view, clone, self.seeds, say)
        self.episodes.collect(
            world, behaviour.act, view, self.keys, self.threshold, c.rollout_count, c.rollout_batches, say
        )

    def losses(self, networks: Networks, batch: ConditionedBatch) -> Metrics:
        """L = E (f(s, g) - a)^2, averaged over action dimensions, g the return to go over ``return_scale``."""
        predicted = self.network(networks["actor"], self.inputs(batch.observations, batch.returns_to_go))
        return {"actor_loss": ((predicted - batch.actions) ** 2).mean((1, 2))}

    def inputs(
        self, observations: Float[Tensor, "seeds batch observation"], returns_to_go: Float[Tensor, "seeds batch"]
    ) -> Float[Tensor, "seeds batch observation+1"]:
        """(s, g)."""
        return torch.cat([observations, (returns_to_go / self.config.return_scale).unsqueeze(-1)], -1)

    def update(self, batch: ConditionedBatch) -> Metrics:
        """One Adam step."""
        return self.descend(self.losses, ["actor"], batch)

    def choose(
        self, observations: Float[Tensor, "seeds batch observation"], returns_to_go: Float[Tensor, "seeds batch"]
    ) -> Float[Tensor, "seeds batch action"]:
        """f(s, g), clipped to [-1, 1]."""
        return self.network(self.networks["actor"], self.inputs(observations, returns_to_go)).clamp(-1, 1)

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """Actions of the first step of episodes."""
        return self.choose(observations, self.episodes.target.unsqueeze(1).expand(observations.shape[:2]))

    def acting(self) -> Acting:
        """The policies, asked for the largest return of a kept rollout, which each observed reward lowers."""
        return Asked(self.choose, self.episodes.target, 1.0)
