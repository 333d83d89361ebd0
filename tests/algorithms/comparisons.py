"""Random comparisons for the tests of what learns from them."""

import torch

from offbench.data.partial_views import ComparedBatch
from offbench.data.transitions import Batch

LABELS = (0.0, 0.5, 1.0, 1.0)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def compared(labels=LABELS, length: int = 5, transitions: int = 8, seeds: int = 1, terminal: float = 0.0):
    """Pairs with the given labels, the same for each seed, and transitions; 3 numbers of state and 2 of action."""
    pairs = len(labels)
    return ComparedBatch(
        normal(seeds, pairs, length, 3, seed=1),
        torch.tanh(normal(seeds, pairs, length, 2, seed=2)),
        normal(seeds, pairs, length, 3, seed=3),
        torch.tanh(normal(seeds, pairs, length, 2, seed=4)),
        torch.tensor(labels, dtype=torch.float64).expand(seeds, -1),
        Batch(
            normal(seeds, transitions, 3, seed=5),
            torch.tanh(normal(seeds, transitions, 2, seed=6)),
            torch.zeros(seeds, transitions, dtype=torch.float64),
            normal(seeds, transitions, 3, seed=7),
            torch.full((seeds, transitions), terminal, dtype=torch.float64),
        ),
    )
