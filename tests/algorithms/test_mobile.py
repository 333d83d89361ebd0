"""MOBILE: what its inconsistency is, whom it concerns, what targets are held to."""

import math

import pytest
import torch

from offbench.algorithms.base import Sizes
from offbench.algorithms.mobile import MOBILE, MOBILEConfig
from offbench.data.transitions import Batch
from offbench.dynamics.network import Prediction
from offbench.errors import OffbenchError

SMALL = {"hidden": (16, 16), "dynamics_hidden": (8,), "rollout_count": 20, "rollout_length": 3, "rollout_every": 10,
         "batch_size": 8, "real_ratio": 0.25, "outcomes": 3, "termination": "HalfCheetah"}  # fmt: skip


def mobile(**changes) -> MOBILE:
    return MOBILE(MOBILEConfig(**SMALL | changes), Sizes(3, 2), (0, 1), 100, dtype=torch.float64)


def batch_of(algorithm, rewards=0.0) -> Batch:
    generator = torch.Generator().manual_seed(0)
    s, s_next = (torch.randn(2, 8, 3, dtype=torch.float64, generator=generator) for _ in range(2))
    a = torch.rand(2, 8, 2, dtype=torch.float64, generator=generator) * 2 - 1
    r = torch.full((2, 8), rewards, dtype=torch.float64)
    ends = torch.tensor([0.0, 1.0] * 4, dtype=torch.float64).expand(2, 8)
    noise = {
        name: torch.randn(2, *shape, dtype=torch.float64, generator=generator)
        for name, shape in algorithm.noise().items()
    }
    return Batch(s, a, r, s_next, ends, noise)


def test_the_inconsistency_is_the_deviation_of_the_elites_mean_values() -> None:
    algorithm = mobile()
    batch = batch_of(algorithm)
    found = algorithm.inconsistency(batch)
    assert (found[:, :2] == 0).all()  # a quarter of eight rows is the data's own
    means, stds = algorithm.model.predict(algorithm.networks["dynamics"], batch.observations, batch.actions)
    row, seed = 5, 1
    values = []
    for elite in range(5):
        drawn = []
        for outcome in range(3):
            noise = batch.noise["outcome"][seed, elite, outcome, row - 2]
            state = means[seed, elite, row, :3] + stds[seed, elite, row, :3] * noise
            here = torch.zeros(2, 1, 3, dtype=torch.float64)
            here[seed, 0] = state
            noises = torch.zeros(2, 1, 2, dtype=torch.float64)
            noises[seed, 0] = batch.noise["outcome_action"][seed, elite, outcome, row - 2]
            drawn.append(float(algorithm.value(here, noises)[seed, 0]))
        values.append(sum(drawn) / 3)
    mean = sum(values) / 5
    expected = math.sqrt(sum((value - mean) ** 2 for value in values) / 4)
    assert float(found[seed, row]) == pytest.approx(expected, rel=1e-9)


def test_elites_that_agree_are_consistent(monkeypatch) -> None:
    algorithm = mobile()
    batch = batch_of(algorithm)

    def agree(parameters, observations, actions):
        means = torch.cat([observations, observations[..., :1]], -1).unsqueeze(1).expand(-1, 7, -1, -1)
        return Prediction(means, torch.zeros_like(means))

    monkeypatch.setattr(type(algorithm.model), "predict", lambda self, *arguments: agree(*arguments))
    same = {name: torch.zeros_like(value) for name, value in batch.noise.items()}
    assert float(algorithm.inconsistency(batch._replace(noise=same)).max()) < 1e-12


@pytest.mark.parametrize(("lowest", "expected"), [(0.0, 0.0), (None, -100.0)])
def test_targets_are_held_above_the_lowest_and_do_not_bootstrap_after_a_termination(lowest, expected) -> None:
    algorithm = mobile(lowest_target=lowest)
    batch = batch_of(algorithm, rewards=-100.0)
    y = algorithm.target(batch, torch.zeros(2, 8, dtype=torch.float64))
    torch.testing.assert_close(y[:, 1::2], torch.full((2, 4), expected, dtype=torch.float64))
    rich = batch_of(algorithm, rewards=100.0)
    unsure = torch.full((2, 8), 2.0, dtype=torch.float64)
    following = algorithm.value(rich.next_observations, rich.noise["next_action"])
    y = algorithm.target(rich, unsure)
    torch.testing.assert_close(y, 100 - 1.5 * 2 + 0.99 * (1 - rich.terminations) * following)


def test_the_temperature_is_at_most_one_or_the_one_given() -> None:
    algorithm = mobile()
    algorithm.networks["temperature"]["log"].fill_(3.0)
    assert algorithm.alpha().tolist() == [[1.0], [1.0]]
    algorithm.networks["temperature"]["log"].fill_(-1.0)
    assert float(algorithm.alpha()[0, 0]) == pytest.approx(math.exp(-1))
    assert mobile(temperature=0.2).alpha().tolist() == [[0.2], [0.2]]


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(OffbenchError, match="outcomes must lie in"):
        MOBILEConfig(outcomes=0)
    with pytest.raises(OffbenchError, match="rollout_length must lie in"):
        MOBILEConfig(rollout_length=0)
