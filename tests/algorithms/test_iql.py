import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from offbench.algorithms.base import Sizes
from offbench.algorithms.iql import IQL, MAX_WEIGHT, IQLConfig
from offbench.data.transitions import Batch
from offbench.errors import OffbenchError
from offbench.nn.expectiles import expectile_loss

SIZES = Sizes(observation=2, action=1)


def batch(size=32, seeds=1, rewards=None, terminations=0.0, dtype=torch.float64) -> Batch:
    generator = torch.Generator().manual_seed(0)
    s = torch.randn(seeds, size, 2, generator=generator, dtype=dtype)
    a = torch.rand(seeds, size, 1, generator=generator, dtype=dtype) * 2 - 1
    r = torch.randn(seeds, size, generator=generator, dtype=dtype) if rewards is None else rewards
    s_next = torch.randn(seeds, size, 2, generator=generator, dtype=dtype)
    return Batch(s, a, r, s_next, torch.full((seeds, size), terminations, dtype=dtype))


def make(**changes) -> IQL:
    return IQL(IQLConfig(hidden=(16, 16), **changes), SIZES, [0], 100, dtype=torch.float64)


@given(st.floats(0.05, 0.95))
def test_the_expectile_of_a_uniform_distribution(tau):
    # On U(0, 1) the tau-expectile m solves tau (1 - m)^2 = (1 - tau) m^2.
    x = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    m = torch.tensor(np.sqrt(tau) / (np.sqrt(tau) + np.sqrt(1 - tau)), requires_grad=True)
    expectile_loss(x - m, tau).mean().backward()
    assert abs(float(m.grad)) < 1e-6


def test_tau_one_half_is_half_the_squared_error():
    u = torch.linspace(-2, 2, 9)
    torch.testing.assert_close(expectile_loss(u, 0.5), 0.5 * u**2)


def test_losses_equal_the_equations_written_out():
    algorithm, b = make(expectile=0.8, beta=2.0), batch(terminations=0.0)
    values = algorithm.losses(algorithm.networks, b)
    networks = algorithm.networks
    sa = torch.cat([b.observations, b.actions], -1)
    q1, q2 = algorithm.critic(networks["critic"], sa)[0, :, :, 0]
    v = algorithm.value(networks["value"], b.observations)[0, :, 0]
    v_next = algorithm.value(networks["value"], b.next_observations)[0, :, 0]
    u = torch.minimum(q1, q2) - v  # targets start as copies
    weight = torch.where(u > 0, 0.8, 0.2)
    y = b.rewards[0] + 0.99 * v_next
    mean = torch.tanh(algorithm.actor.network(networks["actor"], b.observations))[0]
    log_prob = torch.distributions.Normal(mean, 1.0).log_prob(b.actions[0]).sum(-1)
    expected = {
        "value_loss": (weight * u**2).mean(),
        "critic_loss": ((q1 - y) ** 2).mean() / 2 + ((q2 - y) ** 2).mean() / 2,
        "actor_loss": -(torch.exp(2 * u).clamp(max=100) * log_prob).mean(),
    }
    for name, value in expected.items():
        torch.testing.assert_close(values[name][0], value, rtol=1e-10, atol=1e-12)


def test_a_termination_stops_the_bootstrap():
    algorithm = make()
    algorithm.networks["value"]["layer2.bias"] += 50.0
    r = torch.zeros(1, 32, dtype=torch.float64)
    ended = algorithm.losses(algorithm.networks, batch(rewards=r, terminations=1.0))["critic_loss"]
    going_on = algorithm.losses(algorithm.networks, batch(rewards=r, terminations=0.0))["critic_loss"]
    assert float(ended) < 5
    assert float(going_on) > 40**2


def test_each_loss_moves_its_own_network_only():
    algorithm, b = make(), batch()
    for loss, own in (("value_loss", "value"), ("critic_loss", "critic"), ("actor_loss", "actor")):
        trained = {name: algorithm.networks[name] for name in ("value", "critic", "actor")}

        def total(networks, loss=loss):
            return algorithm.losses(algorithm.networks | networks, b)[loss].sum()

        gradients = torch.func.grad(total)(trained)
        for name, parameters in gradients.items():
            moved = max(float(value.abs().max()) for value in parameters.values())
            assert (moved > 0) == (name == own), (loss, name)


def test_weights_are_clipped_after_the_exponential():
    algorithm, b = make(beta=10.0, actor="deterministic"), batch()
    algorithm.networks["target_critic"]["layer2.bias"] += 1000.0
    mean = algorithm.actor.mean(algorithm.networks["actor"], b.observations)
    expected = MAX_WEIGHT * ((mean - b.actions) ** 2).sum(-1).mean()
    torch.testing.assert_close(algorithm.losses(algorithm.networks, b)["actor_loss"][0], expected)


def test_the_target_follows_the_new_critic():
    algorithm = make(polyak=0.25)
    before = algorithm.networks["target_critic"]["layer0.weight"].clone()
    algorithm.update(batch())
    expected = 0.75 * before + 0.25 * algorithm.networks["critic"]["layer0.weight"]
    torch.testing.assert_close(algorithm.networks["target_critic"]["layer0.weight"], expected)


def test_finds_the_better_of_two_actions_that_the_data_mix():
    # A bandit: reward is the sign of the action. The mean action is 0; the value of the best one is 1.
    algorithm = IQL(
        IQLConfig(expectile=0.9, beta=10.0, hidden=(32,), learning_rate=1e-2, polyak=0.2), SIZES, [0, 1], 200
    )
    generator = torch.Generator().manual_seed(1)
    for _ in range(200):
        s = torch.randn(2, 64, 2, generator=generator)
        a = torch.sign(torch.randn(2, 64, 1, generator=generator)) * 0.8
        algorithm.update(Batch(s, a, torch.sign(a[..., 0]), s, torch.ones(2, 64)))
    s = torch.randn(2, 100, 2, generator=generator)
    value = algorithm.value(algorithm.networks["value"], s)
    assert (algorithm.act(s) > 0.6).all()
    assert float(value.mean()) == pytest.approx(0.8, abs=0.15)  # the 0.9-expectile of two equally likely +-1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"expectile": 1.5}, r"expectile must lie in \(0, 1\), not 1.5"),
        ({"discount": -0.1}, r"discount must lie in \[0, 1\]"),
        ({"polyak": 0.0}, r"polyak must lie in \(0, 1\]"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), not 1.0"),
        ({"log_std_range": (2.0, -5.0)}, r"lower log_std_range must lie in \[-100, -5.0\], not 2.0"),
        ({"expectile": float("nan")}, "not nan"),
    ],
)
def test_hyperparameters_without_meaning_are_refused(changes, sentence):
    with pytest.raises(OffbenchError, match=sentence):
        IQLConfig(**changes)
