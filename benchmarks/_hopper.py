"""Random data of hopper's shapes, which rates are measured on, and methods in their default configuration."""

from typing import Any

import torch

from offbench.algorithms import registry
from offbench.algorithms.base import View
from offbench.data.trajectories import Trajectories
from offbench.training.views import completed, make_view

OBSERVATION, ACTION, TOTAL = 11, 3, 1_000_000  # sizes of the vectors, updates that schedules span


def data(steps: int = 100_000) -> Trajectories:
    """Random episodes of hopper's shapes."""
    generator = torch.Generator().manual_seed(0)
    ends = torch.zeros(steps, dtype=torch.bool)
    ends[999::1000] = True
    return Trajectories(
        observations=torch.randn(steps + steps // 1000, OBSERVATION, generator=generator).numpy(),
        offsets=torch.arange(0, steps + 1, 1000).numpy(),
        terminations=torch.zeros(steps, dtype=torch.bool).numpy(),
        truncations=ends.numpy(),
        actions=torch.randn(steps, ACTION, generator=generator).tanh().numpy(),
        rewards=torch.randn(steps, generator=generator).numpy(),
    )


def prepared(name: str, device: str = "cpu") -> tuple[Any, View]:
    """The method's default configuration, and the data as it sees them on the device."""
    found, trajectories = registry.algorithm(name), data()
    config = completed(found.Config(), trajectories, None)
    return config, make_view(found, config, trajectories, device=device)


def networks(config: Any) -> str:
    """Sizes of the hidden layers, with the number of critics where a method lets one choose it."""
    if hasattr(config, "embedding"):
        return f"{config.layers} blocks, {config.context} x {config.embedding}"
    critics = f", {config.critics} critics" if hasattr(config, "critics") else ""
    return "-".join(map(str, config.hidden)) + critics
