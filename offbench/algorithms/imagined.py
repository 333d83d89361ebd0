"""What methods share that learn from branches in fitted dynamics: the model, the branches and their hyperparameters.

Their configs have the fields ``rollout_length``, ``rollout_count``, ``rollout_every``, ``rollouts_kept``,
``real_ratio``, ``termination``, ``dynamics``, ``dynamics_hidden`` and ``dynamics_epochs``, and ``dynamics_members``
where that may be chosen; all have a ``sample``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from offbench.algorithms.base import Algorithm, View, within
from offbench.data.transitions import Transitions
from offbench.dynamics import fitting
from offbench.dynamics.fitting import DynamicsConfig
from offbench.dynamics.imagination import Branches, Imagination, Penalise
from offbench.dynamics.store import fitted
from offbench.dynamics.terminations import rule_of
from offbench.dynamics.worlds import Learned


def check_rollouts(config: Any) -> None:
    """Refuse branches of nothing with one sentence."""
    within("real_ratio", config.real_ratio, 0, 1, open_high=True)
    for name in ("rollout_length", "rollout_count", "rollout_every", "rollouts_kept", "dynamics_epochs"):
        within(name, getattr(config, name), 1, 10**9)


def learned_imagination(algorithm: Any, penalise: Penalise | None = None) -> Imagination:
    """Branches in an ensemble, whose parameters become the network ``dynamics`` of the algorithm.

    Raises:
        OffbenchError: no rule says when an imagined episode terminates.
    """
    c, sizes, model = algorithm.config, algorithm.sizes, dynamics_config(algorithm)
    network = model.network(sizes.observation, sizes.action)
    algorithm.add("dynamics", network.initialise(algorithm.seeds, "dynamics"), None)
    world = Learned(network, algorithm.networks["dynamics"], model.elites, rule_of(c.termination or ""))
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
    members = getattr(c, "dynamics_members", fitting.PRESETS[c.dynamics].members)
    return fitting.chosen(c.dynamics, c.dynamics_hidden, c.dynamics_epochs, members)
