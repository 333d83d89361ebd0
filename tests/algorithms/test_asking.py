"""Methods that are asked for a return: they do what in the data went with it."""

import numpy as np
import pytest
import torch

from offbench.algorithms import registry
from offbench.algorithms.base import Sizes
from offbench.data.trajectories import Trajectories
from offbench.training.group import Group
from offbench.training.views import completed, make_view

SMALL = {
    "dt": {"context": 3, "embedding": 16, "layers": 1, "warmup": 0, "dropout": 0.0, "batch_size": 64},
    "rvs": {"hidden": (32, 32), "batch_size": 64},
}


def two_kinds(episodes=20, length=8) -> Trajectories:
    """Half of the episodes push forward and earn 1 a step, the others push back and earn 0; states say nothing."""
    rng = np.random.default_rng(0)
    steps = episodes * length
    forward = np.repeat(np.arange(episodes) % 2 == 0, length)
    ends = np.zeros(steps, bool)
    ends[length - 1 :: length] = True
    return Trajectories(
        observations=rng.normal(size=(steps + episodes, 2)).astype(np.float32),
        offsets=np.arange(0, steps + 1, length, dtype=np.int64),
        terminations=np.zeros(steps, bool),
        truncations=ends,
        actions=np.where(forward, 0.6, -0.6).astype(np.float32)[:, None],
        rewards=forward.astype(np.float32),
    )


@pytest.mark.parametrize(("name", "changes"), [("dt", {}), ("rvs", {}), ("rvs", {"condition": "sum"})])
def test_asked_for_much_and_for_little_policies_act_as_the_data_did(name, changes):
    found, data = registry.algorithm(name), two_kinds()
    config = completed(found.Config(**SMALL[name] | changes, learning_rate=1e-2), data, None)
    assert (config.evaluation_target, config.return_scale, config.episode_limit) == (8.0, 8.0, 8)
    group = Group(found(config, Sizes(2, 1), [0], 300), make_view(found, config, data), found.step)
    group.advance(0, 300)
    states = torch.randn(1, 50, 2)
    assert float((group.algorithm.act(states) - 0.6).abs().max()) < 0.25
    group.algorithm.target = 0.0
    assert float((group.algorithm.act(states) + 0.6).abs().max()) < 0.25
