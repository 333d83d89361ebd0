import math

import torch

from offbench.nn.mlp import MLP
from offbench.nn.policies import TanhMeanPolicy, gaussian_log_prob


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
