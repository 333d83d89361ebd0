"""Bradley-Terry against its closed form, and the conventions of labels: the share by which the second is preferred."""

import math

import torch

from offbench.nn.bradley_terry import accuracies, cross_entropies

DIFFERENCES = torch.tensor([-30.0, -2.0, -0.5, 0.0, 0.5, 2.0, 30.0], dtype=torch.float64)


def test_gradient_is_the_probability_less_the_label():
    for label in (0.0, 0.5, 1.0):
        d = DIFFERENCES.clone().requires_grad_()
        cross_entropies(d, torch.full_like(d, label)).sum().backward()
        expected = 1 / (1 + torch.exp(-DIFFERENCES)) - label
        torch.testing.assert_close(d.grad, expected, rtol=1e-12, atol=1e-12)


def test_cross_entropy_is_that_of_a_softmax_over_both_segments():
    first = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    second = torch.tensor([0.1, 1.5, 2.0], dtype=torch.float64)
    labels = torch.tensor([0.0, 1.0, 0.5], dtype=torch.float64)
    log_p = torch.log_softmax(torch.stack([first, second], -1), -1)
    expected = -(torch.stack([1 - labels, labels], -1) * log_p).sum(-1)
    torch.testing.assert_close(cross_entropies(second - first, labels), expected)


def test_a_label_of_one_wants_the_second_segment_higher_and_a_tie_wants_both_alike():
    ones, zeros, halves = (torch.full_like(DIFFERENCES, label) for label in (1.0, 0.0, 0.5))
    assert (cross_entropies(DIFFERENCES, ones).diff() < 0).all()
    assert (cross_entropies(DIFFERENCES, zeros).diff() > 0).all()
    assert cross_entropies(DIFFERENCES, halves).argmin() == 3
    assert cross_entropies(DIFFERENCES, halves).min().item() == math.log(2)


def test_accuracy_leaves_ties_out_and_counts_equal_numbers_half():
    labels = torch.tensor([1.0, 0.0, 1.0, 0.5, 0.0])
    differences = torch.tensor([[2.0, -1.0, -1.0, 9.0, 0.0], [-1.0, 1.0, -1.0, 0.0, 1.0]])
    assert accuracies(differences, labels).tolist() == [2.5 / 4, 0.0]
    assert accuracies(differences[:, 3:4], labels[3:4]).isnan().all()
