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
