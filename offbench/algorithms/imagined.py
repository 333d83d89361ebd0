"""What methods share that learn in fitted dynamics: the model, the branches and their hyperparameters.

An algorithm whose config is an `ImaginedConfig` has a ``sample``, by which its branches act.
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
from offbench.dynamics.truth import Mixed, Simulated
from offbench.dynamics.worlds import Learned, World
from offbench.environments.task import task
from offbench.errors import OffbenchError


@dataclass(frozen=True)
class ModelConfig:
    """Hyperparameters of the model."""

    termination: str | None = None
    """The rule that says when an imagined episode ends; that of the task where it is not given."""
    dynamics: fitting.Preset = "offlinerl-kit"
    """Whose way of fitting the model."""
    dynamics_hidden: tuple[int, ...] = (200, 200, 200, 200)
    """Sizes of the model's hidden layers."""
    dynamics_epochs: int = 2000
    """The model is fitted for no more epochs than these."""
    dynamics_members: int = 7
    """Networks of the model, of which the five best are drawn from; 1 is a single model."""

    def __post_init__(self) -> None:
        within("dynamics_epochs", self.dynamics_epochs, 1, 10**9)
        within("dynamics_members", self.dynamics_members, 1, 1000)


@dataclass(frozen=True)
class ImaginedConfig(ModelConfig):
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
    truth: float = 0.0
    """How much of imagined next states and rewards is the simulator's: 1 all, 0 none; -1 is a model never fitted."""
    truth_task: str | None = None
    """The task whose simulator that is; the run's own where it is not given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        within("truth", self.truth, -1, 1)
        within("real_ratio", self.real_ratio, 0, 1, open_high=True)
        for name in ("rollout_length", "rollout_count", "rollout_every", "rollouts_kept"):
            within(name, getattr(self, name), 1, 10**9)


def learned_imagination(algorithm: Any, penalise: Penalise | None = None) -> Imagination:
    """Branches in an ensemble, whose parameters become the network ``dynamics`` of the algorithm.

    Raises:
        OffbenchError: no rule says when an imagined episode terminates.
    """
    c, sizes, model = algorithm.config, algorithm.sizes, dynamics_config(algorithm)
    network = model.network(sizes.observation, sizes.action)
    algorithm.add("dynamics", network.initialise(algorithm.seeds, "dynamics"), None)
    learned = Learned(
        network,
        algorithm.networks["dynamics"],
        model.elites,
        rule_of(c.termination or ""),
        everyone=penalise is not None,
    )
    return Imagination(
        Branches(c.rollout_every, c.rollout_count, c.rollout_length, c.rollouts_kept, c.real_ratio),
        _between(algorithm, learned),
        algorithm.sample,
        len(algorithm.seeds),
        sizes.observation,
        sizes.action,
        algorithm.device,
        algorithm.dtype,
        penalise,
    )


def _between(algorithm: Any, learned: Learned) -> World:
    """Where between a random, the learned and the true model branches are played.

    Source: Sims et al. 2024 (arXiv 2402.12527), whose figure interpolates next states and rewards.
    """
    truth, name = algorithm.config.truth, algorithm.config.truth_task
    if truth == 0:
        return learned
    if truth < 0:
        fresh = learned.network.initialise(algorithm.seeds, "random dynamics")
        random = {key: value.to(algorithm.device, algorithm.dtype) for key, value in fresh.items()}
        never_fitted = Learned(learned.network, random, learned.elites, learned.terminates, everyone=False)
        return Mixed(learned, never_fitted, -truth, learned.terminates)
    if name is None:
        raise OffbenchError("truth above 0 takes a simulator, and this run has no task; name one by truth_task")
    simulated = Simulated(task(name))
    return simulated if truth == 1 else Mixed(learned, simulated, truth, learned.terminates)


def fit_dynamics(algorithm: Algorithm, data: View, say: Callable[[str], None], branches_alone: bool = True) -> None:
    """Fit the network ``dynamics`` of every seed, or find it in the cache folder.

    Where the simulator alone plays the branches, a model that serves ``branches_alone`` is not fitted.
    """
    if branches_alone and algorithm.config.truth == 1:
        say("dynamics: none are fitted, the simulator plays all branches")
        return
    made = fitted(cast(Transitions, data), dynamics_config(algorithm), algorithm.seeds, say)
    for name, value in made.parameters.items():
        algorithm.networks["dynamics"][name].copy_(value)


def dynamics_config(algorithm: Algorithm) -> DynamicsConfig:
    """How the ensemble is fitted."""
    c: ModelConfig = algorithm.config
    return fitting.chosen(c.dynamics, c.dynamics_hidden, c.dynamics_epochs, c.dynamics_members)
