"""The network of an ensemble: bounds, losses and predictions by hand."""

import math

import numpy as np
import pytest
import torch

from offbench.dynamics.network import BOUND_WEIGHT, DynamicsNetwork, Prediction, chosen, trainable

KEYS = torch.tensor([0, 1])


def inputs(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def test_weights_are_cut_at_two_standard_deviations() -> None:
    parameters = DynamicsNetwork(11, 3).initialise([0, 1], "dynamics")
    for layer, fan_in in enumerate((14, 200, 200, 200, 200)):
        weight, std = parameters[f"layer{layer}.weight"], 1 / (2 * math.sqrt(fan_in))
        assert weight.shape[:3] == (2, 7, fan_in)
        assert float(weight.abs().max()) <= 2 * std
        assert float(weight.std()) == pytest.approx(0.8796 * std, rel=0.03)  # of a normal that is cut there
        assert float(parameters[f"layer{layer}.bias"].abs().max()) == 0
    assert not torch.equal(parameters["layer0.weight"][0, 0], parameters["layer0.weight"][0, 1])
    assert not any(name.startswith("input.") for name in trainable(parameters))


def test_the_log_variance_stays_within_its_bounds() -> None:
    network = DynamicsNetwork(3, 2, (8,), 2)
    parameters = network.initialise([0], "dynamics")
    parameters["layer1.bias"][..., 4:] = torch.tensor([-1e3, -20.0, 0.0, 1e3])
    _, log_variances = network.heads(parameters, torch.zeros(1, 2, 5, 5, dtype=torch.float64))
    low, high = -10.0, 0.5
    soft = high - np.logaddexp(0, high - np.array([-1e3, -20.0, 0.0, 1e3]))
    expected = low + np.logaddexp(0, soft - low)
    np.testing.assert_allclose(log_variances[0, 1, 3].numpy(), expected, rtol=1e-12)
    assert float(log_variances.min()) >= low
    assert float(log_variances.max()) <= high + math.log1p(math.exp(low - high)) + 1e-12


def test_the_loss_is_the_gaussian_one() -> None:
    network = DynamicsNetwork(2, 1, (4,), 3)
    parameters = network.initialise([0, 1], "dynamics")
    x, y = inputs(2, 3, 6, 3), inputs(2, 3, 6, 3, seed=1)
    means, log_variances = network.heads(parameters, x)
    by_hand = (((means - y) ** 2 * torch.exp(-log_variances)).mean((2, 3)) + log_variances.mean((2, 3))).sum(1)
    width = 3 * (0.5 + 10.0)
    torch.testing.assert_close(network.losses(parameters, x, y), by_hand + BOUND_WEIGHT * width)
    plain = DynamicsNetwork(2, 1, (4,), 3, probabilistic=False)
    parameters = plain.initialise([0, 1], "dynamics")
    means, none = plain.heads(parameters, x)
    assert none is None
    torch.testing.assert_close(plain.losses(parameters, x, y), ((means - y) ** 2).mean((2, 3)).sum(1))


def test_predictions_are_of_the_next_observation_and_inputs_are_standardised() -> None:
    network = DynamicsNetwork(2, 1, (4,), 3)
    parameters = network.initialise([0, 1], "dynamics")
    parameters["input.mean"] += torch.tensor([1.0, 2.0, 3.0])
    parameters["input.std"] *= 4.0
    s, a = inputs(2, 5, 2), inputs(2, 5, 1, seed=1)
    prediction = network.predict(parameters, s, a)
    plain = parameters | {"input.mean": torch.zeros(2, 1, 3).double(), "input.std": torch.ones(2, 1, 3).double()}
    standard = (torch.cat([s, a], -1) - torch.tensor([1.0, 2.0, 3.0])) / 4
    means, log_variances = network.heads(plain, standard.unsqueeze(1).expand(-1, 3, -1, -1))
    torch.testing.assert_close(prediction.means[..., :2], means[..., :2] + s.unsqueeze(1))
    torch.testing.assert_close(prediction.means[..., 2], means[..., 2])
    torch.testing.assert_close(prediction.stds, torch.exp(log_variances / 2))


def test_inputs_are_clipped_where_that_is_asked_for() -> None:
    network = DynamicsNetwork(1, 1, (4,), 2, input_clip=10.0)
    parameters = network.initialise([0], "dynamics")
    near, far = (network.heads(parameters, torch.full((1, 2, 1, 2), value).double())[0] for value in (10.0, 1e6))
    assert torch.equal(near, far)


def test_a_draw_is_of_the_member_that_was_chosen() -> None:
    means = torch.arange(24.0).view(1, 3, 4, 2)
    noise = torch.ones(1, 4, 2)
    drawn = chosen(Prediction(means, torch.full_like(means, 0.5)), torch.tensor([[2, 0, 1, 2]]), noise)
    rows = [means[0, member, row] + 0.5 for row, member in enumerate((2, 0, 1, 2))]
    torch.testing.assert_close(drawn[0], torch.stack(rows))
