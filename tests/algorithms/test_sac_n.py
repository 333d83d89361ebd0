import pytest
import torch
from batches import batch, make, moved, q_values

from offbench.algorithms.edac import EDAC
from offbench.algorithms.sac_n import SACN
from offbench.errors import OffbenchError


def sampled(algorithm, observations, noise):
    """Actions and log-densities, of which CORL's have 1e-6 beside the slope of tanh."""
    mean, log_std = algorithm.actor.network(algorithm.networks["actor"], observations).chunk(2, -1)
    std = torch.exp(log_std.clamp(-5, 2))
    before = mean + std * noise
    actions = torch.tanh(before)
    density = torch.distributions.Normal(mean, std).log_prob(before) - torch.log(1 - actions**2 + 1e-6)
    return actions, density.sum(-1)[0]


def spread(algorithm):
    """Let the critics differ by much, and the entropy's weight not be 1."""
    for network in ("critic", "target_critic"):
        algorithm.networks[network]["layer2.weight"] += torch.randn(
            algorithm.networks[network]["layer2.weight"].shape,
            generator=torch.Generator().manual_seed(3),
            dtype=torch.float64,
        )
    algorithm.networks["temperature"]["log"] -= 1.5
    return torch.exp(algorithm.networks["temperature"]["log"])[0]


@pytest.mark.parametrize(("kind", "changes"), [(SACN, {}), (EDAC, {"diversity": 0.0})])
def test_the_target_is_the_smallest_of_all_critics_with_the_entropy(kind, changes):
    algorithm = make(kind, critics=6, **changes)
    alpha, b = spread(algorithm), batch(algorithm)
    a_next, log_prob = sampled(algorithm, b.next_observations, b.noise["next_action"])
    smallest = q_values(algorithm, "target_critic", b.next_observations, a_next).min(0).values
    y = b.rewards[0] + 0.99 * (smallest - alpha * log_prob)
    errors = q_values(algorithm, "critic", b.observations, b.actions) - y
    expected = sum((own**2).mean() for own in errors)
    torch.testing.assert_close(algorithm.critic_loss(algorithm.networks, b)["critic_loss"][0], expected)
    ended = b._replace(terminations=torch.ones_like(b.terminations))
    errors = q_values(algorithm, "critic", b.observations, b.actions) - b.rewards[0]
    expected = (errors**2).mean(1).sum()
    torch.testing.assert_close(algorithm.critic_loss(algorithm.networks, ended)["critic_loss"][0], expected)


@pytest.mark.parametrize("kind", [SACN, EDAC])
def test_the_policy_maximises_the_smallest_q_and_its_entropy(kind):
    algorithm = make(kind, critics=6)
    alpha, b = spread(algorithm), batch(algorithm)
    actions, log_prob = sampled(algorithm, b.observations, b.noise["actor_action"])
    expected = (alpha * log_prob - q_values(algorithm, "critic", b.observations, actions).min(0).values).mean()
    torch.testing.assert_close(algorithm.actor_loss(algorithm.networks, b)["actor_loss"][0], expected)


def test_more_critics_are_more_pessimistic():
    algorithm = make(SACN, critics=8)
    b = batch(algorithm)
    spread(algorithm)
    q = q_values(algorithm, "critic", b.observations, b.actions)
    lower = [float(q[:n].min(0).values.mean()) for n in (1, 2, 4, 8)]
    assert lower == sorted(lower, reverse=True)
    assert lower[3] < lower[0]


@pytest.mark.parametrize("kind", [SACN, EDAC])
def test_the_temperature_rises_where_the_entropy_is_below_minus_the_number_of_actions(kind):
    for log_std, sign in ((-5.0, -1), (0.0, 1)):
        algorithm = make(kind, critics=2)
        b = batch(algorithm)
        algorithm.networks["actor"]["layer2.bias"][..., 2:] += log_std

        def loss(log, algorithm=algorithm, b=b):
            networks = algorithm.networks | {"temperature": {"log": log}}
            return algorithm.temperature_loss(networks, b)["temperature_loss"].sum()

        gradient = torch.func.grad(loss)(algorithm.networks["temperature"]["log"])
        _, log_prob = sampled(algorithm, b.observations, b.noise["alpha_action"])
        torch.testing.assert_close(gradient[0, 0], -(log_prob - 2).mean())
        assert float(gradient) * sign > 0  # descending moves the temperature the other way


@pytest.mark.parametrize("kind", [SACN, EDAC])
def test_each_loss_moves_its_own_network_only(kind):
    algorithm = make(kind, critics=3)
    b = batch(algorithm)
    assert moved(algorithm, algorithm.temperature_loss, b) == {"temperature"}
    assert moved(algorithm, algorithm.actor_loss, b) == {"actor"}
    assert moved(algorithm, algorithm.critic_loss, b) == {"critic"}


def test_hyperparameters_without_meaning_are_refused():
    with pytest.raises(OffbenchError, match=r"critics must lie in \[1, 10000\], not 0"):
        SACN.Config(critics=0)
    with pytest.raises(OffbenchError, match=r"critics must lie in \[2, 10000\], not 1"):
        EDAC.Config(critics=1)
    with pytest.raises(OffbenchError, match=r"diversity must lie in \[0, inf\]"):
        EDAC.Config(diversity=-1.0)
