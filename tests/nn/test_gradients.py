"""Gradients without torch's compiler are those with it."""

import subprocess
import sys

import torch

from offbench.nn.gradients import gradient, gradients


def networks() -> dict[str, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"a": {"w": (2, 3, 4), "b": (2, 4)}, "c": {"w": (2, 4, 1), "unused": (2, 1)}}
    return {
        network: {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in those.items()}
        for network, those in shapes.items()
    }


def loss(given):
    x = torch.linspace(-1, 1, 2 * 5 * 3, dtype=torch.float64).reshape(2, 5, 3)
    hidden = torch.tanh(x @ given["a"]["w"] + given["a"]["b"].unsqueeze(1))
    with torch.no_grad():
        target = hidden.sum(-1)
    value = ((hidden @ given["c"]["w"])[..., 0] - target).square().mean(-1)
    return value.sum(), {"value": value.detach()}


def test_they_are_those_of_torch_func_to_the_last_bit():
    found, told = gradients(loss, networks())
    wanted, expected = torch.func.grad(loss, has_aux=True)(networks())
    assert torch.equal(told["value"], expected["value"])
    for network, those in wanted.items():
        assert list(found[network]) == list(those)
        assert all(torch.equal(found[network][name], value) for name, value in those.items())
    assert not found["c"]["unused"].any()


def test_they_are_known_numbers_and_leave_parameters_alone():
    parameters = {"w": torch.tensor([3.0, -1.0])}
    found, value = gradient(lambda p: (p["w"] ** 2).sum(), parameters)
    assert found["w"].tolist() == [6.0, -2.0]
    assert float(value) == 10.0
    assert not parameters["w"].requires_grad
    still, _ = gradient(lambda p: torch.ones(()), parameters)
    assert still["w"].tolist() == [0.0, 0.0]


def test_an_eager_gradient_needs_no_compiler():
    code = (
        "import sys, torch; from offbench.nn.gradients import gradient;"
        "gradient(lambda p: (p['w'] ** 2).sum(), {'w': torch.ones(3)}); print('torch._dynamo' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
