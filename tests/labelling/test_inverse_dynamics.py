"""The inverse dynamics model: its likelihood, its mixture, and the windows that it sees."""

from dataclasses import replace

import numpy as np
import torch
from inverse_cases import moves
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from offbench.data.trajectories import Trajectories
from offbench.labelling.inverse_dynamics import (
    EDGE,
    InverseDynamics,
    Windows,
    mixture,
    squashed_log_prob,
    window_rows,
)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_likelihood_is_that_of_a_squashed_gaussian() -> None:
    mean, log_std = draw(3, 5, 2), draw(3, 5, 2, seed=1) / 2
    actions = torch.tanh(draw(3, 5, 2, seed=2))
    true = TransformedDistribution(Normal(mean, log_std.exp()), [TanhTransform()]).log_prob(actions).sum(-1)
    torch.testing.assert_close(squashed_log_prob(actions, mean, log_std), true)


def test_actions_at_the_bounds_count_as_those_just_inside() -> None:
    mean, log_std = draw(1, 2), draw(1, 2, seed=1)
    edge, inside = (torch.tensor([[x, -x]], dtype=torch.float64) for x in (1.0, EDGE))
    found = squashed_log_prob(edge, mean, log_std)
    assert found.isfinite().all()
    torch.testing.assert_close(found, squashed_log_prob(inside, mean, log_std))
    assert squashed_log_prob(edge.float(), mean.float(), log_std.float()).isfinite().all()


def test_a_mixture_has_the_moments_of_draws_from_one_member_each() -> None:
    means, log_stds = draw(1, 3, 1, 2), draw(1, 3, 1, 2, seed=1) / 3
    mean, variance = mixture(means, log_stds)
    members = torch.randint(3, (400_000,), generator=torch.Generator().manual_seed(2))
    drawn = means[0, members, 0] + log_stds[0, members, 0].exp() * draw(400_000, 2, seed=3)
    torch.testing.assert_close(mean[0, 0], drawn.mean(0), rtol=0, atol=0.01)
    torch.testing.assert_close(variance[0, 0], drawn.var(0), rtol=0.02, atol=0)
    # As published: mean of sigma^2 + mu_k^2, less mu^2.
    published = (torch.exp(2 * log_stds) + means**2).mean(1) - mean**2
    torch.testing.assert_close(variance, published)


def test_one_member_is_its_own_mixture() -> None:
    mean, variance = mixture(draw(2, 1, 4, 3), draw(2, 1, 4, 3, seed=1))
    torch.testing.assert_close(mean, draw(2, 1, 4, 3)[:, 0])
    torch.testing.assert_close(variance, torch.exp(2 * draw(2, 1, 4, 3, seed=1)[:, 0]))


def test_a_gaussian_density_lies_around_the_tanh_of_the_mean() -> None:
    squashed = InverseDynamics(observation=2, action=2, hidden=(8,), members=2)
    plain = replace(squashed, density="gaussian")
    parameters = squashed.initialise([0], "test")
    windows, actions = draw(1, 2, 5, 3, 2), torch.tanh(draw(1, 2, 5, 2, seed=1))
    (mean, log_std), (bounded, same) = (each.heads(parameters, windows) for each in (squashed, plain))
    torch.testing.assert_close(bounded, torch.tanh(mean))
    assert torch.equal(log_std, same)
    density = Normal(bounded, log_std.exp()).log_prob(actions).sum(-1)
    torch.testing.assert_close(plain.losses(parameters, windows, actions), -density)
    data = moves(episodes=1)
    labels = plain.label(parameters, Windows(data, 1, "cpu", torch.float64), data.steps)
    seen = Windows(data, 1, "cpu", torch.float64).at(torch.arange(10)).expand(1, 2, -1, -1, -1)
    torch.testing.assert_close(labels.actions, torch.tanh(squashed.heads(parameters, seen)[0]).mean(1))


