"""Trajectories against a naive list of episodes, and every promise that its construction checks."""

from __future__ import annotations

import collections
import fractions
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from trajectory_strategies import Episode, episode_lists, keys, pack, unpack

from offbench.data.concatenation import concatenate
from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import DataError

EXAMPLES = settings(max_examples=80, deadline=None)


def small(**changes: Any) -> Trajectories:
    """Two episodes of 3 and 2 steps, the first terminated, the second truncated."""
    columns: dict[str, Any] = {
        "observations": np.arange(14, dtype=np.float32).reshape(7, 2),
        "offsets": np.array([0, 3, 5]),
        "terminations": np.array([0, 0, 1, 0, 0], dtype=bool),
        "truncations": np.array([0, 0, 0, 0, 1], dtype=bool),
        "actions": np.array([[0.0], [1.0], [-1.0], [0.5], [0.25]], dtype=np.float32),
        "rewards": np.array([1.0, 2.0, 3.0, 10.0, 20.0], dtype=np.float32),
        "extras": {"goal": np.arange(5)},
        "provenance": Provenance(dataset="a/set"),
    }
    return Trajectories(**(columns | changes))


# -------------------------------------------------------------------- selection equals the naive model


@EXAMPLES
@given(episode_lists())
def test_packing_keeps_every_episode(drawn: tuple[list[Episode], Episode]) -> None:
    episodes, like = drawn
    trajectories = pack(episodes, like)
    assert len(trajectories) == len(episodes)
    assert trajectories.lengths.tolist() == [e.length for e in episodes]
    assert trajectories.steps == sum(e.length for e in episodes)
    assert keys(unpack(trajectories)) == keys(episodes)


@EXAMPLES
@given(episode_lists(), st.data())
def test_indexing_equals_a_list(drawn: tuple[list[Episode], Episode], data: st.DataObject) -> None:
    episodes, like = drawn
    trajectories = pack(episodes, like)
    count = len(episodes)
    piece = data.draw(st.slices(count))
    assert keys(unpack(trajectories[piece])) == keys(episodes[piece])
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=bool)
    assert keys(unpack(trajectories[mask])) == keys([e for e, kept in zip(episodes, mask, strict=True) if kept])
    numbers = data.draw(st.lists(st.integers(-count, count - 1), max_size=8)) if count else []
    chosen = keys([episodes[number] for number in numbers])
    assert keys(unpack(trajectories[numbers])) == chosen
    assert keys(unpack(trajectories[tuple(numbers)])) == chosen
    assert keys(unpack(trajectories[np.array(numbers, dtype=int)])) == chosen
    assert [keys(unpack(one)) for one in trajectories] == [[key] for key in keys(episodes)]
    if numbers:
        assert keys(unpack(trajectories[numbers[0]])) == chosen[:1]


@pytest.mark.parametrize("index", [2, -3, [0, 2], [[0, 1], [1, 0]], [True], 0.5, True])
def test_an_impossible_index_is_an_index_error(index: Any) -> None:
    with pytest.raises(IndexError):
        small()[index]


def test_slicing_copies_no_data() -> None:
    trajectories = small()
    part = trajectories[1:]
    assert np.shares_memory(part.observations, trajectories.observations)
    assert np.shares_memory(part.extras["goal"], trajectories.extras["goal"])


@EXAMPLES
@given(episode_lists())
def test_filter_keeps_what_the_predicate_keeps(drawn: tuple[list[Episode], Episode]) -> None:
    episodes, like = drawn
    kept = pack(episodes, like).filter(lambda one: one.steps % 2 == 0)
    assert keys(unpack(kept)) == keys([e for e in episodes if e.length % 2 == 0])


@EXAMPLES
@given(episode_lists(), st.floats(0, 1), st.integers(0, 99))
def test_split_parts_are_the_whole(drawn: tuple[list[Episode], Episode], fraction: float, seed: int) -> None:
    episodes, like = drawn
    trajectories = pack(episodes, like)
    first, second = trajectories.split(fraction, seed)
    assert len(first) == int(round(fraction * len(episodes), 9))
    joined = concatenate([first, second])
    assert collections.Counter(keys(unpack(joined))) == collections.Counter(keys(episodes))
    again = trajectories.split(fraction, seed)
    assert [part.digest for part in again] == [first.digest, second.digest]


