"""What methods share that learn from branches in fitted dynamics: the model, the branches and their hyperparameters.

Their configs have the fields ``rollout_length``, ``rollout_count``, ``rollout_every``, ``rollouts_kept``,
``real_ratio``, ``termination``, ``dynamics``, ``dynamics_hidden`` and ``dynamics_epochs``; all have a ``sample``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from offbench.algorithms.base import Algorithm, View, within
from offbench.data.transitions import Transitions
from offbench.dynamics import fitting
from offbench.dynamics.fitting import DynamicsConfig
from offbench.dynamics.imagination import Branches, Imagination, Penalise
from offbench.dynamics.store import fitted
from offbench.dynamics.terminations import rule_of
from offbench.dynamics.worlds import Learned


@dataclass(frozen=True)
class ImaginedConfig:
    """Hyperparameters of what is imagined and of the model that it is imagined in."""

    rollout_length: int = 5
    """k, steps of a branch."""
    rollout_count: int = 50_000
    """Branches that are rolled out each time."""
    rollout_every: int = 1000
    """Updates between two times."""
    rollouts_kept: int = 5
    """Times whose transitions are kept."""
    real_ratio: float = 0.05
    """Share of the data's own transitions in a batch."""
    termination: str | None = None
    """The rule that says when an imagined episode ends; that of the task where it is not given."""
    dynamics: fitting.Preset = "offlinerl-kit"
    """Whose way of fitting the model."""
    dynamics_hidden: tuple[int, ...] = (200, 200, 200, 200)
    """Sizes of the model's hidden layers."""
    dynamics_epochs: int = 2000
    """The model is fitted for no more epochs than these."""

    def __post_init__(self) -> None:
        within("real_ratio", self.real_ratio, 0, 1, open_high=True)
        for name in ("rollout_length", "rollout_count", "rollout_every", "rollouts_kept", "dynamics_epochs"):
            within(name, getattr(self, name), 1, 10**9)


def learned_imagination(algorithm: Any, penalise: Penalise | None = None) -> Imagination:
    """Branches in an ensemble, whose parameters become the network ``dynamics`` of the algorithm.

    Raises:
        OffbenchError: no rule says when an imagined episode terminates.
    """
    c, sizes, model = algorithm.config, algorithm.sizes, dynamics_config(algorithm)
    network = model.network(sizes.observation, sizes.action)
    algorithm.add("dynamics", network.initialise(algorithm.seeds, "dynamics"), None)
    rule = rule_of(c.termination or "")
    world = Learned(network, algorithm.networks["dynamics"], model.elites, rule, everyone=penalise is not None)
    return Imagination(
        Branches(c.rollout_every, c.rollout_count, c.rollout_length, c.rollouts_kept, c.real_ratio),
        world,
        algorithm.sample,
        len(algorithm.seeds),
        sizes.observation,
        sizes.action,
        algorithm.device,
        algorithm.dtype,
        penalise,
    )


def fit_dynamics(algorithm: Algorithm, data: View, say: Callable[[str], None]) -> None:
    """Fit the network ``dynamics`` of every seed, or find it in the cache folder."""
    made = fitted(cast(Transitions, data), dynamics_config(algorithm), algorithm.seeds, say)
    for name, value in made.parameters.items():
        algorithm.networks["dynamics"][name].copy_(value)


def dynamics_config(algorithm: Algorithm) -> DynamicsConfig:
    """How the ensemble is fitted."""
    c = algorithm.config
    return fitting.chosen(c.dynamics, c.dynamics_hidden, c.dynamics_epochs)
