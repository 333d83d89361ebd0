"""Labels of whole datasets: windows, aggregates against the closed toy of best-of-n, and the scale of returns."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from preference_cases import linear

from offbench.errors import DataError, OffbenchError
from offbench.labelling import best_of_n
from offbench.labelling.reward_labels import (
    LabelConfig,
    aggregated,
    first_windows,
    labels,
    normalised,
    rewards,
    sliding_ends,
    standardised_members,
    told,
)
from offbench.labelling.reward_models import RewardConfig, initial
from offbench.nn import transformer

LENGTH = 4
CONFIGS = {
    "markovian": RewardConfig(hidden=(8,)),
    "lstm": RewardConfig(model="lstm", embedding=32),
    "transformer": RewardConfig(model="transformer", embedding=8, heads=2, longest=6),
}
DATA = linear(lengths=[9, 2, 1, 4, 6])


def models(config: RewardConfig, seeds=(0, 1), members: int = 2):
    network = config.network(3, 2)
    return network, initial(network, [(seed, "") for seed in seeds], members, 5)


def steps_of(data) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([data.observations[data.sources], data.actions], 1)).double()


@pytest.mark.parametrize("model", CONFIGS)
def test_the_reward_of_a_step_is_the_last_of_its_window(model):
    network, parameters = models(CONFIGS[model])
    found = rewards(network, parameters, DATA, LENGTH)
    assert found.shape == (2, 2, DATA.steps)
    flat, inputs = {n: v.flatten(0, 1) for n, v in parameters.items()}, steps_of(DATA)
    for first, end in zip(DATA.offsets[:-1], DATA.offsets[1:], strict=True):
        for step in range(first, end):
            window = inputs[max(first, step + 1 - LENGTH) : step + 1].expand(4, 1, -1, -1)
            alone = network.rewards(flat, window)[:, 0, -1].view(2, 2)
            torch.testing.assert_close(found[:, :, step], alone, rtol=1e-9, atol=1e-12)


def test_windows_are_those_that_are_padded_on_the_left_and_masked(monkeypatch):
    """As published: zeros and times of 0 before the first step, which attention does not see."""
    network, parameters = models(CONFIGS["transformer"], (0,), 1)
    found = rewards(network, parameters, DATA, LENGTH)[0, 0]
    own, inputs = {n: v[0] for n, v in parameters.items()}, steps_of(DATA)
    for step, there in ((0, 1), (1, 2), (2, 3), (9, 1), (10, 2), (11, 1)):
        padding = LENGTH - there
        window = torch.cat([torch.zeros(padding, 5).double(), inputs[step + 1 - there : step + 1]])
        times = own["time.weight"]
        shifted = torch.cat([torch.full_like(times[:, :padding], 9.0), times[:, : 6 - padding]], 1)

        def masked(queries, keys, values, masks, wanted, hidden=2 * padding):
            tokens = keys.shape[-2]
            seen = torch.ones(tokens, tokens, dtype=torch.bool).tril()
            seen[:, :hidden] = False
            return torch.nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=seen[wanted])

        monkeypatch.setattr(transformer, "causal_attention", masked)
        padded = network.rewards(own | {"time.weight": shifted}, window.view(1, 1, LENGTH, 5), last=True)
        torch.testing.assert_close(padded[0, 0, 0], found[step], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("model", CONFIGS)
def test_no_reward_depends_on_another_episode_or_on_what_left_the_window(model):
    network, parameters = models(CONFIGS[model], (0,), 1)
    plain = rewards(network, parameters, DATA, LENGTH)[0, 0]
    observations = DATA.observations.copy()
    observations[2] += 3  # of the step 2 of the first episode
    moved = torch.nonzero(rewards(network, parameters, replace(DATA, observations=observations), LENGTH)[0, 0] != plain)
    assert moved.flatten().tolist() == ([2] if model == "markovian" else [2, 3, 4, 5])
    actions = DATA.actions.copy()
    actions[8] = 0  # the last step of the first episode
    moved = torch.nonzero(rewards(network, parameters, replace(DATA, actions=actions), LENGTH)[0, 0] != plain)
    assert moved.flatten().tolist() == [8]


def test_each_step_is_labelled_once_a_few_at_a_time():
    for many in (1, 2, 100):
        seen = [steps[reached] for steps, reached in first_windows(DATA, LENGTH, many)]
        seen += sliding_ends(DATA, LENGTH, many)
        assert sorted(np.concatenate(seen).tolist()) == list(range(DATA.steps))
        assert all(len(part) <= many for part in sliding_ends(DATA, LENGTH, many))


# -------------------------------------------------------------------- aggregates


def test_aggregates_by_hand():
    members = torch.tensor([[1.0, 0.0], [2.0, 0.0], [6.0, 3.0], [3.0, 1.0]])
    by = {how: aggregated(members, how, 0.5).tolist() for how in ("mean", "wco", "median")}
    assert by == {"mean": [3.0, 1.0], "wco": [1.0, 0.0], "median": [2.5, 0.5]}
    assert aggregated(members, "uwo", 0.5).tolist() == [3.0 - 0.5 * 3.5, 1.0 - 0.5 * 1.5]  # population variances
    torch.testing.assert_close(aggregated(members, "mean_minus_std"), torch.tensor([3 - 3.5**0.5, 1 - 1.5**0.5]))


def test_members_are_standardised_by_the_reference():
    members = torch.tensor([[0.0, 2.0, 4.0], [10.0, 10.0, 40.0]], dtype=torch.float64)
    made = standardised_members(members)
    torch.testing.assert_close(made.mean(-1), torch.zeros(2).double())
    torch.testing.assert_close(made.std(-1, correction=0), torch.ones(2).double())
    by_other = standardised_members(members, torch.tensor([[-1.0, 1.0], [0.0, 20.0]], dtype=torch.float64))
    assert by_other.tolist() == [[0.0, 2.0, 4.0], [0.0, 0.0, 3.0]]
    assert not standardised_members(torch.ones(2, 5)).any()  # a constant member says nothing


def toy(samples: int, heavy: bool) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Gold N(0, 1); five members, each gold + 0.3 N(0, 1) that all share + an error of its own."""
    rng = np.random.default_rng(0)
    gold = rng.normal(size=samples)
    errors = 0.5 * rng.standard_t(2, (5, samples)) if heavy else 0.7 * rng.normal(size=(5, samples))
    members = torch.from_numpy(gold + 0.3 * rng.normal(size=samples) + errors).unsqueeze(0)
    proxies = {how: aggregated(members, how, 0.5) for how in ("mean", "wco", "uwo", "median")}
    return torch.from_numpy(gold)[None], proxies | {"single": members[:, 0], "best": torch.from_numpy(gold)[None]}


