"""The penalties of a three-member ensemble, worked out with numpy and by hand."""

import math

import numpy as np
import pytest
import torch

from offbench.dynamics.network import Prediction
from offbench.dynamics.penalties import PENALTIES

# One seed, one row, a state of two numbers and the reward.
MEANS = np.array([[1.0, 2.0, 0.0], [3.0, 2.0, 1.0], [2.0, 5.0, 2.0]])
STDS = np.array([[1.0, 0.5, 0.2], [2.0, 1.0, 0.1], [0.5, 0.5, 0.5]])


def prediction(means=MEANS, stds=STDS) -> Prediction:
    return Prediction(torch.from_numpy(means)[None, :, None], torch.from_numpy(stds)[None, :, None])


def kl(mean, variance, other_mean, other_variance) -> float:
    """Of two Gaussians with independent numbers."""
    terms = np.log(other_variance / variance) + (variance + (mean - other_mean) ** 2) / other_variance - 1
    return float(0.5 * terms.sum())


def by_hand() -> dict[str, float]:
    mixture = (STDS**2 + MEANS**2).mean(0) - MEANS.mean(0) ** 2
    others = []
    for member in range(3):
        rest = [i for i in range(3) if i != member]
        mean = MEANS[rest].mean(0)
        variance = (STDS[rest] ** 2 + MEANS[rest] ** 2).mean(0) - mean**2
        others.append(kl(MEANS[member], STDS[member] ** 2, mean, variance))
    return {
        "none": 0.0,
        "max_aleatoric": math.sqrt(4 + 1 + 0.01),
        # Variances of the means: 2/3, 2, 2/3.
        "ensemble_std": math.sqrt((2 / 3 + 2 + 2 / 3) / 3),
        "ensemble_variance": float(np.linalg.norm(mixture)),
        # The mean of the states is (2, 3): the third lies (0, 2) from it, the others sqrt 2.
        "pairwise_difference": 2.0,
        "loo_kl": max(others),
    }


@pytest.mark.parametrize("name", PENALTIES)
def test_values(name) -> None:
    found = PENALTIES[name](prediction())
    assert found.shape == (1, 1)
    assert float(found) == pytest.approx(by_hand()[name], rel=1e-12)


@pytest.mark.parametrize("name", ["ensemble_std", "pairwise_difference", "loo_kl"])
def test_members_that_agree_are_sure(name) -> None:
    agreed = prediction(np.tile(MEANS[:1], (3, 1)), np.tile(STDS[:1], (3, 1)))
    assert float(PENALTIES[name](agreed)) == pytest.approx(0, abs=1e-9)
