"""What a preference says of two numbers: P(second preferred) = exp(z_1) / (exp(z_0) + exp(z_1)), Bradley-Terry 1952.

A label y is the share by which the second is preferred: 0 the first, 1 the second, 1/2 neither. With d = z_1 - z_0 the
cross-entropy is softplus(d) - y d, and its slope in d is sigmoid(d) - y: at a tie it pulls d to 0.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def cross_entropies(
    differences: Float[Tensor, "*stack pairs"], labels: Float[Tensor, "*#stack pairs"]
) -> Float[Tensor, "*stack pairs"]:
    """-(1 - y) log P(first) - y log P(second), in nats.

    Args:
        differences: d, what the second segment is given less what the first is.
        labels: y, in [0, 1].
    """
    return torch.nn.functional.softplus(differences) - labels * differences


def accuracies(
    differences: Float[Tensor, "*stack pairs"], labels: Float[Tensor, "*#stack pairs"]
) -> Float[Tensor, " *stack"]:
    """The share of the pairs without a tie whose preferred segment is given more; equal numbers count half.

    Where all pairs are ties there is none, NaN.
    """
    told = (labels != 0.5).to(differences.dtype)
    right = ((differences.sign() * (2 * labels - 1).sign()) + 1) / 2
    return (right * told).sum(-1) / told.expand_as(right).sum(-1)
