"""Fitting: what is learned, what is held out, and that neither other seeds nor other members change anything."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from preference_cases import compared, judged, linear, unplaced

from offbench.errors import DataError, OffbenchError
from offbench.labelling.reward_fitting import fit, fitted, parted, warm_up_cosine
from offbench.labelling.reward_labels import rewards
from offbench.labelling.reward_models import Compared, RewardConfig
from offbench.labelling.reward_relabelling import held_out_quality
from offbench.nn.bradley_terry import cross_entropies

DATA = compared()
SMALL = {
    "markovian": RewardConfig(hidden=(32,), updates=150),
    "lstm": RewardConfig(model="lstm", embedding=16, updates=100, learning_rate=5e-3),
    "transformer": RewardConfig(
        model="transformer", embedding=16, heads=2, longest=8, updates=100, dropout=0.0, learning_rate=3e-3
    ),
}
BRIEF = {
    name: replace(config, hidden=(8,), embedding=8, updates=6, validate_every=3, dropout=0.1)
    for name, config in SMALL.items()
}


@pytest.mark.parametrize("model", SMALL)
def test_the_ranking_of_a_linear_reward_is_recovered(model):
    config, true = SMALL[model], linear(episodes=20, seed=9)
    made = fit(DATA.preferences, config, [0])
    found = rewards(config.network(3, 2), made.parameters, true, DATA.preferences.length)[0, 0].numpy()
    ranks = [np.argsort(np.argsort(column)) for column in (found, true.rewards)]
    assert np.corrcoef(ranks)[0, 1] > (0.9 if model == "markovian" else 0.7)
    starts = np.arange(0, true.steps, 10)
    sums = [np.add.reduceat(column, starts) for column in (found, true.rewards)]
    assert np.corrcoef(sums)[0, 1] > (0.9 if model == "markovian" else 0.8)


@pytest.mark.parametrize("model", BRIEF)
def test_a_seed_is_fitted_alike_alone_and_beside_others(model):
    config = replace(BRIEF[model], members=2)
    alone = fit(DATA.preferences, config, [5], dtype=torch.float64)
    beside = fit(DATA.preferences, config, [1, 5], dtype=torch.float64)
    for name, value in alone.parameters.items():
        assert value.shape[:2] == (1, 2)
        torch.testing.assert_close(beside.parameters[name][1:], value, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(beside.losses[1:], alone.losses, rtol=1e-9, atol=1e-11)


def test_members_differ_and_the_first_is_what_it_is_without_the_others():
    one, three = (
        fit(DATA.preferences, replace(BRIEF["markovian"], members=members), [2], dtype=torch.float64).parameters
        for members in (1, 3)
    )
    torch.testing.assert_close(three["layer0.weight"][:, :1], one["layer0.weight"], rtol=1e-9, atol=1e-11)
    assert (three["layer0.weight"][0, 1] - three["layer0.weight"][0, 2]).abs().max() > 0.1


def test_pairs_that_share_steps_with_those_held_out_are_left_out():
    pairs = DATA.preferences
    case = parted(pairs, np.arange(len(pairs)), RewardConfig(), seed=0)
    assert len(case.held_out) == 20
    assert len(set(case.held_out) | set(case.fitted_to)) < len(pairs)

    def used(numbers):
        starts = np.concatenate([side.starts[numbers] for side in (pairs.first, pairs.second)])
        return set((starts[:, None] + np.arange(pairs.length)).flatten().tolist())

    assert not used(case.held_out) & used(case.fitted_to)
    other = parted(pairs, np.arange(len(pairs)), RewardConfig(), seed=1)
    assert set(other.held_out) != set(case.held_out)


def test_the_parameters_that_are_kept_have_the_loss_that_is_told():
    config = replace(BRIEF["markovian"], updates=40, validate_every=2, learning_rate=0.05, members=2)
    pairs, seeds = DATA.preferences, [0, 3]
    best = fit(pairs, config, seeds, dtype=torch.float64)
    quality = held_out_quality(pairs, config, best.parameters, seeds)
    torch.testing.assert_close(quality.cross_entropy, best.losses, rtol=1e-9, atol=1e-12)
    case = parted(pairs, np.arange(len(pairs)), config, 3)
    compared_ = Compared(pairs, config, torch.device("cpu"), torch.float64)
    own = {name: value[1] for name, value in best.parameters.items()}
    differences = compared_.differences(own, torch.from_numpy(case.held_out).expand(2, -1))
    loss = cross_entropies(differences, torch.from_numpy(pairs.labels[case.held_out]).double()).mean(-1)
    torch.testing.assert_close(loss, best.losses[1], rtol=1e-9, atol=1e-12)
    assert "of 20 held out" in quality.sentence(1)


def test_without_a_hold_out_the_last_parameters_are_kept():
    config = replace(BRIEF["markovian"], hold_out=0.0)
    made = fit(DATA.preferences, config, [0])
    assert made.losses.isnan().all()
    assert "fitted to 200 pairs, none held out" in held_out_quality(
        DATA.preferences, config, made.parameters, [0]
    ).sentence(0)
    longer = fit(DATA.preferences, replace(config, updates=12), [0])
    assert not torch.equal(longer.parameters["layer0.weight"], made.parameters["layer0.weight"])


def test_a_sum_judges_a_segment_by_its_length_times_the_mean():
    pairs, numbers = DATA.preferences, torch.arange(10).unsqueeze(0)
    parameters = {n: v[0] for n, v in fit(pairs, BRIEF["lstm"], [0], dtype=torch.float64).parameters.items()}
    by = {
        how: Compared(pairs, replace(BRIEF["lstm"], judgement=how), torch.device("cpu"), torch.float64)
        for how in ("mean", "sum")
    }
    mean, total = (by[how].differences(parameters, numbers) for how in ("mean", "sum"))
    torch.testing.assert_close(total, 8 * mean)


def test_swapping_the_segments_of_a_pair_turns_its_judgement_round():
    pairs = DATA.preferences
    swapped = replace(pairs, first=pairs.second, second=pairs.first)
    numbers, config = torch.arange(20).unsqueeze(0), BRIEF["transformer"]
    own = {n: v[0] for n, v in fit(pairs, config, [0], dtype=torch.float64).parameters.items()}
    there, back = (
        Compared(p, config, torch.device("cpu"), torch.float64).differences(own, numbers) for p in (pairs, swapped)
    )
    torch.testing.assert_close(there, -back)


def test_inputs_are_standardised_by_what_is_fitted_to():
    config = replace(BRIEF["markovian"], hold_out=0.05)
    made = fit(DATA.preferences, config, [4], dtype=torch.float64)
    case = parted(DATA.preferences, np.arange(200), config, 4)
    sides = DATA.preferences.first, DATA.preferences.second
    rows = np.concatenate([
        np.concatenate([side.observations[case.fitted_to], side.actions[case.fitted_to]], -1) for side in sides
    ]).reshape(-1, 5).astype(np.float64)  # fmt: skip
    np.testing.assert_allclose(made.parameters["input.mean"][0, 0, 0], rows.mean(0), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(made.parameters["input.std"][0, 0, 0], rows.std(0) + 1e-3, rtol=1e-6)


def test_models_are_fitted_once(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    said: list[str] = []
    one = fitted(DATA.preferences, BRIEF["markovian"], [0, 1], said.append)
    assert sum("update 6 of 6" in line for line in said) == 1
    said.clear()
    again = fitted(DATA.preferences, BRIEF["markovian"], [1], said.append)
    assert not [line for line in said if "update" in line]
    assert torch.equal(again.parameters["layer0.weight"], one.parameters["layer0.weight"][1:])
    fitted(DATA.preferences, replace(BRIEF["markovian"], judgement="sum"), [1], said.append)
    assert [line for line in said if "update" in line]


def test_the_rate_rises_in_a_tenth_and_falls_as_a_cosine():
    for share, factor in ((0.0, 0.1), (0.05, 0.55), (0.1, 1.0), (0.55, 0.55), (1.0, 0.1)):
        assert warm_up_cosine(torch.tensor(share, dtype=torch.float64)).item() == pytest.approx(factor)


def test_too_much_sharing_is_refused():
    crowded = compared(pairs=100, length=20, episodes=2)
    with pytest.raises(DataError, match=r"share no step with these; .* hold_out of 0"):
        fit(crowded.preferences, RewardConfig(), [0])
    fit(crowded.preferences, replace(BRIEF["markovian"], hold_out=0.0), [0])


def test_equal_segments_of_unknown_steps_are_not_fitted_to():
    pairs = unplaced(judged(6))
    twice = pairs[[0, 1, 2, 3, 4, 5, 0, 1, 2]]
    case = parted(twice, np.arange(9), RewardConfig(hold_out=0.3), seed=0)
    assert not {number % 6 for number in case.held_out} & {number % 6 for number in case.fitted_to}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "mlp"}, "one of markovian, lstm, transformer"),
        ({"judgement": "last"}, "mean or the sum"),
        ({"members": 0}, "members of a reward model must be at least 1"),
        ({"embedding": 10, "heads": 4}, "multiple of its 4 heads"),
        ({"hold_out": 1.0}, r"must lie in \[0, 1\)"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"hidden": ()}, "hidden layer"),
    ],
)
def test_configs_that_cannot_be_are_told(options, words):
    with pytest.raises(OffbenchError, match=words):
        RewardConfig(**options)


def test_longer_segments_than_the_table_of_times_are_refused():
    with pytest.raises(DataError, match=r"segments have 8 steps.*longest=8 would be right"):
        fit(DATA.preferences, replace(SMALL["transformer"], longest=7), [0])


def test_numbers_that_overflow_are_told():
    large = np.full((200, 8, 3), 3e38, np.float32)
    large[0] *= -1
    first = replace(DATA.preferences.first, observations=large)
    with pytest.raises(OffbenchError, match="not finite"):
        fit(replace(DATA.preferences, first=first), replace(BRIEF["markovian"], hold_out=0.0), [0])
