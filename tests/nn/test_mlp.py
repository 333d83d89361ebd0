import math

import numpy as np
import pytest
import torch

from offbench.nn.mlp import MLP


def test_equals_torch_modules_seed_by_seed_and_member_by_member():
    mlp = MLP(5, (7, 6), 2, members=3)
    parameters = mlp.initialise([4, 9], "critic")
    x = torch.randn(2, 11, 5, dtype=torch.float64)
    out = mlp(parameters, x)
    assert out.shape == (2, 3, 11, 2)
    for seed in range(2):
        for member in range(3):
            layers = []
            for i in range(3):
                weight = parameters[f"layer{i}.weight"][seed, member]
                layer = torch.nn.Linear(*weight.shape, dtype=torch.float64)
                layer.weight.data, layer.bias.data = weight.T, parameters[f"layer{i}.bias"][seed, member, 0]
                layers += [layer, torch.nn.ReLU()]
            expected = torch.nn.Sequential(*layers[:-1])(x[seed])
            torch.testing.assert_close(out[seed, member], expected, rtol=1e-12, atol=1e-12)


def test_members_that_are_shown_inputs_of_their_own_make_of_them_what_each_alone_would():
    mlp = MLP(5, (7, 6), 2, members=3)
    parameters = mlp.initialise([4, 9], "critic")
    x = torch.randn(2, 3, 11, 5, dtype=torch.float64)
    out = mlp(parameters, x)
    assert out.shape == (2, 3, 11, 2)
    for member in range(3):
        torch.testing.assert_close(out[:, member], mlp(parameters, x[:, member])[:, member], rtol=1e-12, atol=1e-12)


def test_a_seed_is_initialised_alike_alone_and_among_others():
    mlp = MLP(4, (8,), 1, members=2)
    together, alone = mlp.initialise([0, 3, 5], "q"), mlp.initialise([3], "q")
    for name, value in alone.items():
        assert torch.equal(together[name][1], value[0])
    assert not torch.equal(together["layer0.weight"][0], together["layer0.weight"][1])
    assert not torch.equal(mlp.initialise([3], "v")["layer0.weight"], alone["layer0.weight"])


def test_torch_initialisation_fills_its_bounds():
    parameters = MLP(16, (400,), 3).initialise([0], "x")
    bound = 1 / math.sqrt(16)
    for name in ("layer0.weight", "layer0.bias"):
        values = parameters[name]
        assert values.abs().max() <= bound
        assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)


@pytest.mark.parametrize(("inputs", "outputs"), [(6, 6), (9, 4), (4, 9)])
def test_orthogonal_initialisation_has_gain_root_two(inputs, outputs):
    weight = MLP(inputs, (), outputs).initialise([1], "x", "orthogonal")["layer0.weight"][0].numpy()
    small = weight if inputs <= outputs else weight.T
    np.testing.assert_allclose(small @ small.T, 2 * np.eye(min(inputs, outputs)), atol=1e-12)
    assert MLP(inputs, (), outputs).initialise([1], "x", "orthogonal")["layer0.bias"].abs().max() == 0


@pytest.mark.parametrize("members", [None, 3])
def test_the_gradient_in_the_inputs_and_its_own_gradient_equal_those_of_autograd(members):
    mlp = MLP(5, (8, 7, 6), 1, members=members)
    parameters = mlp.initialise([0, 1], "critic")
    x = torch.randn(2, 9, 5, dtype=torch.float64)
    values, gradient = mlp.with_input_gradient(parameters, x, first=3)
    torch.testing.assert_close(values, mlp(parameters, x))

    def by_autograd(p, weights):
        def total(member):
            own = p if members is None else {name: value[:, member] for name, value in p.items()}
            return lambda inputs: MLP(5, (8, 7, 6), 1)(own, inputs).sum()

        parts = [torch.func.grad(total(member))(x)[..., 3:] for member in range(members or 1)]
        found = parts[0] if members is None else torch.stack(parts, 1)
        return (found * weights).sum(), found

    weights = torch.randn_like(gradient)
    second, expected = torch.func.grad(by_autograd, has_aux=True)(parameters, weights)
    torch.testing.assert_close(gradient, expected)
    own = torch.func.grad(lambda p: (mlp.with_input_gradient(p, x, 3)[1] * weights).sum())(parameters)
    for name, value in second.items():
        torch.testing.assert_close(own[name], value, msg=name)


def test_hidden_biases_and_bounds_of_the_output_can_be_set():
    parameters = MLP(4, (50, 40), 3, members=2).initialise([0], "x", hidden_bias=0.1, output_bound=1e-3)
    for layer in (0, 1):
        assert (parameters[f"layer{layer}.bias"] == 0.1).all()
    for part in ("weight", "bias"):
        largest = parameters[f"layer2.{part}"].abs().max()
        assert 5e-4 < largest <= 1e-3


@pytest.mark.parametrize("norm_first", [False, True])
def test_layer_normalisation_equals_torch_modules(norm_first):
    mlp = MLP(5, (7, 6), 2, layer_norm=True, norm_first=norm_first)
    parameters = mlp.initialise([4], "value")
    for name, value in parameters.items():
        if "scale" in name or "shift" in name:
            value += torch.randn_like(value)
    x = torch.randn(1, 11, 5, dtype=torch.float64)
    expected = x[0]
    for i in range(2):
        expected = expected @ parameters[f"layer{i}.weight"][0] + parameters[f"layer{i}.bias"][0]
        norm = torch.nn.LayerNorm(expected.shape[-1], dtype=torch.float64)
        norm.weight.data, norm.bias.data = parameters[f"layer{i}.scale"][0, 0], parameters[f"layer{i}.shift"][0, 0]
        expected = torch.relu(norm(expected)) if norm_first else norm(torch.relu(expected))
    expected = expected @ parameters["layer2.weight"][0] + parameters["layer2.bias"][0]
    torch.testing.assert_close(mlp(parameters, x)[0], expected)


def test_layer_normalisation_adds_its_epsilon_to_the_variance():
    # By hand: a row (0, 2e-3) has mean 1e-3 and variance 1e-6, so that 1e-6 beside it divides by sqrt(2e-6).
    for epsilon in (1e-5, 1e-6):
        network = MLP(2, (2,), 1, layer_norm=True, norm_first=True, norm_epsilon=epsilon)
        parameters = network.initialise([0], "x")
        parameters["layer0.weight"] = torch.eye(2, dtype=torch.float64)[None]
        parameters["layer0.bias"].zero_()
        parameters["layer1.weight"] = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)
        parameters["layer1.bias"].zero_()
        found = network(parameters, torch.tensor([[[0.0, 2e-3]]], dtype=torch.float64))
        assert float(found) == pytest.approx(1e-3 / math.sqrt(1e-6 + epsilon), rel=1e-12)


def test_the_output_of_an_orthogonal_network_may_be_small():
    network = MLP(5, (8, 8), 3)
    parameters = network.initialise([0, 1], "x", "orthogonal", output_gain=0.01)
    for layer, gain in enumerate((2**0.5, 2**0.5, 0.01)):
        for weight in parameters[f"layer{layer}.weight"]:
            singular = torch.linalg.svdvals(weight)
            torch.testing.assert_close(singular, torch.full_like(singular, gain))
        assert not parameters[f"layer{layer}.bias"].any()
