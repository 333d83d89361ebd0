"""How unsure an ensemble is of a transition: what MOPO subtracts from the reward.

Source: Yu et al. 2020, MOPO (arXiv 2005.13239), and OfflineRL-Kit's variants for ``max_aleatoric``, ``ensemble_std``
and ``pairwise_difference``. ``ensemble_variance`` and ``loo_kl`` follow Lu et al. 2022, "Revisiting Design Choices in
Offline Model-Based Reinforcement Learning" (arXiv 2110.04135), as remembered: their code was not at hand. All members
count, not the elites alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.dynamics.network import Prediction

Penalty = Literal["none", "max_aleatoric", "ensemble_std", "ensemble_variance", "pairwise_difference", "loo_kl"]
_SMALLEST_VARIANCE = 1e-12


def none(prediction: Prediction) -> Float[Tensor, "seeds batch"]:
    """Nothing: MBPO's way, without pessimism."""
    return torch.zeros_like(prediction.means[:, 0, :, 0])


def max_aleatoric(prediction: Prediction) -> Float[Tensor, "seeds batch"]:
    """The length of the longest vector of standard deviations, max_i |sigma_i|: MOPO's own."""
    found: Tensor = torch.linalg.vector_norm(prediction.stds, dim=-1).amax(1)
    return found


def ensemble_std(prediction: Prediction) -> Float[Tensor, "seeds batch"]:
    """The root of the mean over dimensions of the members' variance of the means."""
    return prediction.means.var(1, correction=0).mean(-1).sqrt()


def ensemble_variance(prediction: Prediction) -> Float[Tensor, "seeds batch"]:
    """The length of the mixture's variance, mean_i (sigma_i^2 + mu_i^2) - (mean_i mu_i)^2."""
    found: Tensor = torch.linalg.vector_norm(_mixture(prediction)[1], dim=-1)
    return found


def pairwise_difference(prediction: Prediction) -> Float[Tensor, "seeds batch"]:
    """max_i |mu_i - mean mu| over the next observation."""
    states = prediction.means[..., :-1]
    found: Tensor = torch.linalg.vector_norm(states - states.mean(1, keepdim=True), dim=-1).amax(1)
    return found


def loo_kl(prediction: Prediction) -> Float[Tensor, "seeds batch"]:
    """The largest KL of a member from the Gaussian with the moments of the mixture of the others."""
    means, variances, members = prediction.means, prediction.stds**2, prediction.means.shape[1]
    first, second = means.sum(1, keepdim=True) - means, (variances + means**2).sum(1, keepdim=True)
    mean = first / (members - 1)
    variance = (second - variances - means**2) / (members - 1) - mean**2
    own, other = variances.clamp(min=_SMALLEST_VARIANCE), variance.clamp(min=_SMALLEST_VARIANCE)
    divergence = 0.5 * (torch.log(other / own) + (own + (means - mean) ** 2) / other - 1)
    return divergence.sum(-1).amax(1)


def _mixture(prediction: Prediction) -> tuple[Tensor, Tensor]:
    """Mean and variance of the members' mixture, (seeds, batch, observation+1)."""
    mean = prediction.means.mean(1)
    return mean, (prediction.stds**2 + prediction.means**2).mean(1) - mean**2


# Those that say nothing, or are not defined, of one member.
OF_SEVERAL: tuple[Penalty, ...] = ("ensemble_std", "pairwise_difference", "loo_kl")
PENALTIES: dict[Penalty, Callable[[Prediction], Float[Tensor, "seeds batch"]]] = {
    "none": none,
    "max_aleatoric": max_aleatoric,
    "ensemble_std": ensemble_std,
    "ensemble_variance": ensemble_variance,
    "pairwise_difference": pairwise_difference,
    "loo_kl": loo_kl,
}
