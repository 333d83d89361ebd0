"""Expectiles (Newey and Powell 1987): means at which errors of one sign count more than those of the other."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def expectile_loss(u: Float[Tensor, "*points"], tau: float) -> Float[Tensor, "*points"]:
    """|tau - 1(u < 0)| u^2, elementwise; its minimiser over a constant shift is the tau-expectile."""
    return torch.where(u > 0, tau, 1 - tau) * u**2
