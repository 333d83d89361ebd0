import math

import pytest
import torch
from batches import batch, make, q_values, shifted

from offbench.algorithms.cql import CQL
from offbench.errors import OffbenchError
from offbench.nn import conservative


def constant_q(algorithm, value):
    """Let all critics be one constant."""
    for network in ("critic", "target_critic"):
        for parameter in algorithm.networks[network].values():
            parameter.zero_()
        shifted(algorithm, network, value)


def heads(algorithm, observations):
    return algorithm.actor.heads(algorithm.networks["actor"], observations)


def soft_maximum(algorithm, b):
    both = heads(algorithm, b.observations), heads(algorithm, b.next_observations)
    return conservative.soft_maximum(algorithm.critic, algorithm.networks["critic"], b.observations, *both, b.noise)


def policy(algorithm, observations):
    mean, log_std = heads(algorithm, observations)
    normal = torch.distributions.Normal(mean, torch.exp(log_std))
    return torch.distributions.TransformedDistribution(normal, torch.distributions.TanhTransform(cache_size=1))


def test_the_soft_maximum_equals_the_sum_written_out():
    algorithm = make(CQL, sampled_actions=3, size=4)
    b = batch(algorithm)
    present, following = policy(algorithm, b.observations), policy(algorithm, b.next_observations)
    for i in range(2):
        total = torch.zeros(4, dtype=torch.float64)
        for j in range(3):
            uniform = torch.erf(b.noise["uniform"][:, :, j] / math.sqrt(2))
            total += torch.exp(q_values(algorithm, "critic", b.observations, uniform)[i]) / 0.25
            for distribution, noise in ((present, "present"), (following, "next")):
                base = distribution.base_dist
                actions = distribution.transforms[0](base.loc + base.scale * b.noise[noise][:, :, j])
                density = torch.exp(distribution.log_prob(actions).sum(-1))[0]
                # All actions are valued in s, also those that the policy would take in s'.
                total += torch.exp(q_values(algorithm, "critic", b.observations, actions)[i]) / density
        torch.testing.assert_close(soft_maximum(algorithm, b)[0, i], torch.log(total))


def test_the_soft_maximum_estimates_the_integral_over_actions():
    algorithm = make(CQL, sampled_actions=4000, size=2)
    constant_q(algorithm, 1.5)
    algorithm.networks["actor"]["log_std.shift"] += 1.0  # wide, so that 4000 actions cover all
    estimate = soft_maximum(algorithm, batch(algorithm)) - math.log(3 * 4000)
    # The integral of exp(1.5) over [-1, 1]^2.
    torch.testing.assert_close(estimate, torch.full_like(estimate, 1.5 + math.log(4)), atol=0.05, rtol=0)


def test_the_gap_does_not_depend_on_the_level_of_q():
    algorithm = make(CQL, sampled_actions=3)
    b = batch(algorithm)

    def gap():
        return soft_maximum(algorithm, b)[0] - q_values(algorithm, "critic", b.observations, b.actions)

    before = gap()
    shifted(algorithm, "critic", 7.0)
    torch.testing.assert_close(gap(), before)


def losses(algorithm, b):
    return algorithm.losses(algorithm.networks, b)


def bellman(algorithm, b, y):
    q = q_values(algorithm, "critic", b.observations, b.actions)
    return ((q - y) ** 2).mean(1).sum(), soft_maximum(algorithm, b)[0] - q


def test_without_lagrange_the_critics_pay_alpha_times_the_gap():
    algorithm = make(CQL, sampled_actions=3, conservatism=2.5)
    b = batch(algorithm, terminations=1.0)
    squares, gap = bellman(algorithm, b, b.rewards[0])
    torch.testing.assert_close(losses(algorithm, b)["critic_loss"][0], squares + 2.5 * gap.mean(1).sum())
    assert float(losses(algorithm, b)["multiplier_loss"]) == 0


