"""RAVL: EDAC's losses on what is imagined, and no penalty."""

import pytest
import torch

from offbench.algorithms.base import Sizes
from offbench.algorithms.edac import EDAC, EDACConfig
from offbench.algorithms.ravl import RAVL, RAVLConfig
from offbench.data.transitions import Batch

SMALL = {"hidden": (16, 16), "dynamics_hidden": (8,), "rollout_count": 20, "rollout_length": 3, "rollout_every": 10,
         "batch_size": 16, "termination": "HalfCheetah", "critics": 4}  # fmt: skip


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    s, following = torch.randn(2, 2, 16, 3, dtype=torch.float64, generator=generator)
    a, r = torch.rand(2, 16, 2, dtype=torch.float64, generator=generator) * 2 - 1, s[..., 0]
    names = ("alpha_action", "actor_action", "next_action")
    noise = {name: torch.randn(2, 16, 2, dtype=torch.float64, generator=generator) for name in names}
    return Batch(s, a, r, following, (r > 1).double(), noise)


@pytest.mark.parametrize("diversity", [0.0, 1.0, 5.0])
def test_updates_are_those_of_edac(diversity) -> None:
    ravl = RAVL(RAVLConfig(**SMALL, diversity=diversity), Sizes(3, 2), [0, 1], 10, dtype=torch.float64)
    plain = {"hidden": (16, 16), "batch_size": 16, "critics": 4, "diversity": diversity}
    edac = EDAC(EDACConfig(**plain), Sizes(3, 2), [0, 1], 10, dtype=torch.float64)
    for name, network in edac.networks.items():  # RAVL draws the first layer of its critics from another range
        for key, value in network.items():
            ravl.networks[name][key].copy_(value)
    for _ in range(3):
        ours, theirs = ravl.update(batch()), edac.update(batch())
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-10, atol=1e-12)
    for name in ("critic", "actor", "target_critic", "temperature"):
        for key, value in edac.networks[name].items():
            torch.testing.assert_close(ravl.networks[name][key], value, rtol=1e-9, atol=1e-12)


def test_rewards_are_not_penalised() -> None:
    assert RAVL(RAVLConfig(**SMALL), Sizes(3, 2), [0], 10).imagination.penalise is None


def test_q_is_the_mean_over_critics_and_batch() -> None:
    ravl = RAVL(RAVLConfig(**SMALL), Sizes(3, 2), [0, 1], 10, dtype=torch.float64)
    values = ravl.update(batch())
    q = ravl.critic(ravl.networks["critic"], torch.cat(batch()[:2], -1))
    torch.testing.assert_close(values["q"], q.mean((1, 2, 3)))
