"""Adversarial changes of a critic and spectral norms of its layers, against values known in closed form."""

import numpy as np
import torch

from offbench.nn.mlp import MLP
from offbench.nn.smoothness import adversarial_change, bound_layers, spectral_norm


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def test_of_a_linear_critic_it_is_the_radius_times_the_weights_length() -> None:
    """(epsilon |w|_1)^2, w the weights of the states: hidden units that stay open make a linear critic."""
    critic = MLP(3, (1,), 1, members=2)
    weights = torch.tensor([[1.0, -2.0, 7.0], [0.5, 0.0, 3.0]]).double()  # of two states and an action, two members
    parameters = {
        "layer0.weight": weights.view(1, 2, 3, 1), "layer0.bias": torch.full((1, 2, 1, 1), 100.0).double(),
        "layer1.weight": torch.ones(1, 2, 1, 1).double(), "layer1.bias": torch.zeros(1, 2, 1, 1).double(),
    }  # fmt: skip
    found = adversarial_change(
        critic, parameters, random(1, 4, 2), random(1, 4, 1), torch.full((1, 1, 1), 0.1).double()
    )
    torch.testing.assert_close(found, torch.tensor([[[0.09] * 4, [0.0025] * 4]]).double())
    radius = torch.tensor([[[0.1, 0.2]]]).double()  # one for each dimension
    found = adversarial_change(critic, parameters, random(1, 4, 2), random(1, 4, 1), radius)
    torch.testing.assert_close(found[0, 0], torch.full((4,), 0.25).double())


def test_each_member_steps_along_its_own_gradient_and_that_of_the_step_is_left_out() -> None:
    critic = MLP(4, (8, 8), 1, members=3)
    parameters = critic.initialise([0, 1], "critic")
    s, a, radius = random(2, 5, 3), random(2, 5, 1, seed=1), torch.full((2, 1, 1), 1e-4).double()
    found = adversarial_change(critic, parameters, s, a, radius)
    pairs = torch.cat([s, a], -1).requires_grad_()
    q = critic(parameters, pairs)[..., 0]
    for member in range(3):
        slope = torch.autograd.grad(q[:, member].sum(), pairs, retain_graph=True)[0][..., :3]
        # No kink of a ReLU lies within so small a step, as a rule.
        expected = (1e-4 * slope.abs().sum(-1)) ** 2
        torch.testing.assert_close(found[:, member], expected, rtol=1e-2, atol=1e-12)
    for value in parameters.values():
        value.requires_grad_()
    adversarial_change(critic, parameters, s, a, radius).sum().backward()
    assert float(parameters["layer0.weight"].grad.abs().max()) > 0


def test_the_spectral_norm_is_the_largest_singular_value() -> None:
    assert float(spectral_norm(torch.tensor([[3.0, 0.0], [0.0, 1.0]]))) == 3.0
    weights = random(2, 3, 20, 30)
    exact = torch.linalg.matrix_norm(weights, 2)
    found = spectral_norm(weights)[..., 0, 0]
    assert (found <= exact * (1 + 1e-12)).all()
    assert (found > 0.85 * exact).all()  # of random matrices, whose singular values lie close together
    torch.testing.assert_close(spectral_norm(weights, 2000)[..., 0, 0], exact)


def test_layers_beyond_the_bound_are_scaled_back_and_the_others_stay() -> None:
    first, second = torch.tensor([[[3.0, 0.0], [0.0, 1.0]]]), torch.tensor([[[0.5, 0.0], [0.0, 0.1]]])
    parameters = {"layer0.weight": first.clone(), "layer1.weight": second.clone(), "layer2.weight": 9 * first}
    bound_layers(parameters, 1.0, 2)
    torch.testing.assert_close(parameters["layer0.weight"], torch.tensor([[[1.0, 0.0], [0.0, 1 / 3]]]))
    assert torch.equal(parameters["layer1.weight"], second)
    assert torch.equal(parameters["layer2.weight"], 9 * first)
    nothing = {"layer0.weight": torch.zeros(1, 2, 2)}
    bound_layers(nothing, 1.0, 1)
    assert torch.equal(nothing["layer0.weight"], torch.zeros(1, 2, 2))
