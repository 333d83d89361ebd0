"""What methods share that are soft actor-critic on branches in fitted dynamics, as OfflineRL-Kit has it.

Twin Q with Polyak targets, a squashed Gaussian policy and a temperature that holds its entropy at minus the size of an
action (Haarnoja et al. 2018, arXiv 1801.01290). The networks are called ``critic``, ``target_critic``, ``actor`` and
``temperature``; constants are OfflineRL-Kit's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import Metrics, Networks, copy, within
from offbench.algorithms.imagined import ImaginedConfig
from offbench.data.transitions import Batch
from offbench.nn.adam import Schedule
from offbench.nn.ensembles import SLOPE_EPSILON
from offbench.nn.mlp import MLP
from offbench.nn.policies import SquashedGaussianPolicy


@dataclass(frozen=True)
class SoftConfig(ImaginedConfig):
    """Hyperparameters of soft actor-critic on branches."""

    discount: float = 0.99
    """gamma."""
    polyak: float = 0.005
    """Share of the new Q in each move of the target Q."""
    hidden: tuple[int, ...] = (256, 256)
    """Sizes of the hidden layers of critics and policy."""
    actor_learning_rate: float = 1e-4
    """Learning rate of Adam for the policy."""
    actor_schedule: Schedule = "cosine"
    """How that changes over the run."""
    critic_learning_rate: float = 3e-4
    """Learning rate of Adam for the critics."""
    temperature_learning_rate: float = 1e-4
    """Learning rate of Adam for the temperature."""
    log_std_range: tuple[float, float] = (-5.0, 2.0)
    """Bounds of the policy's log standard deviation."""
    batch_size: int = 256
    """Transitions a seed in one update, real and imagined."""

    def __post_init__(self) -> None:
        super().__post_init__()
        within("discount", self.discount, 0, 1)
        within("polyak", self.polyak, 0, 1, open_low=True)
        within("lower log_std_range", self.log_std_range[0], -100, self.log_std_range[1])


def soft_networks(algorithm: Any) -> tuple[MLP, SquashedGaussianPolicy]:
    """Critic and actor, once their parameters, the targets and the logarithm of the temperature were added."""
    c, sizes, seeds = algorithm.config, algorithm.sizes, algorithm.seeds
    critic = MLP(sizes.observation + sizes.action, c.hidden, 1, members=2)
    actor = SquashedGaussianPolicy(
        MLP(sizes.observation, c.hidden, 2 * sizes.action), c.log_std_range, slope_epsilon=SLOPE_EPSILON
    )
    parameters = critic.initialise(seeds, "critic")
    algorithm.add("critic", parameters, c.critic_learning_rate)
    algorithm.add("target_critic", copy(parameters), None)
    algorithm.add("actor", actor.network.initialise(seeds, "actor"), c.actor_learning_rate, c.actor_schedule)
    zero = torch.zeros(len(seeds), 1, dtype=torch.float64)
    algorithm.add("temperature", {"log": zero}, c.temperature_learning_rate)
    return critic, actor


def values(
    algorithm: Any,
    network: str,
    states: Float[Tensor, "seeds batch observation"],
    actions: Float[Tensor, "seeds batch action"],
) -> Float[Tensor, "seeds 2 batch"]:
    """Q_i(s, a) of ``critic`` or ``target_critic``, as they are."""
    found: Tensor = algorithm.critic(algorithm.networks[network], torch.cat([states, actions], -1))[..., 0]
    return found


def policy_losses(algorithm: Any, alpha: Float[Tensor, "seeds 1"], networks: Networks, batch: Batch) -> Metrics:
    """L_pi = E (alpha log pi(a~ | s) - min_i Q_i(s, a~)); L_alpha = -log alpha E (log pi(a~ | s) - |A|).

    The entropy is held at -|A|; no gradient of one loss reaches the other's network.
    """
    s = batch.observations
    sampled, log_prob = algorithm.actor.sample(networks["actor"], s, batch.noise["action"])
    q = values(algorithm, "critic", s, sampled).amin(1)
    surplus = log_prob.detach() - algorithm.sizes.action
    return {
        "actor_loss": (alpha * log_prob - q).mean(-1),
        "temperature_loss": -(networks["temperature"]["log"] * surplus).mean(-1),
    }