@EXAMPLES
@given(episode_lists(), st.data())
def test_concatenating_pieces_gives_back_the_whole(drawn: tuple[list[Episode], Episode], data: st.DataObject) -> None:
    episodes, like = drawn
    trajectories = pack(episodes, like)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(episodes)), max_size=3)))
    pieces = [trajectories[a:b] for a, b in zip([0, *cuts], [*cuts, len(episodes)], strict=True)]
    assert concatenate(pieces).digest == trajectories.digest


def test_concatenating_keeps_the_notes_of_all_parts() -> None:
    parts = [small(provenance=Provenance(dataset=name, notes=("both", name))) for name in ("one", "two")]
    assert concatenate(parts).provenance == Provenance("one + two", notes=("both", "one: one", "two: two"))


# -------------------------------------------------------------------- returns


@EXAMPLES
@given(episode_lists(rewards=True))
def test_returns_are_sums_of_rewards(drawn: tuple[list[Episode], Episode]) -> None:
    episodes, like = drawn
    expected = [sum(float(reward) for reward in e.rewards) for e in episodes]
    np.testing.assert_allclose(pack(episodes, like).returns, expected, rtol=1e-12, atol=1e-12)


@EXAMPLES
@given(episode_lists(least=1, most=12, rewards=True), st.integers(1, 100))
def test_best_are_the_highest_returns_in_order(drawn: tuple[list[Episode], Episode], percent: int) -> None:
    episodes, like = drawn
    trajectories = pack(episodes, like)
    known = len(episodes) - (
        episodes[-1].end == "cut" and len(episodes) > 1
    )  # what a tail would have earned is unknown
    count = max(1, int(fractions.Fraction(percent, 100) * known))
    ranked = sorted(range(known), key=lambda number: -trajectories.returns[number])  # stable: earlier first
    best = trajectories.best(percent / 100)
    assert keys(unpack(best)) == keys([episodes[number] for number in sorted(ranked[:count])])


def test_best_takes_the_share_as_written() -> None:
    episodes = [Episode(np.zeros((2, 1), np.float32), "truncated", rewards=np.array([float(i)])) for i in range(100)]
    assert 0.29 * 100 < 29
    assert pack(episodes, episodes[0]).best(0.29).returns.tolist() == list(range(71, 100))


def test_between_returns_includes_its_bounds() -> None:
    assert small().between_returns(6.0, 30.0).returns.tolist() == [6.0, 30.0]
    assert small().between_returns(low=6.5).returns.tolist() == [30.0]
    assert len(small().between_returns(high=5.0)) == 0


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1, np.nan])
def test_a_fraction_outside_its_range_is_refused(fraction: float) -> None:
    with pytest.raises(DataError, match=r"must lie in \(0, 1\], not"):
        small().best(fraction)
    if fraction != 0:
        with pytest.raises(DataError, match=r"must lie in \[0, 1\], not"):
            small().split(fraction)


def test_without_rewards_there_are_no_returns() -> None:
    with pytest.raises(DataError, match="a/set has no rewards, so its episodes have no returns"):
        _ = small(rewards=None).returns


# -------------------------------------------------------------------- digest


def rebuilt(trajectories: Trajectories, make: Any) -> Trajectories:
    """The same with every column but offsets passed through ``make``."""
    columns = {name: make(column) for name, column in trajectories.columns().items() if name != "offsets"}
    extras = {name: columns.pop(f"extras/{name}") for name in reversed(list(trajectories.extras))}
    return replace(trajectories, extras=extras, **columns)


def strided(column: np.ndarray) -> np.ndarray:
    return np.repeat(column, 2, axis=0)[::2]


@EXAMPLES
@given(episode_lists())
def test_digest_depends_on_content_alone(drawn: tuple[list[Episode], Episode]) -> None:
    trajectories = pack(*drawn)
    digest = trajectories.digest
    assert replace(trajectories, provenance=Provenance("x", 3, "y", ("z",))).digest == digest
    assert rebuilt(trajectories, np.copy).digest == digest
    assert rebuilt(trajectories, np.asfortranarray).digest == digest
    assert rebuilt(trajectories, strided).digest == digest
    assert rebuilt(trajectories, lambda column: column.astype(column.dtype.newbyteorder(">"))).digest == digest
    with tempfile.TemporaryDirectory() as folder:

        def mapped(column: np.ndarray) -> np.ndarray:
            if not column.size:
                return column
            path = Path(tempfile.mkstemp(dir=folder)[1])
            path.write_bytes(np.ascontiguousarray(column).tobytes())
            return np.memmap(path, dtype=column.dtype, mode="r", shape=column.shape)

        assert rebuilt(trajectories, mapped).digest == digest


