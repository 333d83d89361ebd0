"""Behaviour cloning (BC): regression from states to actions.

The baseline that every method has to beat: it can be as good as the average action of the data and no better. %BC
(Chen et al. 2021, arXiv 2106.01345) imitates the episodes of highest return alone: ``top_fraction=0.1`` is 10%BC.
Hyperparameters follow CORL (commit eeeeef26), any_percent_bc. There an episode ends after 1000 rows of a list that
lacks the last step of each truncated episode, so that its episodes drift across the true ones; here they are the true
ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import Algorithm, Metrics, Networks, within
from offbench.data.transitions import Batch
from offbench.nn.mlp import MLP
from offbench.nn.policies import TanhMeanPolicy


@dataclass(frozen=True)
class BCConfig:
    """Hyperparameters of BC."""

    hidden: tuple[int, ...] = (256, 256)
    """Sizes of the hidden layers."""
    learning_rate: float = 3e-4
    """Learning rate of Adam."""
    batch_size: int = 256
    """Transitions a seed in one update."""
    normalise_states: bool = True
    """Standardise states by their mean and standard deviation over the data."""
    top_fraction: float = 1.0
    """Share of the episodes that are imitated, those of highest undiscounted return; at least one."""

    def __post_init__(self) -> None:
        within("learning_rate", self.learning_rate, 0, 1, open_low=True)
        within("top_fraction", self.top_fraction, 0, 1, open_low=True)


class BC(Algorithm):
    """pi(s) = tanh(network(s)), trained on (pi(s) - a)^2."""

    Config = BCConfig
    requires: ClassVar[tuple[str, ...]] = ("actions",)
    metrics: ClassVar[tuple[str, ...]] = ("actor_loss",)
    config: BCConfig

    def build(self) -> None:
        """One deterministic policy."""
        self.actor = TanhMeanPolicy(MLP(self.sizes.observation, self.config.hidden, self.sizes.action))
        self.add("actor", self.actor.initialise(self.seeds, "actor"), self.config.learning_rate)

    def losses(self, networks: Networks, batch: Batch) -> Metrics:
        """L = mean (pi(s) - a)^2, a mean over the batch and over action dimensions."""
        error = self.actor.mean(networks["actor"], batch.observations) - batch.actions
        return {"actor_loss": (error**2).mean((-2, -1))}

    def update(self, batch: Batch) -> Metrics:
        """One Adam step."""
        return self.descend(self.losses, ["actor"], batch)

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """pi(s)."""
        return self.actor.mean(self.networks["actor"], observations)
