"""Arithmetic of rows: no index of all transitions, no copy of all rewards, and the same numbers as with them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbench.data import rows
from offbench.data.rows import Usable, blocks, returns_of

LENGTHS = st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=12)


@given(LENGTHS)
def test_transitions_are_found_where_an_index_of_all_has_them(given: list[tuple[int, bool]]) -> None:
    offsets = np.concatenate([[0], np.cumsum([length for length, _ in given])]).astype(np.int64)
    lost = np.array([each for _, each in given], dtype=bool)
    steps = np.delete(np.arange(offsets[-1]), offsets[1:][lost] - 1)
    sources = np.arange(offsets[-1]) + np.repeat(np.arange(len(lost)), np.diff(offsets))
    usable = Usable.of(offsets, lost)
    assert len(usable) == len(steps)
    assert usable.all == (not lost.any())
    every = np.arange(len(steps))
    assert usable.steps(every).tolist() == steps.tolist()
    assert usable.sources(every[::-1]).tolist() == sources[steps][::-1].tolist()


@given(LENGTHS, st.integers(1, 9))
def test_blocks_hold_each_episode_once_and_no_more_steps_than_asked(given: list[tuple[int, bool]], size: int) -> None:
    offsets = np.concatenate([[0], np.cumsum([length for length, _ in given])]).astype(np.int64)
    found = list(blocks(offsets, size))
    assert [episode for first, last in found for episode in range(first, last)] == list(range(len(given)))
    assert all(last == first + 1 or offsets[last] - offsets[first] <= size for first, last in found)


@pytest.mark.parametrize("size", [1, 1000, 2**20])
def test_returns_are_the_same_in_blocks_of_any_size(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(1, 900, 60))])
    rewards = rng.standard_normal(offsets[-1]).astype(np.float32)
    monkeypatch.setattr(rows, "_BLOCK", size)
    whole = np.add.reduceat(rewards.astype(np.float64), offsets[:-1])
    assert returns_of(rewards, offsets).tolist() == whole.tolist()
    assert returns_of(rewards[:0], np.zeros(1, np.int64)).tolist() == []