@EXAMPLES
@given(episode_lists(least=1), st.data())
def test_digest_changes_with_any_value(drawn: tuple[list[Episode], Episode], data: st.DataObject) -> None:
    trajectories = pack(*drawn)
    name = data.draw(
        st.sampled_from([n for n in trajectories.columns() if n not in ("offsets", "terminations", "truncations")])
    )
    column = trajectories.columns()[name].copy()
    index = np.unravel_index(data.draw(st.integers(0, column.size - 1)), column.shape)
    column[index] = 0 if column[index] else 1
    if name.startswith("extras/"):
        changed = replace(trajectories, extras=dict(trajectories.extras) | {name.removeprefix("extras/"): column})
    else:
        changed = replace(trajectories, **{name: column})
    assert changed.digest != trajectories.digest


def test_digest_changes_with_everything_else() -> None:
    flags = np.zeros(5, dtype=bool)
    variants = [
        small(),
        small(terminations=flags),
        small(truncations=flags),
        small(terminations=np.array([0, 0, 1, 0, 1], dtype=bool), truncations=flags),
        small(offsets=np.array([0, 2, 5]), terminations=flags),
        small(offsets=np.array([0, 4, 5]), terminations=flags),
        small(rewards=None),
        small(actions=None),
        small(rewards=small().rewards.astype(np.float64)),
        small(extras={}),
        small(extras={"Goal": np.arange(5)}),
        small(extras={"goal": np.arange(5).reshape(5, 1)}),
        small(action_range=(np.array([-1.0]), np.array([1.0]))),
        small(action_range=(np.array([-1.0]), np.array([2.0]))),
    ]
    assert len({variant.digest for variant in variants}) == len(variants)


# -------------------------------------------------------------------- immutability and print


def test_columns_cannot_be_written_and_the_callers_arrays_can() -> None:
    own = np.zeros((7, 2), dtype=np.float32)
    bounds = (np.array([-1.0]), np.array([1.0]))
    trajectories = small(observations=own, action_range=bounds)
    for column in [*trajectories.columns().values(), *trajectories.action_range]:
        with pytest.raises(ValueError, match="read-only"):
            column[...] = 0
    own[0] = 1
    bounds[0][0] = -2
    with pytest.raises(AttributeError):
        trajectories.rewards = None


def test_the_summary_says_what_is_there() -> None:
    text = str(small(rewards=None, provenance=Provenance("a/set", notes=("odd",))))
    assert "a/set: 2 episodes, 5 steps" in text
    assert "2 to 3 steps, mean 2.5" in text
    assert "1 terminated, 1 truncated\n" in text
    assert "without   rewards" in text
    assert "note      odd" in text
    assert "mean 18.0; lowest 6.0, quartiles 12.0, 18.0, 24.0, highest 30.0" in str(small())
    assert "offsets" not in text
    assert "columns   observations 2 float32, actions 1 float32, goal int64" in text
    assert "0 episodes, 0 steps" in str(small()[:0])
    assert repr(small()) == "Trajectories(a/set, episodes=2, steps=5)"


# -------------------------------------------------------------------- validation