def test_best_of_n_with_heavy_tails():
    """Mean gold of what is chosen: that by a single member and by the mean turns down, that by WCO and UWO does not."""
    names = ("single", "mean", "wco", "uwo", "median", "best")
    table = {
        4: (0.762, 0.878, 0.822, 0.873, 0.940, 1.037),
        16: (1.121, 1.444, 1.495, 1.562, 1.604, 1.769),
        64: (0.994, 1.631, 2.022, 2.089, 2.082, 2.329),
        256: (0.535, 1.346, 2.487, 2.530, 2.531, 2.822),
        1024: (0.238, 0.784, 2.892, 2.953, 2.868, 3.265),
    }
    gold, proxies = toy(600_000, heavy=True)
    found: dict[str, list[float]] = {name: [] for name in names}
    for n, row in table.items():
        for name, expected in zip(names, row, strict=True):
            values = best_of_n.chosen(gold, proxies[name], n)
            found[name].append(float(values.mean()))
            error = float(values.std()) / math.sqrt(len(values))
            assert found[name][-1] == pytest.approx(expected, abs=0.015 + 4 * error), (n, name)
    for name, values in found.items():
        turned_down = max(values) - values[-1]
        assert (turned_down > 0.5) is (name in ("single", "mean")), name


def test_best_of_n_with_gaussian_errors_turns_down_for_none():
    gold, proxies = toy(300_000, heavy=False)
    expected = {"single": 2.587, "mean": 3.010, "wco": 2.901, "uwo": 2.989}
    for name, value in expected.items():
        found = [float(best_of_n.chosen(gold, proxies[name], n).mean()) for n in (4, 64, 1024)]
        assert found == sorted(found)
        assert found[-1] == pytest.approx(value, abs=0.15)


