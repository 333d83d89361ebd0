import math

import torch

from offbench.nn.ensembles import initialise_critics, similarity
from offbench.nn.mlp import MLP


def pairs(gradients):
    """The definition: the cosine of every ordered pair, one by one."""
    members = gradients.shape[1]
    total = 0.0
    for i in range(members):
        for j in range(members):
            if i != j:
                total = total + torch.nn.functional.cosine_similarity(gradients[:, i], gradients[:, j], dim=-1)
    return total.mean(-1) / (members - 1)


def test_similarity_is_the_sum_over_pairs():
    gradients = torch.randn(2, 5, 7, 3, dtype=torch.float64)
    torch.testing.assert_close(similarity(gradients), pairs(gradients))


def test_similarity_of_equal_orthogonal_and_opposite_directions():
    same = torch.ones(1, 4, 6, 2, dtype=torch.float64)
    torch.testing.assert_close(similarity(same), torch.tensor([4.0], dtype=torch.float64))  # 4 * 3 pairs / 3
    axes = torch.eye(3, dtype=torch.float64).view(1, 3, 1, 3)
    torch.testing.assert_close(similarity(axes), torch.zeros(1, dtype=torch.float64))
    opposite = torch.tensor([2.0, -5.0], dtype=torch.float64).view(1, 2, 1, 1)
    torch.testing.assert_close(similarity(opposite), torch.tensor([-2.0], dtype=torch.float64))


def test_a_gradient_of_zero_counts_for_nothing():
    gradients = torch.zeros(1, 3, 2, 2, dtype=torch.float64)
    assert similarity(gradients).tolist() == [0.0]


def test_critics_are_drawn_as_the_reference_draws_them():
    critic = MLP(6, (64, 32), 1, members=5)
    parameters = initialise_critics(critic, [0, 1], "critic")
    for layer, bound in ((0, 1 / math.sqrt(64)), (1, 1 / math.sqrt(32)), (2, 3e-3)):
        weight = parameters[f"layer{layer}.weight"]
        assert 0.9 * bound < weight.abs().max() <= bound
    assert (parameters["layer0.bias"] == 0.1).all()
    assert (parameters["layer1.bias"] == 0.1).all()
    assert 0 < parameters["layer2.bias"].abs().max() <= 3e-3
