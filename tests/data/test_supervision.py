"""The splits of SS-ORL: sizes, bounds of returns, disjointness, names; and that nothing of what is hidden stays."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbench.data.supervision import SemiSupervised, apply_split, hide_actions, hide_rewards
from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import DataError, OffbenchError, UnknownNameError

EXAMPLES = settings(max_examples=80, deadline=None)


def with_returns(returns: Any, **changes: Any) -> Trajectories:
    """Episodes of two steps, whose observation is the number of the episode."""
    count = len(returns)
    numbers = np.repeat(np.arange(count, dtype=np.float32), 3)[:, None]
    rewards = np.zeros(2 * count)
    rewards[::2] = returns
    ends = np.tile([False, True], count)
    columns = {
        "observations": numbers,
        "offsets": 2 * np.arange(count + 1),
        "terminations": ends,
        "truncations": np.zeros(2 * count, dtype=bool),
        "actions": np.linspace(-1, 1, 2 * count, dtype=np.float32)[:, None],
        "rewards": rewards,
        "action_range": (np.full(1, -1.0), np.full(1, 1.0)),
        "provenance": Provenance(dataset="some/data-v0", revision=2, task="pen"),
    }
    return Trajectories(**columns | changes)


def numbers(trajectories: Trajectories) -> list[int]:
    """Which episodes of ``with_returns`` these are."""
    return trajectories.observations[trajectories.offsets[:-1] + np.arange(len(trajectories)), 0].astype(int).tolist()


# Percentages, because the definition is in floors of them.
PERCENT = st.integers(1, 100)
RETURNS = st.lists(st.integers(-5, 5), min_size=2, max_size=60)


@EXAMPLES
@given(RETURNS, PERCENT, PERCENT, st.integers(0, 10_000))
def test_coupled_splits(returns: list[int], p: int, q: int, seed: int):
    count, data = len(returns), with_returns(returns)
    size = min(floor(Fraction(q, 100) * count), floor(Fraction(p, 100) * count))
    if size in (0, count):
        with pytest.raises(DataError, match="no episode"):
            hide_actions(data, p / 100, q / 100, seed)
        return
    view = hide_actions(data, p / 100, q / 100, seed)
    labelled, free = numbers(view.labelled), numbers(view.action_free)
    assert len(labelled) == size
    assert sorted(labelled + free) == list(range(count))  # disjoint, and together everything
    assert labelled == sorted(labelled)
    assert free == sorted(free)
    ranked = sorted(range(count), key=lambda episode: (returns[episode], episode))
    assert set(labelled) <= set(ranked[: floor(Fraction(q, 100) * count)])
    again = hide_actions(data, p / 100, q / 100, seed)
    assert (again.digest, again.split) == (view.digest, view.split)
    for part, episodes in ((view.labelled, labelled), (view.action_free, free)):
        np.testing.assert_array_equal(part.rewards, data[episodes].rewards)
        np.testing.assert_array_equal(part.observations, data[episodes].observations)
    np.testing.assert_array_equal(view.labelled.actions, data[labelled].actions)
    assert view.action_free.actions is None
    assert view.action_free.action_range is None


@EXAMPLES
@given(
    st.lists(st.integers(-5, 5), min_size=6, max_size=60),
    PERCENT,
    st.permutations(["low", "medium", "high"]),
    st.integers(0, 10_000),
)
def test_decoupled_splits(returns: list[int], p: int, order: list[str], seed: int):
    count, data = len(returns), with_returns(returns)
    ranked = sorted(range(count), key=lambda episode: (returns[episode], episode))
    bounds = [0, count // 3, 2 * count // 3, count]
    names = ["low", "medium", "high"]
    source, target = (ranked[bounds[i] : bounds[i + 1]] for i in map(names.index, order[:2]))
    size = min(len(source), floor(Fraction(p, 100) * count))
    options: dict[str, Any] = {"mode": "decoupled", "terciles": (order[0], order[1]), "seed": seed}
    if size == 0:
        with pytest.raises(DataError, match="a labelled part"):
            hide_actions(data, p / 100, **options)
        return
    view = hide_actions(data, p / 100, **options)
    assert len(view.labelled) == size
    assert set(numbers(view.labelled)) <= set(source)
    assert numbers(view.action_free) == sorted(target)
    assert apply_split(data, f"actions={p}%-{order[0]}-to-{order[1]}&seed={seed}").digest == view.digest


def test_the_numbers_of_the_paper():
    # 1,000 episodes, 10 % labelled from the lower half: 100 of the 500 lowest, 900 without actions.
    returns = np.random.default_rng(0).permutation(1000)
    view = hide_actions(with_returns(returns))
    assert (len(view.labelled), len(view.action_free)) == (100, 900)
    assert view.labelled.returns.max() < 500
    assert view.action_free.returns.max() == 999
    # At q = 10 % all of the lowest tenth are labelled; at q = 5 % there are no more than that.
    assert sorted(hide_actions(with_returns(returns), quantile=0.1).labelled.returns) == list(range(100))
    assert len(hide_actions(with_returns(returns), quantile=0.05).labelled) == 50
    decoupled = hide_actions(with_returns(returns), mode="decoupled")
    assert decoupled.labelled.returns.max() < 333
    assert (decoupled.action_free.returns.min(), len(decoupled.action_free)) == (666, 334)


def test_shares_mean_what_is_written():
    # 0.29 * 100 is 28.999999999999996 in floating point.
    assert len(hide_actions(with_returns(np.arange(100)), 0.29, 1.0).labelled) == 29


def test_the_draw_is_uniform_and_the_same_for_ever():
    data = with_returns(np.arange(20))
    counts = np.zeros(20)
    for seed in range(2000):
        counts[numbers(hide_actions(data, 0.25, 0.5, seed).labelled)] += 1
    assert counts[10:].sum() == 0
    assert np.abs(counts[:10] - 1000).max() < 5 * np.sqrt(2000 * 0.25)  # five standard deviations
    # Published: must never change.
    assert numbers(hide_actions(data, 0.25, 0.5, seed=3).labelled) == EXPECTED_DRAW
    assert hide_actions(data, 0.25, 0.5, seed=3).digest == EXPECTED_DIGEST


EXPECTED_DRAW = [0, 1, 4, 7, 9]
EXPECTED_DIGEST = "8195b3763b2c58524a4d57d7f9c325ef04815c2a5c1ce511277b258d461d8bbc"


def test_equal_returns_are_ranked_by_place():
    assert max(numbers(hide_actions(with_returns(np.zeros(10)), 0.5, 0.5).labelled)) == 4


# -------------------------------------------------------------------- what is hidden


def test_nothing_that_tells_the_actions_or_rewards_stays():
    extras = {
        name: np.zeros((20, 1))
        for name in ("action_log_probs", "deep/action_mean", "qacc_warmstart", "qpos", "reward_run")
    }
    data = with_returns(np.arange(10), extras=extras)
    view = hide_actions(data, 0.2)
    assert view.action_free.extras.keys() == {"qpos", "reward_run"}
    assert view.labelled.extras.keys() == extras.keys()
    free = hide_rewards(data)
    assert free.rewards is None
    assert free.extras.keys() == {"action_log_probs", "deep/action_mean", "qacc_warmstart", "qpos"}
    assert data.rewards is not None


def test_a_view_prints_both_parts():
    printed = str(hide_actions(with_returns(np.arange(10)), 0.2))
    assert "2 episodes" in printed
    assert "8 episodes" in printed
    assert "without   actions" in printed


# -------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("query", "options", "name"),
    [
        ("actions=10%-low", {"labelled": 0.1}, "actions=10%-low&seed=0"),
        ("actions=10%-q50", {"labelled": 0.1}, "actions=10%-low&seed=0"),
        ("actions=20%-q30&seed=4", {"labelled": 0.2, "quantile": 0.3, "seed": 4}, "actions=20%-q30&seed=4"),
        ("seed=4&actions=2.5%-q100", {"labelled": 0.025, "quantile": 1, "seed": 4}, "actions=2.5%-q100&seed=4"),
        ("actions=29%-low-to-high", {"labelled": 0.29, "mode": "decoupled"}, "actions=29%-low-to-high&seed=0"),
    ],
)
def test_names_of_splits(query: str, options: dict[str, Any], name: str):
    data = with_returns(np.arange(200))
    view, same = apply_split(data, query), hide_actions(data, **options)
    assert isinstance(view, SemiSupervised)
    assert view.split == same.split == name
    assert view.digest == same.digest
    for part in (view.labelled, view.action_free):
        assert part.provenance.dataset == f"some/data-v0?{name}"
        assert (part.provenance.revision, part.provenance.task) == (2, "pen")
        assert any("of 200 episodes kept their actions" in note for note in part.provenance.notes)
    assert apply_split(data, view.split).digest == view.digest  # the recorded name gives the same split


def test_the_digest_depends_on_the_split_even_where_the_parts_do_not():
    data = with_returns(np.arange(10))
    digests = {apply_split(data, f"actions=10%-{q}").digest for q in ("q10", "q10&seed=1", "low", "q60")}
    assert len(digests) == 4
    first, second = (apply_split(data, f"actions=10%-q10&seed={seed}") for seed in (0, 1))
    assert numbers(first.labelled) == numbers(second.labelled) == [0]  # only one can be drawn


def test_rewards_and_actions_can_both_be_hidden():
    data = with_returns(np.arange(20))
    view = apply_split(data, "actions=10%-low&rewards=none&seed=2")
    assert numbers(view.labelled) == numbers(apply_split(data, "actions=10%-low&seed=2").labelled)
    assert view.labelled.rewards is view.action_free.rewards is None
    assert view.split == "actions=10%-low&rewards=none&seed=2"
    assert view.labelled.provenance.dataset == f"some/data-v0?{view.split}"
    states = apply_split(data, "actions=none&rewards=none")
    assert isinstance(states, Trajectories)
    assert states.actions is states.rewards is None
    assert states.provenance.dataset == "some/data-v0?actions=none&rewards=none"
    free = apply_split(data, "rewards=none")
    assert (free.rewards, free.digest) == (None, hide_rewards(data).digest)
    assert free.provenance.dataset == "some/data-v0?rewards=none"


@pytest.mark.parametrize("part", ["labelled", "action_free"])
def test_one_part_of_a_split(part: str):
    data = with_returns(np.arange(20))
    whole = apply_split(data, "actions=10%-low&rewards=none&seed=2")
    alone = apply_split(data, f"part={part}&actions=10%-low&seed=2&rewards=none")
    assert isinstance(alone, Trajectories)
    assert alone.digest == getattr(whole, part).digest
    assert alone.provenance.dataset == f"some/data-v0?actions=10%-low&part={part}&rewards=none&seed=2"


def test_a_question_mark_in_a_path_is_no_split():
    data = with_returns(np.arange(20), provenance=Provenance(dataset="what?.hdf5"))
    assert hide_rewards(data).provenance.dataset == "what?.hdf5?rewards=none"


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ("action=10%-low", UnknownNameError, "no key of a split named 'action'; nearest: actions"),
        ("", UnknownNameError, "no key of a split"),
        ("actions=10-low", UnknownNameError, "nearest: 10%-low"),
        ("actions=10%", UnknownNameError, "no split of actions named '10%'"),
        ("actions=10%-lo", UnknownNameError, "nearest: 10%-low"),
        ("actions=10%-high", UnknownNameError, "no split of actions named '10%-high'"),
        ("actions=10%-low-to-hihg", UnknownNameError, "no tercile named 'hihg'; nearest: high"),
        ("actions=10%-low-to-low", DataError, "both come from tercile low"),
        ("actions=120%-low", DataError, "labelled is 1.2"),
        ("actions=0%-low", DataError, "labelled is 0"),
        ("actions=10%-q0", DataError, "quantile is 0"),
        ("actions=1%-low", DataError, "leaves a labelled part no episode of 20"),
        ("actions=100%-q100", DataError, "leaves an action-free part no episode of 20"),
        ("actions=10%-low&part=labeled", UnknownNameError, "no part of a split named 'labeled'; nearest: labelled"),
        ("actions=none&part=labelled", OffbenchError, "no parts to choose from"),
        ("preferences=5x1&part=labelled", OffbenchError, "no parts to choose from"),
        ("rewards=some", UnknownNameError, "no split of rewards named 'some'; nearest: none"),
        ("rewards=none&seed=1", OffbenchError, "leave the seed out"),
        ("actions=10%-low&seed=x", OffbenchError, "a whole number"),
        ("actions=10%-low&seed=-1", OffbenchError, "a whole number"),
        ("actions=10%-low&actions=none", OffbenchError, "gives actions twice"),
    ],
)
def test_what_is_no_split(query: str, error: type[Exception], message: str):
    with pytest.raises(error) as caught:
        apply_split(with_returns(np.arange(20)), query)
    assert message in str(caught.value)


def test_what_cannot_be_split():
    data = with_returns(np.arange(20))
    with pytest.raises(DataError, match="no actions that could be hidden"):
        hide_actions(replace(data, actions=None, action_range=None))
    with pytest.raises(DataError, match="no rewards"):
        hide_actions(replace(data, rewards=None))
    with pytest.raises(UnknownNameError, match="mode"):
        hide_actions(data, mode="couple")  # type: ignore[arg-type]
