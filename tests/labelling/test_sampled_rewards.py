"""Distances between rewards that are known by samples: close to what is exact, and to what they must not see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.labelling.sampled_rewards import compare_rewards

DISCOUNT = 0.9


def walks(episodes: int = 100, length: int = 60, seed: int = 0, **changes: Any) -> Trajectories:
    """A point in the plane that actions push, with noise; every third episode terminates."""
    rng = np.random.default_rng(seed)
    steps = episodes * length
    actions = rng.uniform(-1, 1, (episodes, length, 2))
    places = np.zeros((episodes, length + 1, 2))
    places[:, 0] = rng.standard_normal((episodes, 2))
    for t in range(length):
        places[:, t + 1] = 0.7 * places[:, t] + actions[:, t] + 0.3 * rng.standard_normal((episodes, 2))
    last = np.arange(1, steps + 1) % length == 0
    terminal = last & (np.arange(steps) // length % 3 == 0)
    columns: dict[str, Any] = {
        "observations": places.reshape(-1, 2),
        "offsets": np.arange(0, steps + 1, length),
        "terminations": terminal,
        "truncations": last & ~terminal,
        "actions": actions.reshape(-1, 2),
        "rewards": (np.sin(2 * places[:, :-1, 0]) - actions[..., 1] ** 2).reshape(-1),
    }
    return Trajectories(**(columns | changes))


def rewarded(data: Trajectories, rewards: np.ndarray) -> Trajectories:
    return replace(data, rewards=np.asarray(rewards))


def shaped(data: Trajectories, scale: float) -> np.ndarray:
    potential = scale * (np.cos(data.observations[:, 0]) + 0.5 * data.observations[:, 1])
    goes_on = ~data.terminations
    return data.rewards + DISCOUNT * potential[data.sources + 1] * goes_on - potential[data.sources]


def test_potentials_and_scale_are_hardly_seen() -> None:
    data = walks()
    found = compare_rewards(data, rewarded(data, 3 * shaped(data, 2.0)), DISCOUNT, length=20)
    assert found.starc.value < 0.02
    assert found.epic.value < 0.05
    assert found.steps.value < 0.7  # what the eye sees of it
    assert min(found.explained) > 0.95
    assert found.starc.count == data.usable.sum() - data.usable.sum() // 2
    for each in (found.starc, found.epic, found.steps, found.segments):
        assert each.interval is not None
        assert each.interval[0] <= each.value <= each.interval[1]


def test_the_same_is_the_same_and_the_opposite_is_farthest() -> None:
    data = walks()
    same = compare_rewards(data, rewarded(data, 2 * data.rewards), DISCOUNT)
    assert [same.starc.value, same.epic.value] == pytest.approx([0, 0], abs=1e-6)
    assert [same.steps.value, same.segments.value, same.accuracy.value] == pytest.approx([1, 1, 1])
    other = compare_rewards(data, rewarded(data, -data.rewards), DISCOUNT)
    assert [other.starc.value, other.epic.value] == pytest.approx([1, 1])
    assert [other.steps.value, other.segments.value, other.accuracy.value] == pytest.approx([-1, -1, 0])


def test_distances_grow_with_what_is_another_reward() -> None:
    data = walks()
    another = np.cos(3 * data.actions[:, 0])
    found = [
        compare_rewards(data, rewarded(data, (1 - share) * data.rewards + share * another), DISCOUNT)
        for share in (0.1, 0.4, 0.7, 1.0)
    ]
    for name in ("starc", "epic"):
        values = [getattr(each, name).value for each in found]
        assert values == sorted(values)
        assert values[-1] == pytest.approx(np.sqrt(0.5), abs=0.06)  # independent: ρ = 0
    assert [each.accuracy.value for each in found] == sorted((each.accuracy.value for each in found), reverse=True)


def test_correlations_and_accuracy_are_what_numpy_says() -> None:
    data = walks()
    noisy = rewarded(data, data.rewards + np.random.default_rng(1).standard_normal(data.steps))
    found = compare_rewards(data, noisy, DISCOUNT, length=5, pairs=4000)
    rho = np.corrcoef(data.rewards, noisy.rewards)[0, 1]
    assert found.steps.value == pytest.approx(rho)
    assert found.steps.count == data.steps
    # Of jointly normal returns, two segments are ordered alike with probability 1/2 + arcsin(ρ) / π.
    likely = 0.5 + np.arcsin(found.segments.value) / np.pi
    assert found.accuracy.value == pytest.approx(likely, abs=0.03)
    assert found.segments.count == 8000
    assert 3980 < found.accuracy.count <= 4000  # but for pairs of one segment with itself


def test_a_constant_reward_says_nothing_and_does_not_fail() -> None:
    data = walks()
    found = compare_rewards(data, rewarded(data, np.ones(data.steps)), DISCOUNT)
    assert np.isnan(found.steps.value)
    assert found.steps.interval is None
    assert found.accuracy.value == 0.5  # ties count half
    back = compare_rewards(rewarded(data, np.ones(data.steps)), data, DISCOUNT)
    assert np.isnan(back.accuracy.value)
    assert back.accuracy.count == 0


def test_other_transitions_are_refused() -> None:
    data = walks()
    with pytest.raises(DataError, match=r"offsets of this dataset and this dataset differ; rewards of the same tr"):
        compare_rewards(data, data[:30])
    with pytest.raises(DataError, match=r"observations of .* differ"):
        compare_rewards(data, walks(seed=1))
    with pytest.raises(DataError, match=r"has no rewards, which are compared"):
        compare_rewards(data, replace(data, rewards=None))
    with pytest.raises(DataError, match=r"has 600 transitions; at least 1024 are needed"):
        compare_rewards(data[:10], data[:10])
    with pytest.raises(DataError, match=r"the discount must lie in \[0, 1\), not 1"):
        compare_rewards(data, data, discount=1)
