import math

import torch

from offbench.nn.mlp import MLP
from offbench.nn.policies import (
    GaussianPolicy,
    SquashedGaussianPolicy,
    TanhMeanPolicy,
    gaussian_log_prob,
    log_tanh_slope,
    squashed,
)


def test_log_density_equals_torch_distributions():
    torch.manual_seed(0)
    x, mean, log_std = torch.randn(2, 5, 3), torch.randn(2, 5, 3), torch.randn(2, 1, 3)
    expected = torch.distributions.Normal(mean, log_std.exp()).log_prob(x).sum(-1)
    torch.testing.assert_close(gaussian_log_prob(x, mean, log_std), expected)


def test_the_gaussian_is_centred_at_the_squashed_mean_without_a_jacobian():
    policy = TanhMeanPolicy(MLP(3, (8,), 2), log_std_range=(-5.0, 2.0))
    parameters = policy.initialise([0, 1], "actor")
    states = torch.randn(2, 6, 3, dtype=torch.float64)
    mean = policy.mean(parameters, states)
    assert mean.abs().max() < 1
    peak = policy.log_prob(parameters, mean, mean)
    torch.testing.assert_close(peak, torch.full_like(peak, -math.log(2 * math.pi)))  # two dimensions, std 1


def test_log_std_is_clipped():
    policy = TanhMeanPolicy(MLP(3, (8,), 1), log_std_range=(-5.0, 2.0))
    parameters = policy.initialise([0], "actor")
    parameters["log_std"] += 100.0
    zero = torch.zeros(1, 1, 1, dtype=torch.float64)
    expected = torch.tensor([[-2.0 - 0.5 * math.log(2 * math.pi)]], dtype=torch.float64)
    torch.testing.assert_close(policy.log_prob(parameters, zero, zero), expected)


def test_squashed_density_equals_torch_distributions():
    torch.manual_seed(0)
    mean, log_std, noise = torch.randn(3, 2, 5, 3, dtype=torch.float64)
    normal = torch.distributions.Normal(mean, torch.exp(log_std))
    tanh = torch.distributions.TanhTransform(cache_size=1)
    actions, log_prob = squashed(mean, log_std, noise)
    expected = tanh(mean + torch.exp(log_std) * noise)
    torch.testing.assert_close(actions, expected)
    density = torch.distributions.TransformedDistribution(normal, tanh).log_prob(expected).sum(-1)
    torch.testing.assert_close(log_prob, density)


def test_the_slope_of_tanh_is_exact_where_tanh_rounds_to_one():
    u = torch.tensor([0.0, 1.0, 30.0, -30.0], dtype=torch.float64)
    expected = torch.tensor([0.0, math.log(1 - math.tanh(1.0) ** 2), 2 * math.log(2) - 60, 2 * math.log(2) - 60])
    torch.testing.assert_close(log_tanh_slope(u), expected.double())


def test_the_squashed_density_integrates_to_one():
    policy = SquashedGaussianPolicy(MLP(1, (4,), 2), (-5.0, 2.0), affine_log_std=True)
    parameters = policy.initialise([0], "actor", log_std_shift=-0.5)
    mean, log_std = policy.heads(parameters, torch.zeros(1, 1, 1, dtype=torch.float64))
    u = torch.linspace(-12, 12, 200_001, dtype=torch.float64).view(-1, 1)
    actions, log_prob = squashed(mean[0], log_std[0], (u - mean[0]) / torch.exp(log_std[0]))
    assert abs(float(torch.trapezoid(torch.exp(log_prob), actions[:, 0])) - 1) < 1e-6


def test_the_affine_map_of_the_log_std_comes_before_the_clip():
    policy = SquashedGaussianPolicy(MLP(2, (4,), 2), (-5.0, 2.0), affine_log_std=True)
    plain = SquashedGaussianPolicy(policy.network, (-100.0, 100.0))
    parameters = policy.initialise([0, 1], "actor", log_std_shift=-1.0)
    parameters["log_std.scale"] *= 30.0
    states = torch.randn(2, 50, 2, dtype=torch.float64)
    mean, log_std = policy.heads(parameters, states)
    plain_mean, plain_log_std = plain.heads(parameters, states)
    torch.testing.assert_close(mean, plain_mean)
    torch.testing.assert_close(log_std, (30 * plain_log_std - 1).clamp(-5, 2))
    assert log_std.min() == -5


def test_the_free_gaussian_clips_what_it_samples_and_not_its_density():
    policy = GaussianPolicy(MLP(2, (4,), 1), (-5.0, 2.0))
    parameters = policy.initialise([0], "actor")
    parameters["layer1.bias"] += 3.0
    states = torch.randn(1, 6, 2, dtype=torch.float64)
    mean = policy.network(parameters, states)
    assert mean.min() > 1
    assert (policy.mode(parameters, states) == 1).all()
    noise = torch.linspace(-4, 1, 6, dtype=torch.float64).view(1, 6, 1)
    torch.testing.assert_close(policy.sample(parameters, states, noise), (mean + noise).clamp(-1, 1))
    expected = torch.distributions.Normal(mean, 1.0).log_prob(0.5 * torch.ones_like(mean)).sum(-1)
    torch.testing.assert_close(policy.log_prob(parameters, states, 0.5 * torch.ones_like(mean)), expected)


def test_an_epsilon_bounds_what_an_action_at_the_edge_adds_to_the_entropy():
    # By hand: log(1 + 1e-6) at 0, and log(1e-6) far out, where the exact slope has the logarithm 2 log 2 - 2u.
    u = torch.tensor([0.0, 1.0, 40.0], dtype=torch.float64)
    found = log_tanh_slope(u, 1e-6)
    expected = torch.tensor(
        [math.log(1 + 1e-6), math.log(1 / math.cosh(1) ** 2 + 1e-6), math.log(1e-6)], dtype=torch.float64
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(log_tanh_slope(u)[2], torch.tensor(2 * math.log(2) - 80, dtype=torch.float64))
