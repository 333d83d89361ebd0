"""The tests of claims keep their rate of false alarms, and find lies."""

import itertools

import numpy as np
import pytest
from scipy import stats

from offbench.leaderboard import agreement
from offbench.leaderboard.agreement import (
    FALSE_ALARMS,
    claims_are_reached,
    fresh_p_values,
    holm,
    replay_p_value,
    retrained_p_values,
    standard_error,
)
from offbench.leaderboard.power import KINDS, entry_of, found, honest, lie, refused, selected


def test_the_p_value_is_that_of_all_divisions(monkeypatch):
    """Of two seeds with three and two episodes each, against the count of all 10 x 10 divisions."""
    monkeypatch.setattr(agreement, "FIRST", 20_000)
    monkeypatch.setattr(agreement, "NEEDED", 0.0)
    claimed = [np.array([5.0, 6.0, 9.0]), np.array([1.0, 4.0, 8.0])]
    measured = [np.array([1.0, 2.0]), np.array([3.0, 0.5])]

    def differences(own, other):
        pooled = np.concatenate([own, other])
        for chosen in itertools.combinations(range(5), 3):
            rest = [i for i in range(5) if i not in chosen]
            yield pooled[list(chosen)].mean() - pooled[rest].mean()

    seen = np.mean([own.mean() - other.mean() for own, other in zip(claimed, measured, strict=True)])
    every = [abs(a + b) / 2 for a, b in itertools.product(*map(differences, claimed, measured))]
    exact = np.mean([value >= abs(seen) - 1e-12 for value in every])
    p_mean, _ = fresh_p_values(claimed, measured, np.random.default_rng(0))
    assert p_mean == pytest.approx(exact, abs=0.01)


def test_equal_returns_agree():
    zeros = [np.zeros(10)] * 3
    assert fresh_p_values(zeros, zeros, np.random.default_rng(0)) == (1.0, 1.0)
    assert replay_p_value(zeros, np.random.default_rng(0)) == 1.0
    assert standard_error(zeros, zeros) == 0.0


def test_seeds_that_changed_places_are_found_though_the_mean_stays():
    generator = np.random.default_rng(0)
    claimed = [generator.normal(level, 5.0, 50) for level in (50.0, 70.0)]
    measured = [generator.normal(level, 5.0, 50) for level in (70.0, 50.0)]
    p_mean, p_seeds = fresh_p_values(claimed, measured, generator)
    assert p_mean > 0.01
    assert p_seeds < 1e-3


def test_rounding_is_no_difference():
    generator = np.random.default_rng(0)
    assert replay_p_value([np.full(100, agreement.ROUNDING * 0.9)] * 5, generator) == 1.0
    assert replay_p_value([np.full(20, 1.0)] * 5, generator) < 1e-3
    assert replay_p_value([np.full(20, -1.0)] * 5, generator) < 1e-3  # a claim that is too low is another policy's, too


def test_holm():
    assert holm({"a": 0.002, "b": 0.004, "c": 0.5}, 0.01) == ["a", "b"]
    assert holm({"a": 0.004, "b": 0.004, "c": 0.5}, 0.01) == []
    assert holm({}, 0.01) == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_p_values_of_honest_entries_are_not_too_small(kind, monkeypatch):
    """Of 60 at the level of 10%, as many as the binomial distribution lets there be (once in a thousand)."""
    monkeypatch.setattr(agreement, "NEEDED", 0.0)
    monkeypatch.setattr(agreement, "FIRST", 199)
    generator = np.random.default_rng(1)
    values = []
    for _ in range(60):
        played = honest(kind, 3, 20, generator)
        pairs = zip(played.claimed, played.replayed, strict=True)
        p_replay = replay_p_value([one - other for one, other in pairs], generator)
        values.append([*fresh_p_values(played.claimed, played.fresh, generator), p_replay])
    counts = (np.array(values) <= 0.1).sum(axis=0)
    assert (counts <= stats.binom.ppf(0.999, 60, 0.1)).all(), counts


def test_the_approximation_of_the_power_agrees_with_the_permutations():
    generator = np.random.default_rng(0)
    for size, is_found in ((0.0, False), (20.0, True)):
        played = lie(honest(KINDS[0], 3, 30, generator), size, by_heart=True)
        p_mean, _ = fresh_p_values(played.claimed, played.fresh, generator)
        assert found(played) is is_found
        assert (p_mean < 5e-4) is is_found


def test_a_lie_of_five_points_is_found_in_edited_records():
    generator = np.random.default_rng(0)
    assert all(found(lie(honest(kind, 3, 20, generator), 5.0, by_heart=False)) for kind in KINDS[:2])


@pytest.mark.slow
def test_false_alarms_of_two_hundred_honest_entries_lie_within_the_binomial_interval():
    generator = np.random.default_rng(0)
    alarms = sum(refused(entry_of(5, 50, generator), generator) for _ in range(200))
    assert alarms <= stats.binom.ppf(0.975, 200, FALSE_ALARMS)


# -------------------------------------------------------------------- training anew


def test_claims_against_training_anew_are_tested_by_all_choices_of_seeds():
    claimed, measured = {"a": np.array([9.0, 8.0, 7.0])}, {"a": np.arange(6.0)}
    together, singly = retrained_p_values(claimed, measured, np.random.default_rng(0))
    assert singly["a"] == pytest.approx(1 / 84, rel=0.1)  # the highest three of nine
    assert together == pytest.approx(singly["a"], rel=0.1)
    low, _ = retrained_p_values({"a": np.zeros(3) - 9}, measured, np.random.default_rng(0))
    assert low == 1.0


def test_small_excesses_on_many_tasks_add_up():
    claimed = {str(task): np.array([1.0, 2.0, 3.0, 4.0, 5.0]) + 2 for task in range(6)}
    measured = {str(task): np.arange(10.0) / 2 for task in range(6)}
    together, singly = retrained_p_values(claimed, measured, np.random.default_rng(0))
    assert together < min(singly.values())
    assert not claims_are_reached(together, singly)


def test_honest_seeds_reach_their_claims_and_chosen_ones_do_not():
    generator = np.random.default_rng(0)
    honest_ones = [
        claims_are_reached(
            *retrained_p_values({"a": generator.normal(size=5)}, {"a": generator.normal(size=10)}, generator)
        )
        for _ in range(20)
    ]
    assert sum(honest_ones) >= 19
    assert sum(selected(6, True, generator) for _ in range(5)) == 5
