"""VPL: its losses, and that it finds both wishes where a single model finds what nobody wants."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from two_goals import GOALS, rated

from offbench.data.preferences import Preferences
from offbench.errors import DataError, OffbenchError
from offbench.labelling.rated import draw_sets, table_of
from offbench.labelling.vpl import Fitted, Sets, VPLConfig, encoded, fit, losses, networks_of
from offbench.nn.random import stream

SMALL = VPLConfig(latent=4, hidden=(16,), set_size=3, sets=5, updates=20)


def accuracy(fitted: Fitted, raters: int = 80, new: int = 50) -> np.ndarray:
    """(seeds,) share of new pairs of new raters that are predicted, from as many pairs of each as a set has."""
    size = fitted.config.set_size
    pairs, _ = rated(raters, size + new, seed=99)
    found = []
    for rater in range(raters):
        own = pairs[pairs.raters == rater]
        likely = fitted.predict(own[size:], fitted.latent(own[:size]))
        found.append(((likely > 0.5).numpy() == (own[size:].labels > 0.5)).mean(1))
    return np.mean(found, axis=0)


def wanted(fitted: Fitted, goal: int) -> np.ndarray:
    """(seeds, 2) the place of highest reward to a new rater who wants a goal."""
    pairs, wants = rated(20, fitted.config.set_size, seed=7)
    own = pairs[pairs.raters == int(np.argmax(wants == goal))]
    grid = np.stack(np.meshgrid(*2 * [np.linspace(0, 1, 51)]), -1).reshape(-1, 2)
    return grid[fitted.rewards(grid, fitted.latent(own)).argmax(1).numpy()]


def test_two_wishes_are_told_apart_and_one_model_wants_what_lies_between() -> None:
    pairs, _ = rated(1000, 8, seed=0)
    config = VPLConfig(latent=8, hidden=(64, 64), updates=500, learning_rate=2e-3, cycles=1)
    one, many = fit(pairs, replace(config, latent=0, updates=200), [0]), fit(pairs, config, [0])
    assert accuracy(many)[0] > 0.94
    assert accuracy(one)[0] < 0.75
    assert float(many.history[0]) < 0.15
    for goal in (0, 1):
        assert np.linalg.norm(wanted(many, goal) - GOALS[goal]) < 0.25
        assert abs(wanted(one, goal)[0, 1] - 0.5) < 0.25


@pytest.mark.slow
def test_two_wishes_at_the_size_of_the_paper() -> None:
    pairs, _ = rated(5000, 8, seed=0)
    config = VPLConfig(latent=8, updates=2500, sets=32)
    many, one = fit(pairs, config, [0, 1]), fit(pairs, replace(config, latent=0), [0, 1])
    assert (accuracy(many) >= 0.95).all()
    assert (accuracy(one) <= 0.75).all()
    for goal in (0, 1):
        assert (np.linalg.norm(wanted(many, goal) - GOALS[goal], axis=1) < 0.15).all()


def test_opposite_wishes_leave_a_single_model_a_coin() -> None:
    pairs, _ = rated(1, 40, seed=3)
    both = Preferences.of_raters([replace(pairs, raters=None), replace(pairs, raters=None, labels=1 - pairs.labels)])
    config = replace(SMALL, latent=0, updates=60)
    single = fit(both, config, [0])
    assert float(single.history[0]) == pytest.approx(math.log(2), abs=0.03)


# -------------------------------------------------------------------- losses


def batch(seeds: int = 2) -> Sets:
    rng = np.random.default_rng(0)
    first, second = (torch.from_numpy(rng.standard_normal((seeds, 5, 3, 4, 2))) for _ in range(2))
    return Sets(first, second, torch.from_numpy(rng.choice([0, 0.5, 1], (seeds, 5, 3))))


def test_losses_are_those_of_the_paper() -> None:
    networks, sets = networks_of(SMALL, 2, 4), batch()
    parameters = {name: each.initialise([0, 1], name) for name, each in networks._asdict().items()}
    noise = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 5, 4)))
    bce, kl = losses(networks, parameters, sets, noise)
    mean, log_variance = encoded(networks, parameters, sets)
    own = torch.distributions.Normal(mean, (log_variance / 2).exp())
    expected = torch.distributions.kl_divergence(own, torch.distributions.Normal(0.0, 1.0)).sum(-1)
    assert torch.allclose(kl, expected)

    def leaky(x: torch.Tensor, weights: dict[str, torch.Tensor], seed: int) -> torch.Tensor:
        hidden = x @ weights["layer0.weight"][seed] + weights["layer0.bias"][seed]
        hidden = torch.where(hidden > 0, hidden, 0.2 * hidden)
        return hidden @ weights["layer1.weight"][seed] + weights["layer1.bias"][seed]

    for seed, row, pair in ((0, 0, 0), (1, 4, 2)):
        flat = [
            torch.cat(
                [
                    sets.first[seed, row, p].flatten(),
                    sets.second[seed, row, p].flatten(),
                    sets.labels[seed, row, p, None],
                ]
            )
            for p in range(3)
        ]
        told = leaky(torch.cat(flat), parameters["encoder"], seed).flatten()
        assert torch.allclose(told[:4], mean[seed, row])
        z = told[:4] + (told[4:] / 2).exp() * noise[seed, row]
        sums = [
            sum(leaky(torch.cat([state, z]), parameters["reward"], seed).squeeze() for state in side[seed, row, pair])
            for side in (sets.first, sets.second)
        ]
        p = torch.sigmoid(sums[1] - sums[0])  # that the second is preferred
        y = sets.labels[seed, row, pair]
        assert torch.allclose(bce[seed, row, pair], -(y * p.log() + (1 - y) * (1 - p).log()))


def test_the_weight_of_the_prior_rises_in_cycles() -> None:
    config = VPLConfig(updates=100, cycles=4, beta=2.0)
    weights = [config.weight(update) for update in range(100)]
    for cycle in (25, 50, 75):
        assert weights[cycle : cycle + 25] == pytest.approx(weights[:25])
    assert weights[0] == 0
    assert weights[:13] == sorted(weights[:13])
    assert set(weights[13:25]) == {2.0}
    assert weights[6] == pytest.approx(2 * (1 - math.cos(2 * math.pi * 6 / 25)) / 2)
    assert {VPLConfig(updates=9, cycles=0, beta=2.0).weight(update) for update in range(9)} == {2.0}


def test_a_seed_is_the_same_alone_and_in_a_group() -> None:
    pairs, _ = rated(6, 4, seed=0)
    group, alone = (fit(pairs, SMALL, seeds, torch.float64) for seeds in ([3, 5], [5]))
    for network, parameters in alone.parameters.items():
        for name, value in parameters.items():
            assert torch.allclose(group.parameters[network][name][1:], value, rtol=1e-9, atol=1e-12)
    other = pairs[pairs.raters == 2][:3]
    assert torch.allclose(group.latent(other)[1:], alone.latent(other))
    assert torch.allclose(group.predict(pairs, group.latent(other))[1:], alone.predict(pairs, alone.latent(other)))


# -------------------------------------------------------------------- raters


def test_sets_are_one_raters_pairs_none_twice() -> None:
    pairs, _ = rated(4, 6, seed=0)
    pairs = pairs[np.r_[0:5, 6:12, 12:24]]  # five of the first
    table, counts = table_of(pairs, 3)
    assert counts.tolist() == [5, 6, 6, 6]
    drawn = draw_sets(table, counts, 2000, 5, stream(0, "x"))
    assert (pairs.raters[drawn] == pairs.raters[drawn[:, :1]]).all()
    assert all(len(set(row)) == 5 for row in drawn.tolist())
    share = np.bincount(pairs.raters[drawn[:, 0]]) / 2000
    assert np.allclose(share, 0.25, atol=0.05)  # raters count alike, however many pairs they compared
    assert set(drawn.ravel()) == set(range(len(pairs)))


def test_pairs_without_raters_or_with_too_few_are_refused() -> None:
    pairs, _ = rated(4, 6, seed=0)
    with pytest.raises(
        DataError, match=r"these preferences have no raters; Preferences.of_raters joins those of several"
    ):
        fit(replace(pairs, raters=None), SMALL, [0])
    with pytest.raises(DataError, match=r"rater 0 compared 1 pairs; at least 3 of each rater are needed"):
        fit(pairs[5:], SMALL, [0])
    with pytest.raises(DataError, match=r"the encoder takes 3 pairs of a rater, not 2"):
        fit(pairs, replace(SMALL, updates=1), [0]).latent(pairs[:2])
    with pytest.raises(OffbenchError, match=r"updates of VPL is 0; a positive number would be right"):
        VPLConfig(updates=0)