def flags(*rows: int) -> np.ndarray:
    return np.isin(np.arange(5), rows)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "offsets shape": ({"offsets": np.array([[0, 3, 5]])}, "offsets of a/set must be one row of int64 that starts at 0"),
    "offsets scalar": ({"offsets": np.array(0)}, "offsets of a/set must be one row of int64"),
    "offsets dtype": ({"offsets": np.array([0.0, 3.0, 5.0])}, "offsets of a/set must be one row of int64"),
    "offsets absent": ({"offsets": np.zeros(0, dtype=np.int64)}, "offsets of a/set must be one row of int64"),
    "offsets start": ({"offsets": np.array([1, 3, 5])}, "that starts at 0"),
    "empty episode": ({"offsets": np.array([0, 3, 3, 5])}, "episode 1 of a/set has no steps; every episode needs"),
    "decreasing": ({"offsets": np.array([0, 5, 3])}, "episode 1 of a/set has no steps"),
    "offsets that overflow": (
        {"offsets": np.array([0, 6 * 10**18, -6 * 10**18, 5]), "observations": np.zeros((8, 2))},
        "episode 1 of a/set has no steps",
    ),
    "too few actions": ({"actions": np.zeros((4, 1))}, "actions of a/set has 4 rows; 5 would be right for 5 steps"),
    "T observations": ({"observations": np.zeros((5, 2))}, "observations of a/set has 5 rows; 7 would be right"),
    "extra rows": ({"extras": {"q": np.zeros(6)}}, "extras/q of a/set has 6 rows; 5 or 7 would be right"),
    "scalar extra": ({"extras": {"q": np.array(1.0)}}, "extras/q of a/set has no rows"),
    "final rows": ({"final_observations": np.ones(3, dtype=bool)}, "final_observations of a/set has 3 rows; 2 would"),
    "final shape": ({"final_observations": np.ones((2, 1), dtype=bool)}, r"has shape \(2, 1\); one flag an episode"),
    "reward shape": ({"rewards": np.zeros((5, 1))}, r"rewards of a/set have shape \(5, 1\); one number a step"),
    "reward dtype": ({"rewards": np.zeros(5, dtype=int)}, "has dtype int64; it must be floating point"),
    "flag dtype": ({"terminations": np.zeros(5)}, "terminations of a/set has dtype float64; it must be bool"),
    "flag shape": ({"truncations": np.zeros((5, 1), dtype=bool)}, r"have shape \(5, 1\); one flag a step"),
    "text": ({"extras": {"q": np.array(list("abcde"))}}, "extras/q of a/set has dtype <U1; it must be a number"),
    "complex": ({"actions": np.zeros((5, 1), dtype=complex)}, "actions of a/set has dtype complex128"),
    "object": ({"actions": np.zeros((5, 1), dtype=object)}, "actions of a/set has dtype object"),
    "truncated inside": ({"truncations": flags(3)}, "truncations of a/set mark step 3, inside an episode"),
    "both ends": ({"truncations": flags(2)}, "step 2 of a/set is both terminated and truncated; keep the termination"),
    "range shape": ({"action_range": (np.zeros(2), np.ones(2))}, r"has shapes \(2,\) and \(2,\); actions have \(1,\)"),
    "range reversed": ({"action_range": (np.ones(1), -np.ones(1))}, "each low must be at most its high"),
    "range nan": ({"action_range": (np.array([np.nan]), np.ones(1))}, "each low must be at most its high"),
    "below": ({"action_range": (np.array([-0.9]), np.ones(1))}, r"action 2 of a/set is \[-1.0\], outside the declared"),
    "above": ({"action_range": (-np.ones(1), np.array([0.9]))}, r"outside the declared range \[-1.0\] to \[0.9\]"),
    "half open": ({"action_range": (np.zeros(1), np.array([np.inf]))}, r"action 2 of a/set is \[-1.0\], outside"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_contradicts_the_layout_is_refused(name: str) -> None:
    changes, sentence = WRONG[name]
    with pytest.raises(DataError, match=sentence):
        small(**changes)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
@pytest.mark.parametrize("name", ["observations", "actions", "rewards", "extras"])
def test_values_that_are_not_finite_are_refused(name: str, dtype: str, value: float) -> None:
    column = np.ones(
        {"observations": (7, 2), "actions": (5, 1), "rewards": (5,), "extras": (5, 2, 2)}[name], dtype=dtype
    )
    column[3] = value
    column[4:5].flat[-1] = -value
    full = "extras/q" if name == "extras" else name
    with pytest.raises(DataError, match=f"{full} of a/set has NaN or infinite values in 2 rows, first in row 3"):
        small(**{name: {"q": column} if name == "extras" else column})


@given(st.integers(0, 20_000), st.sampled_from([np.nan, np.inf, -np.inf]), st.sampled_from(["float32", "float64"]))
@settings(max_examples=50, deadline=None)
def test_one_bad_value_among_many_is_found(row: int, value: float, dtype: str) -> None:
    observations = np.random.default_rng(0).standard_normal((20_001, 1)).astype(dtype)
    observations[row] = value
    steps = np.zeros(20_000, dtype=bool)
    with pytest.raises(DataError, match=f"in 1 rows, first in row {row}$"):
        Trajectories(observations, np.array([0, 20_000]), steps, steps)


def test_huge_finite_values_are_accepted() -> None:
    top = np.finfo(np.float32).max
    assert small(observations=np.full((7, 2), top)).observations.max() == top
    assert small(rewards=np.full(5, np.finfo(np.float64).max)).rewards.max() == np.finfo(np.float64).max


@given(st.integers(1, 3), st.integers(0, 2**32), st.floats(0.5, 1.5))
@settings(max_examples=60, deadline=None)
def test_action_bounds_hold_for_each_component(size: int, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    low, high = -rng.random(size) - 0.1, rng.random(size) * 3 + 0.1
    actions = rng.uniform(low * scale, high * scale, (5, size))
    inside = bool(np.all((actions >= low) & (actions <= high)))
    assume(np.all(np.abs(actions - low) > 1e-3) and np.all(np.abs(actions - high) > 1e-3))
    if inside:
        assert small(actions=actions, action_range=(low, high)).action_range[0].tolist() == low.tolist()
    else:
        with pytest.raises(DataError, match="outside the declared range"):
            small(actions=actions, action_range=(low, high))


def test_an_action_on_its_bound_may_be_rounded() -> None:
    bound = np.array([1.0])
    actions = np.full((5, 1), np.nextafter(np.float32(1), np.float32(2)))
    assert small(actions=actions, action_range=(-bound, bound)).actions.max() > 1


def test_a_dataset_without_episodes_is_valid() -> None:
    none = small(action_range=(-np.ones(1), np.ones(1)))[:0]
    assert (len(none), none.steps, none.returns.tolist()) == (0, 0, [])
    assert len(none.best(0.5)) == 0
    assert [len(part) for part in none.split(0.5)] == [0, 0]
    half = none.observations.astype(np.float16)
    assert len(Trajectories(half, none.offsets, none.terminations, none.truncations)) == 0


# -------------------------------------------------------------------- terminations inside episodes


def passing() -> Trajectories:
    """Two episodes of four steps of reward 1; the first reaches a goal in step 1 and walks on."""
    terminations = np.isin(np.arange(8), [1, 7])
    return Trajectories(
        np.arange(10, dtype=np.float32)[:, None],
        np.array([0, 4, 8]),
        terminations,
        np.arange(8) == 3,
        np.zeros((8, 1), np.float32),
        np.ones(8, np.float32),
        extras={"qpos": np.arange(10), "goal": np.arange(8)},
    )


def test_a_termination_inside_an_episode_ends_nothing_but_the_bootstrap() -> None:
    data = passing()
    assert data.inner_terminations.tolist() == [1]
    assert data.lengths.tolist() == [4, 4]
    assert data.returns.tolist() == [4, 4]
    assert "1 terminated, 1 truncated\n" in data.summary()
    assert "1 steps terminate in episodes that go on" in data.summary()
    first, rest = data.split(0.5, seed=0)
    assert sorted([*first.lengths, *rest.lengths]) == [4, 4]
    assert data[0].inner_terminations.tolist() == data.best(0.5).inner_terminations.tolist() == [1]
    assert data[1].inner_terminations.tolist() == []
    both = concatenate([data[1], data[0]])
    assert both.inner_terminations.tolist() == [5]
    assert len(data.between_returns(4, 4)) == 2


def test_extras_of_states_go_with_their_episodes() -> None:
    data = passing()
    assert data.extra("qpos").tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert data.extra("goal").tolist() == list(range(8))
    assert data[1].extras["qpos"].tolist() == [5, 6, 7, 8, 9]
    joined = concatenate([data[1], data[0]])
    assert joined.extras["qpos"].tolist() == [5, 6, 7, 8, 9, 0, 1, 2, 3, 4]
    mixed = concatenate([data, replace(data, extras=data.extras | {"qpos": np.arange(8)})])
    assert mixed.extras["qpos"].tolist() == [0, 1, 2, 3, 5, 6, 7, 8, *range(8)]
