import math

import pytest
import torch
from batches import batch, make, moved, q_values, shifted

from offbench.algorithms.awac import AWAC, MAX_WEIGHT
from offbench.algorithms.base import Sizes
from offbench.data.transitions import Batch
from offbench.errors import OffbenchError


def sampled(algorithm, network, observations, noise):
    mean = algorithm.actor.network(network, observations)
    return (mean + torch.exp(network["log_std"]) * noise).clamp(-1, 1)


def test_weights_are_the_exponential_of_the_advantage_over_one_sampled_action():
    algorithm = make(AWAC, temperature=0.5)
    b = batch(algorithm)
    actor = algorithm.networks["actor"]
    other = sampled(algorithm, actor, b.observations, b.noise["policy_action"])
    value = q_values(algorithm, "critic", b.observations, other).min(0).values
    advantage = q_values(algorithm, "critic", b.observations, b.actions).min(0).values - value
    torch.testing.assert_close(algorithm.weights(b)[0], torch.exp(advantage / 0.5))


def test_the_same_action_has_weight_one_and_large_advantages_are_clipped():
    algorithm = make(AWAC, temperature=1e-6)
    b = batch(algorithm)
    own = sampled(algorithm, algorithm.networks["actor"], b.observations, b.noise["policy_action"])
    assert torch.equal(algorithm.weights(b._replace(actions=own)), torch.ones(1, 32, dtype=torch.float64))
    weights = algorithm.weights(b)
    assert float(weights.max()) == MAX_WEIGHT
    assert float(weights.min()) == 0


def test_the_policy_maximises_the_weighted_likelihood():
    algorithm = make(AWAC)
    b = batch(algorithm)
    algorithm.networks["actor"]["log_std"] += 0.3
    mean = algorithm.actor.network(algorithm.networks["actor"], b.observations)
    log_prob = torch.distributions.Normal(mean, math.exp(0.3)).log_prob(b.actions).sum(-1)
    expected = -(algorithm.weights(b) * log_prob).mean()
    torch.testing.assert_close(algorithm.actor_loss(algorithm.networks, b)["actor_loss"][0], expected)


def test_the_target_takes_the_smaller_q_of_a_sampled_action_without_entropy():
    algorithm = make(AWAC)
    b = batch(algorithm)
    a_next = sampled(algorithm, algorithm.networks["actor"], b.next_observations, b.noise["next_action"])
    y = b.rewards[0] + 0.99 * q_values(algorithm, "target_critic", b.next_observations, a_next).min(0).values
    expected = ((q_values(algorithm, "critic", b.observations, b.actions) - y) ** 2).mean(-1).sum()
    torch.testing.assert_close(algorithm.critic_loss(algorithm.networks, b)["critic_loss"][0], expected)
    ended = batch(algorithm, terminations=1.0)
    before = algorithm.critic_loss(algorithm.networks, ended)["critic_loss"]
    shifted(algorithm, "target_critic", 100.0)
    assert torch.equal(algorithm.critic_loss(algorithm.networks, ended)["critic_loss"], before)


def test_each_loss_moves_its_own_network_only():
    algorithm = make(AWAC)
    b = batch(algorithm)
    assert moved(algorithm, algorithm.critic_loss, b) == {"critic"}
    assert moved(algorithm, algorithm.actor_loss, b) == {"actor"}


def test_finds_the_better_of_two_actions_that_the_data_mix():
    # A bandit: the reward is the sign of the action, so the mean of the data's actions earns nothing.
    algorithm = make(AWAC, Sizes(1, 1), size=64, learning_rate=3e-3, temperature=0.3)
    generator = torch.Generator().manual_seed(1)
    for update in range(300):
        drawn = batch(algorithm, seed=update)
        a = torch.sign(torch.randn(1, 64, 1, generator=generator, dtype=torch.float64)) * 0.8
        s = drawn.observations
        algorithm.update(Batch(s, a, torch.sign(a[..., 0]), s, torch.ones_like(a[..., 0]), drawn.noise))
    assert float(algorithm.act(s).mean()) > 0.6


def test_hyperparameters_without_meaning_are_refused():
    with pytest.raises(OffbenchError, match=r"temperature must lie in \(0, inf\], not 0"):
        AWAC.Config(temperature=0.0)