def test_gaps_below_the_lowest_are_not_pushed():
    algorithm = make(CQL, sampled_actions=3, conservatism=1.0, lowest_gap=3.0)
    b = batch(algorithm, terminations=1.0)
    squares, gap = bellman(algorithm, b, b.rewards[0])
    assert (gap < 3.0).any()
    torch.testing.assert_close(losses(algorithm, b)["critic_loss"][0], squares + gap.clamp(min=3.0).mean(1).sum())


@pytest.mark.parametrize("target", [-100.0, 100.0])
def test_the_factor_rises_while_the_gap_is_above_its_target_and_falls_below(target):
    algorithm = make(CQL, sampled_actions=3, lagrange=True, target_gap=target, conservatism=2.0)
    algorithm.networks["multiplier"]["log"].fill_(0.4)
    b = batch(algorithm, terminations=1.0)
    squares, gap = bellman(algorithm, b, b.rewards[0])
    excess = 2.0 * (gap.mean(1) - target)
    torch.testing.assert_close(losses(algorithm, b)["critic_loss"][0], squares + math.exp(0.4) * excess.sum())
    torch.testing.assert_close(losses(algorithm, b)["multiplier_loss"][0], -math.exp(0.4) * excess.mean())
    algorithm.update(b)
    assert (float(algorithm.networks["multiplier"]["log"]) > 0.4) == (float(gap.mean()) > target)


@pytest.mark.parametrize("several", [False, True])
def test_the_target_is_the_best_of_the_sampled_actions_by_the_smaller_q_without_entropy(several):
    algorithm = make(CQL, sampled_actions=5, max_target_backup=several, conservatism=0.0)
    b = batch(algorithm)
    base = policy(algorithm, b.next_observations).base_dist
    values = []
    for j in range(5 if several else 1):
        actions = torch.tanh(base.loc + base.scale * b.noise["target_action"][:, :, j])
        values.append(q_values(algorithm, "target_critic", b.next_observations, actions).min(0).values)
    y = b.rewards[0] + 0.99 * torch.stack(values).max(0).values
    torch.testing.assert_close(losses(algorithm, b)["critic_loss"][0], bellman(algorithm, b, y)[0])


def test_the_policy_maximises_the_smaller_q_and_its_entropy():
    algorithm = make(CQL, sampled_actions=2)
    algorithm.networks["temperature"]["log"] -= 1.2
    b = batch(algorithm)
    distribution = policy(algorithm, b.observations)
    base = distribution.base_dist
    actions = distribution.transforms[0](base.loc + base.scale * b.noise["action"])
    log_prob = distribution.log_prob(actions).sum(-1)[0]
    q = q_values(algorithm, "critic", b.observations, actions).min(0).values
    torch.testing.assert_close(losses(algorithm, b)["actor_loss"][0], (math.exp(-1.2) * log_prob - q).mean())
    torch.testing.assert_close(losses(algorithm, b)["temperature_loss"][0], 1.2 * (log_prob - 2).mean())


def test_each_loss_moves_its_own_network_only():
    algorithm = make(CQL, sampled_actions=2, lagrange=True)
    b = batch(algorithm)
    for own in algorithm.optimisers:

        def total(networks, own=own):
            return algorithm.losses(algorithm.networks | networks, b)[f"{own}_loss"].sum()

        gradients = torch.func.grad(total)({name: algorithm.networks[name] for name in algorithm.optimisers})
        reached = {name for name, g in gradients.items() if any(bool(value.any()) for value in g.values())}
        assert reached == {own}


def test_output_layers_start_small_and_the_standard_deviation_at_exp_minus_one():
    algorithm = make(CQL, hidden=(64, 64))
    b = batch(algorithm)
    mean, log_std = heads(algorithm, b.observations)
    assert mean.abs().max() < 0.05
    assert (log_std + 1).abs().max() < 0.05
    weight = algorithm.networks["critic"]["layer2.weight"]
    torch.testing.assert_close(torch.linalg.vector_norm(weight, dim=-2), torch.full((1, 2, 1), 0.01).double())


def test_hyperparameters_without_meaning_are_refused():
    with pytest.raises(OffbenchError, match=r"sampled_actions must lie in \[1, 10000\], not 0"):
        CQL.Config(sampled_actions=0)
