"""Critics at several actions a state, and their soft maximum: what CQL and COMBO push down.

Source: Kumar et al. 2020, CQL (arXiv 2006.04779), equation 4 and appendix F.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.nn.mlp import MLP, Parameters
from offbench.nn.policies import squashed

Heads = tuple[
    Float[Tensor, "seeds batch action"], Float[Tensor, "seeds batch action"]
]  # mean and log standard deviation


def several(
    heads: Heads, noise: Float[Tensor, "seeds batch samples action"]
) -> tuple[Float[Tensor, "seeds batch samples action"], Float[Tensor, "seeds batch samples"]]:
    """Several actions a state and their log-densities."""
    mean, log_std = heads
    return squashed(mean.unsqueeze(2), log_std.unsqueeze(2), noise)


def values(
    critic: MLP,
    parameters: Parameters,
    s: Float[Tensor, "seeds batch observation"],
    actions: Float[Tensor, "seeds batch samples action"],
) -> Float[Tensor, "seeds members batch samples"]:
    """Q_i(s, a_j)."""
    repeated = s.unsqueeze(2).expand(-1, -1, actions.shape[2], -1)
    found = critic(parameters, torch.cat([repeated, actions], -1).flatten(1, 2))  # (seeds, members, batch * n, 1)
    return found.view(*found.shape[:2], *actions.shape[1:3])


def soft_maximum(
    critic: MLP,
    parameters: Parameters,
    s: Float[Tensor, "seeds batch observation"],
    heads: Heads,
    next_heads: Heads,
    noise: Mapping[str, Float[Tensor, "seeds ..."]],
) -> Float[Tensor, "seeds members batch"]:
    """log sum_j exp Q_i(s, a_j) / p(a_j), over uniform actions and those of pi(s) and pi(s').

    ``noise`` has standard normal numbers (seeds, batch, samples, action) for each kind: ``uniform``, ``present`` and
    ``next``. No gradient reaches the policy.
    """
    with torch.no_grad():
        uniform = torch.erf(noise["uniform"] / math.sqrt(2))  # of a standard normal number: uniform on (-1, 1)
        density = torch.full_like(uniform[..., 0], -uniform.shape[-1] * math.log(2))
        present, present_density = several(heads, noise["present"])
        following, following_density = several(next_heads, noise["next"])
        actions = torch.cat([uniform, following, present], 2)  # (seeds, batch, 3 samples, action)
        log_density = torch.cat([density, following_density, present_density], 2)
    q = values(critic, parameters, s, actions)
    return torch.logsumexp(q - log_density.unsqueeze(1), -1)
