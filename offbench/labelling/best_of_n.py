"""Optimising a reward by choosing: the best of n by a proxy, and how far that goes from choosing at random.

The true reward of what is chosen, over n, tells whether a proxy is over-optimised: it turns down. Source: Coste et al.
2024, "Reward Model Ensembles Help Mitigate Overoptimization" (arXiv 2310.02743).
"""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor


def kl(n: int) -> float:
    """The divergence of the best of n draws from a single one, log n - (n - 1) / n nats."""
    return math.log(n) - (n - 1) / n


def chosen(
    true: Float[Tensor, "trials samples"], proxy: Float[Tensor, "trials samples"], n: int
) -> Float[Tensor, " draws"]:
    """The true rewards of those that the proxy prefers, of every n samples; what is left over is not drawn.

    Args:
        true: rewards of independent samples.
        proxy: what is maximised, of the same samples.
        n: drawn at a time.
    """
    whole = true.shape[-1] // n * n
    own, told = (part[:, :whole].reshape(-1, n) for part in (true, proxy))
    return own.gather(1, told.argmax(1, keepdim=True))[:, 0]
