"""COMBO: where Q is pushed down, where up, and what targets hold."""

import math

import pytest
import torch

from offbench.algorithms.base import Sizes
from offbench.algorithms.combo import COMBO, COMBOConfig
from offbench.data.transitions import Batch
from offbench.errors import OffbenchError

SMALL = {"hidden": (16, 16), "dynamics_hidden": (8,), "rollout_count": 20, "rollout_length": 3, "rollout_every": 10,
         "batch_size": 8, "sampled_actions": 2, "termination": "HalfCheetah"}  # fmt: skip


def combo(**changes) -> COMBO:
    return COMBO(COMBOConfig(**SMALL | changes), Sizes(3, 2), (0, 1), 100, dtype=torch.float64)


def batch_of(algorithm) -> Batch:
    generator = torch.Generator().manual_seed(0)
    s, s_next = (torch.randn(2, 8, 3, dtype=torch.float64, generator=generator) for _ in range(2))
    a = torch.rand(2, 8, 2, dtype=torch.float64, generator=generator) * 2 - 1
    r = torch.randn(2, 8, dtype=torch.float64, generator=generator)
    ends = torch.tensor([0.0, 1.0] * 4, dtype=torch.float64).expand(2, 8)
    noise = {
        name: torch.randn(2, *shape, dtype=torch.float64, generator=generator)
        for name, shape in algorithm.noise().items()
    }
    return Batch(s, a, r, s_next, ends, noise)


def q_of(algorithm, states, actions):
    return algorithm.critic(algorithm.networks["critic"], torch.cat([states, actions], -1))[..., 0]


@pytest.mark.parametrize(("pushed_down", "first"), [("mixed", 0), ("imagined", 4)])
def test_q_is_pushed_down_in_imagined_states_and_up_at_the_datas_pairs(pushed_down, first) -> None:
    algorithm = combo(pushed_down=pushed_down, conservatism=3.0)
    batch = batch_of(algorithm)
    loss = algorithm.critic_loss(algorithm.networks, batch)["critic_loss"]
    s, q = batch.observations, q_of(algorithm, batch.observations, batch.actions)
    bellman = ((q - algorithm.target(batch).unsqueeze(1)) ** 2).mean(-1)
    terms = []  # Q_i(s, a_j) - log p(a_j), one action after another
    for kind, states in (("present", s), ("next", batch.next_observations)):
        for number in range(2):
            heads = states[:, first:], batch.noise[kind][:, :, number]
            action, log_prob = algorithm.actor.sample(algorithm.networks["actor"], *heads)
            exact = log_prob + 0  # densities without the epsilon in the slope differ by less than 1e-5 here
            terms.append(q_of(algorithm, s[:, first:], action) - exact.unsqueeze(1))
    for number in range(2):
        action = torch.erf(batch.noise["uniform"][:, :, number] / math.sqrt(2))
        terms.append(q_of(algorithm, s[:, first:], action) + 2 * math.log(2))
    down = torch.logsumexp(torch.stack(terms), 0).mean(-1)
    expected = (bellman + 3.0 * (down - q[..., :4].mean(-1))).sum(1)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-4)


def test_targets_hold_no_entropy_and_do_not_bootstrap_after_a_termination() -> None:
    algorithm = combo()
    batch = batch_of(algorithm)
    y = algorithm.target(batch)
    torch.testing.assert_close(y[:, 1::2], batch.rewards[:, 1::2])
    s = batch.next_observations
    a = algorithm.sample(s, batch.noise["next_action"])
    q = algorithm.critic(algorithm.networks["target_critic"], torch.cat([s, a], -1))[..., 0].amin(1)
    torch.testing.assert_close(y[:, ::2], (batch.rewards + 0.99 * q)[:, ::2])


def test_a_batch_without_a_row_of_the_data_is_refused() -> None:
    with pytest.raises(OffbenchError, match="rows of the data in a batch"):
        COMBOConfig(real_ratio=0.001)