def test_divergence_of_best_of_n():
    assert [round(best_of_n.kl(n), 4) for n in (1, 4, 16, 256)] == [0.0, 0.6363, 1.8351, 4.5491]


# -------------------------------------------------------------------- scale

GIVEN = torch.tensor([[1.0, 1.0, 2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 3.0, 3.0, 0.0]])
OFFSETS = np.array([0, 2, 6])  # returns 2 and 2 of the first seed, 0 and 6 of the second


def test_returns_span_the_longest_episode_and_half_is_added():
    given = GIVEN.clone()
    given[0, 2] = 4  # returns 2 and 4
    made = normalised(given, OFFSETS, LabelConfig())
    assert made.tolist()[0] == [2.5, 2.5, 8.5, 0.5, 0.5, 0.5]  # times 4 / (4 - 2)
    torch.testing.assert_close(made[1], given[1] * 4 / 6 + 0.5)
    wide = normalised(given, OFFSETS, LabelConfig(shift="none", return_span=1000.0))
    returns = torch.stack([wide[:, :2].sum(1), wide[:, 2:].sum(1)], 1)
    torch.testing.assert_close(returns.amax(1) - returns.amin(1), torch.full((2,), 1000.0))


def test_the_lowest_return_is_at_minus_its_steps():
    given = GIVEN.clone()
    given[0, 2] = 4
    made = normalised(given, OFFSETS, LabelConfig(shift="minus_one"))
    # R_min / steps is subtracted: 2 / 2 = 1 of the first episode, 2 / 4 of the second; then times 2, then less 1.
    assert made.tolist()[0] == [-1.0, -1.0, 6.0, -2.0, -2.0, -2.0]


def test_equal_returns_cannot_be_scaled():
    with pytest.raises(DataError, match="same return under the learned rewards"):
        normalised(GIVEN, OFFSETS, LabelConfig())


def test_a_single_member_is_not_standardised_and_several_are():
    members = torch.tensor([[[1.0, 5.0, 0.0, 2.0]], [[4.0, 0.0, 1.0, 1.0]]])
    offsets = np.array([0, 2, 4])
    config = LabelConfig(shift="none", aggregate="wco")
    torch.testing.assert_close(labels(members, offsets, config), normalised(members[:, 0], offsets, config))
    several = torch.cat([members, torch.tensor([[[900.0, 0, 100, 300]], [[0, 700.0, 0, 0]]])], 1)
    expected = normalised(standardised_members(several).amin(1), offsets, config)
    torch.testing.assert_close(labels(several, offsets, config), expected)


def test_what_was_done_is_told():
    config = LabelConfig(aggregate="uwo", shift="minus_one", return_span=1000)
    assert told(5, config) == (
        "mean - 0.5 variance (UWO) of 5 standardised members, scaled so that returns span 1000, the lowest return at "
        "0, less 1 a step"
    )
    assert told(1, LabelConfig()).startswith("those of one member, scaled so that returns span the longest episode")


@pytest.mark.parametrize(
    "options", [{"aggregate": "max"}, {"shift": "half"}, {"pessimism": -1.0}, {"return_span": 0.0}], ids=str
)
def test_configs_that_cannot_be_are_told(options):
    with pytest.raises(OffbenchError, match=next(iter(options))):
        LabelConfig(**options)


def test_pictures_are_refused():
    network, parameters = models(CONFIGS["markovian"])
    pictures = np.zeros((len(DATA.observations), 2, 2), np.float32)
    with pytest.raises(DataError, match="observations that are vectors"):
        rewards(network, parameters, replace(DATA, observations=pictures), LENGTH)
