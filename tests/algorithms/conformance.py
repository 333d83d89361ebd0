"""What every algorithm must do, whatever it learns: a toy dataset and helpers for the shared tests."""

import numpy as np
import torch

from offbench.algorithms.base import Algorithm, Sizes
from offbench.data.trajectories import Trajectories
from offbench.training.group import Group
from offbench.training.views import completed, make_view

SIZES = Sizes(observation=3, action=2)


def toy(episodes: int = 20, length: int = 15, seed: int = 0, scale: float = 1.0) -> Trajectories:
    """Actions are a fixed function of the state; rewards are noise. States and rewards are multiplied by ``scale``."""
    rng = np.random.default_rng(seed)
    steps = episodes * length
    observations = rng.normal(size=(steps + episodes, 3)).astype(np.float32)
    rows = np.arange(steps) + np.repeat(np.arange(episodes), length)
    actions = np.tanh(observations[rows, :2]).astype(np.float32) * 0.9
    ends = np.zeros(steps, bool)
    ends[length - 1 :: length] = True
    half = np.arange(steps) < steps // 2
    return Trajectories(
        observations=observations * np.float32(scale),
        offsets=np.arange(0, steps + 1, length, dtype=np.int64),
        terminations=ends & half,
        truncations=ends & ~half,
        actions=actions,
        rewards=rng.normal(size=steps).astype(np.float32) * np.float32(scale),
        action_range=(-np.ones(2, np.float32), np.ones(2, np.float32)),
    )


def group(
    algorithm: type[Algorithm], seeds, dtype=torch.float64, step=None, mixed=False, scale=1.0, **changes
) -> Group:
    """A freshly initialised group on the toy data, its states standardised unless they are scaled."""
    usual = {"hidden": (32, 32), "batch_size": 16, "normalise_states": scale == 1}
    known = {name: value for name, value in usual.items() if name in algorithm.Config.__dataclass_fields__}
    data = toy(scale=scale)
    config = completed(algorithm.Config(**known | changes), data, None)
    made = algorithm(config, SIZES, seeds, 1000, dtype=dtype, mixed_precision=mixed)
    return Group(made, make_view(algorithm, config, data, dtype=dtype), step or type(made).step)


def difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Largest absolute difference of two states."""
    assert one.keys() == other.keys()
    return float(torch.stack([(one[name].double() - other[name].double()).abs().max() for name in one]).max())


def seed_of(state: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    """The state of one seed of a group."""
    return {name: value[row : row + 1] if value.dim() else value for name, value in state.items()}
