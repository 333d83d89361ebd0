import math

import pytest
import torch
from batches import batch, make, moved, q_values
from hypothesis import given
from hypothesis import strategies as st

from offbench.algorithms.base import Sizes
from offbench.algorithms.xql import XQL, gumbel_loss
from offbench.data.transitions import Batch
from offbench.errors import OffbenchError


def slope(q, v, temperature, largest=60.0):
    """Of the loss of a constant V at v, for values q of equal weight."""

    def loss(v):
        return gumbel_loss((q - v) / temperature, largest).mean()

    return float(torch.func.grad(loss)(torch.tensor(v, dtype=torch.float64)))


@given(
    st.lists(st.floats(-5, 5), min_size=2, max_size=20),
    st.floats(0.3, 10),
)
def test_the_best_constant_is_the_log_partition_function(values, temperature):
    q = torch.tensor([values], dtype=torch.float64)
    best = float(temperature * torch.log(torch.exp(q / temperature).mean()))
    assert abs(slope(q, best, temperature)) < 1e-9
    assert slope(q, best - 0.5, temperature) < 0 < slope(q, best + 0.5, temperature)


def test_the_best_constant_of_a_gaussian_lies_half_its_variance_over_the_temperature_above_its_mean():
    uniform = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    q = (1.0 + 0.8 * torch.special.ndtri(uniform))[None]
    assert abs(slope(q, 1.0 + 0.8**2 / (2 * 0.5), 0.5)) < 1e-3


def test_the_loss_is_the_gumbel_loss_over_the_largest_exponential_of_the_batch():
    z = torch.tensor([[-2.0, 0.5, 3.0], [-4.0, -3.0, -2.0]], dtype=torch.float64)
    scale = torch.exp(torch.tensor([[3.0], [-1.0]], dtype=torch.float64))
    torch.testing.assert_close(gumbel_loss(z, 7.0), (torch.exp(z) - z - 1) / scale)
    clipped = gumbel_loss(z, 1.0)
    torch.testing.assert_close(clipped[0, 2], torch.tensor((math.e - 2) / math.e, dtype=torch.float64))
    assert float(torch.func.grad(lambda z: gumbel_loss(z, 1.0).sum())(z)[0, 2]) == 0


def test_losses_equal_the_equations_written_out():
    algorithm = make(XQL, temperature=0.7, beta=2.0)
    b = batch(algorithm)
    networks = algorithm.networks
    networks["critic"]["layer2.bias"] += 20.0  # so that some errors of Q are beyond the bound of the Huber loss
    smallest = q_values(algorithm, "target_critic", b.observations, b.actions).min(0).values
    v, v_next = (algorithm.value(networks["value"], s)[0, :, 0] for s in (b.observations, b.next_observations))
    z = (smallest - v) / 0.7
    m = max(float(z.max()), -1.0)
    expected = ((torch.exp(z) - z - 1) / math.exp(m)).mean()
    torch.testing.assert_close(algorithm.value_loss(networks, b)["value_loss"][0], expected)

    values = algorithm.other_losses(networks, b)
    error = (q_values(algorithm, "critic", b.observations, b.actions) - b.rewards[0] - 0.99 * v_next).abs()
    assert error.min() < 20 < error.max()
    huber = torch.where(error < 20, 0.5 * error**2, 20 * (error - 10))
    torch.testing.assert_close(values["critic_loss"][0], huber.mean(1).sum())
    mean = torch.tanh(algorithm.actor.network(networks["actor"], b.observations))[0]
    log_prob = torch.distributions.Normal(mean, 1.0).log_prob(b.actions[0]).sum(-1)
    weight = torch.exp(2.0 * (smallest - v)).clamp(max=100)
    torch.testing.assert_close(values["actor_loss"][0], -(weight * log_prob).mean())


def test_each_loss_moves_its_own_network_only():
    algorithm = make(XQL)
    b = batch(algorithm)
    assert moved(algorithm, algorithm.value_loss, b) == {"value"}
    assert moved(algorithm, algorithm.other_losses, b) == {"critic", "actor"}


def test_q_and_policy_see_the_value_that_was_just_moved():
    algorithm, other = make(XQL, learning_rate=1e-2), make(XQL, learning_rate=1e-2)
    b = batch(algorithm)
    metrics = algorithm.update(b)
    other.descend(other.value_loss, ["value"], b)
    for name, value in other.other_losses(other.networks, b).items():
        torch.testing.assert_close(metrics[name], value)


@pytest.mark.parametrize(("temperature", "expected"), [(0.05, 0.965), (100.0, 0.0)])
def test_the_value_goes_from_the_mean_to_the_best_of_two_actions(temperature, expected):
    # A bandit: the reward is the sign of the action, which the data draw evenly: V = T log cosh(1 / T).
    algorithm = make(
        XQL, Sizes(1, 1), size=64, temperature=temperature, largest_exponent=50.0, learning_rate=1e-2, polyak=0.2
    )
    generator = torch.Generator().manual_seed(1)
    for update in range(200):
        s = batch(algorithm, seed=update).observations
        a = torch.sign(torch.randn(1, 64, 1, generator=generator, dtype=torch.float64)) * 0.8
        algorithm.update(Batch(s, a, torch.sign(a[..., 0]), s, torch.ones_like(a[..., 0])))
    value = float(algorithm.value(algorithm.networks["value"], s).mean())
    assert value == pytest.approx(expected, abs=0.15)
    if temperature < 1:
        assert float(algorithm.act(s).mean()) > 0.6


def test_hyperparameters_without_meaning_are_refused():
    with pytest.raises(OffbenchError, match=r"temperature must lie in \(0, inf\], not 0"):
        XQL.Config(temperature=0.0)
    with pytest.raises(OffbenchError, match=r"largest_exponent must lie in \(0, 80\], not 100"):
        XQL.Config(largest_exponent=100.0)
