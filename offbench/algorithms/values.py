"""The critics of an algorithm as functions of the state, for what is to be weighted or judged by them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import Algorithm
from offbench.data.scaling import Scaling
from offbench.dynamics.value_aware import Values
from offbench.errors import OffbenchError
from offbench.nn.mlp import MLP


def critic_values(algorithm: Algorithm, scaling: Scaling) -> Values:
    """V_i(s) = Q_i(s, pi(s)) of every critic of the algorithm's first seed, and of every target critic.

    States are the environment's own, which ``scaling`` turns into what the algorithm has learned from. The gradient of
    such a V also passes through the policy. ``policy = Run(folder).policy(seed)`` has both:
    ``critic_values(policy.algorithms[0], policy.scaling)``.

    Raises:
        OffbenchError: the algorithm has no critics.
    """
    critic, networks = getattr(algorithm, "critic", None), algorithm.networks
    if not isinstance(critic, MLP) or "critic" not in networks:
        raise OffbenchError(f"{type(algorithm).__name__} has no critic, whose values could be taken; use IQL, for one")
    names = [name for name in ("critic", "target_critic") if name in networks]
    mean, std = (torch.as_tensor(part, dtype=algorithm.dtype) for part in (scaling.mean, scaling.std))

    def values(states: Float[Tensor, "rows observation"]) -> Float[Tensor, "functions rows"]:
        s = ((states.to(algorithm.dtype) - mean) / std).expand(len(algorithm.seeds), -1, -1)
        pairs = torch.cat([s, algorithm.act(s)], -1)
        return torch.cat([critic(networks[name], pairs)[0].flatten(0, -3).squeeze(-1) for name in names])

    return values