def test_windows_repeat_the_first_state_and_end_with_the_final_one() -> None:
    # Episodes of 3, 1 and 2 steps: rows 0-3, 4-5 and 6-8.
    offsets = torch.tensor([0, 3, 4, 6])
    rows = window_rows(offsets, torch.arange(6), past=2)
    assert rows.tolist() == [[0, 0, 0, 1], [0, 0, 1, 2], [0, 1, 2, 3], [4, 4, 4, 5], [6, 6, 6, 7], [6, 6, 7, 8]]
    assert window_rows(offsets, torch.tensor([[3], [5]]), past=0).tolist() == [[[4, 5]], [[7, 8]]]


def test_no_window_leaves_its_episode() -> None:
    lengths = np.array([1, 4, 2, 7, 1])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    episode = np.repeat(np.arange(5), lengths + 1).astype(np.float32)
    steps = int(offsets[-1])
    data = Trajectories(episode[:, None], offsets, *np.zeros((2, steps), dtype=bool))
    for past in range(4):
        seen = Windows(data, past, "cpu").at(torch.arange(steps))[..., 0]
        assert seen.shape == (steps, past + 2)
        np.testing.assert_array_equal(seen, np.repeat(np.arange(5), lengths)[:, None].repeat(past + 2, 1))


def test_states_are_standardised_and_deviations_bounded() -> None:
    network = InverseDynamics(observation=2, action=1, hidden=(8, 8), members=3, past=1)
    parameters = network.initialise([0, 1], "test")
    windows = draw(2, 3, 5, 3, 2)
    mean, log_std = network.heads(parameters, windows)
    assert mean.shape == log_std.shape == (2, 3, 5, 1)
    parameters["input.mean"][:] = torch.tensor([3.0, -1.0])
    parameters["input.std"][:] = torch.tensor([2.0, 10.0])
    scaled = windows * torch.tensor([2.0, 10.0]) + torch.tensor([3.0, -1.0])
    torch.testing.assert_close(network.heads(parameters, scaled)[0], mean)
    _, wide = network.heads(parameters, 1e6 * windows)
    assert float(wide.min()) >= -5
    assert float(wide.max()) <= 2


def test_mean_and_deviation_have_networks_of_their_own() -> None:
    network = InverseDynamics(observation=2, action=1, hidden=(8,))
    parameters = network.initialise([0], "test")
    mean, log_std = network.heads(parameters, draw(1, 1, 5, 3, 2))
    parameters["layer0.weight"][:, :, 1] += 1.0
    same, other = network.heads(parameters, draw(1, 1, 5, 3, 2))
    assert torch.equal(mean, same)
    assert not torch.allclose(log_std, other)


def test_dropped_units_are_those_before_the_last_layer() -> None:
    network = InverseDynamics(observation=2, action=1, hidden=(8, 6))
    parameters = network.initialise([0], "test")
    for name in ("layer2.bias", "layer2.weight"):
        parameters[name] = draw(*parameters[name].shape)
    mean, _ = network.heads(parameters, draw(1, 1, 5, 3, 2), torch.zeros(1, 1, 2, 5, 6).double())
    torch.testing.assert_close(mean, parameters["layer2.bias"][:, :, 0].expand_as(mean))


def test_labels_are_tanh_of_the_mixtures_mean_for_every_step() -> None:
    data = moves(episodes=3)
    network = InverseDynamics(observation=2, action=2, hidden=(8,), members=2)
    parameters = network.initialise([0, 1], "test")
    windows = Windows(data, 1, "cpu", torch.float64)
    labels = network.label(parameters, windows, data.steps)
    assert labels.actions.shape == (2, 30, 2)
    seen = windows.at(torch.tensor([10, 29])).expand(2, 2, -1, -1, -1)
    mean, variance = mixture(*network.heads(parameters, seen))
    torch.testing.assert_close(labels.actions[:, [10, 29]], torch.tanh(mean))
    torch.testing.assert_close(labels.variance[:, [10, 29]], variance.mean(-1))
