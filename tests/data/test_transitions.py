from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.errors import DataError


def episodes(lengths, ends, known, size=3, action=2, seed=0):
    """Random trajectories; ends: t terminated, l time limit, c cut off."""
    rng = np.random.default_rng(seed)
    steps = sum(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    flags = {end: np.zeros(steps, bool) for end in "tlc"}
    for last, end in zip(offsets[1:] - 1, ends, strict=True):
        flags[end][last] = True
    return Trajectories(
        observations=rng.normal(size=(steps + len(lengths), size)).astype(np.float32),
        offsets=offsets,
        terminations=flags["t"],
        truncations=flags["l"],
        actions=rng.uniform(-1, 1, (steps, action)).astype(np.float32),
        rewards=rng.normal(size=steps).astype(np.float32),
        final_observations=np.array(known),
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.sampled_from("tlc"), st.booleans()),
        min_size=1,
        max_size=8,
    ).filter(lambda parts: any(n > 1 or end == "t" or known for n, end, known in parts))
)
def test_rows_equal_a_loop_over_episodes(parts):
    lengths, ends, known = zip(*parts, strict=True)
    data = episodes(lengths, ends, known)
    expected = []
    for episode, end, sure in zip(data, ends, known, strict=True):
        for t in range(episode.steps):
            last = t == episode.steps - 1
            if last and end != "t" and not sure:
                continue  # its next observation was never recorded and would be needed
            s, s_next = episode.observations[t], episode.observations[t + 1]
            expected.append([*s, *episode.actions[t], episode.rewards[t], *s_next, float(last and end == "t")])
    np.testing.assert_allclose(Transitions(data).rows.numpy(), np.array(expected), rtol=1e-6, atol=1e-7)


def test_truncations_never_stop_the_bootstrap_and_terminations_do():
    data = Transitions(episodes([3, 2], "lt", [True, True]))
    assert data.rows[:, -1].tolist() == [0, 0, 0, 0, 1]


def test_a_batch_is_the_rows_at_the_indices():
    data = Transitions(episodes([4, 5], "lt", [True, True]))
    batch = data.batch(torch.tensor([[0, 8], [3, 3]]))
    assert [tuple(part.shape) for part in batch] == [(2, 2, 3), (2, 2, 2), (2, 2), (2, 2, 3), (2, 2)]
    assert torch.equal(batch.observations[0, 1], data.rows[8, :3])
    assert batch.terminations.tolist() == [[0, 1], [0, 0]]


def test_normalised_states_have_mean_zero_and_deviation_one():
    original = episodes([50, 70], "ll", [True, True])
    stretched = replace(original, observations=original.observations * [3, 5, 0] + [1, -2, 7])
    data = Transitions(stretched, normalise_states=True)
    states = data.rows[:, :3].numpy()
    np.testing.assert_allclose(states.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(states.std(0), [1, 1, 0], atol=2e-3)  # a constant column stays finite and constant
    back = states * data.scaling.std + data.scaling.mean
    rows = np.r_[0:50, 51:121]
    np.testing.assert_allclose(back, stretched.observations[rows], rtol=1e-5, atol=1e-5)
    assert data.transforms[0]["name"] == "normalise_states"


def test_reward_transforms_are_scale_and_shift_and_are_recorded():
    original = episodes([5, 9, 4], "llt", [True] * 3)
    spread = float(np.ptp(original.returns))
    scaled = Transitions(original, reward_transform="return_range")
    np.testing.assert_allclose(scaled.rows[:, 5], original.rewards * 1000 / spread, rtol=1e-5)
    assert scaled.transforms[-1]["scale"] == pytest.approx(1000 / spread)
    shifted = Transitions(original, reward_transform="minus_one")
    np.testing.assert_allclose(shifted.rows[:, 5], original.rewards - 1, rtol=1e-5, atol=1e-6)
    assert Transitions(original).transforms == []


def test_actions_are_scaled_to_the_range_and_back():
    original = episodes([6], "l", [True])
    wide = replace(original, actions=original.actions * [2, 3] + [0, 1])
    low, high = np.array([-2, -2], np.float32), np.array([2, 4], np.float32)
    data = Transitions(wide, action_range=(low, high))
    np.testing.assert_allclose(data.rows[:, 3:5], original.actions, atol=1e-6)
    np.testing.assert_allclose(data.scaling.to_environment(data.rows[:, 3:5].numpy()), wide.actions, atol=1e-5)
    with pytest.raises(DataError, match=r"actions reach from .* outside the range -1 to 1; name the task"):
        Transitions(wide)


def test_what_cannot_be_packed_is_said():
    with pytest.raises(DataError, match="no usable transition"):
        Transitions(episodes([1, 1], "cl", [False, False]))
    images = replace(episodes([2], "l", [True]), observations=np.zeros((3, 4, 4), np.float32))
    with pytest.raises(DataError, match=r"observations that are vectors, not of shape \(4, 4\)"):
        Transitions(images)
    with pytest.raises(DataError, match="needs rewards, and the dataset has none"):
        Transitions(replace(episodes([2], "l", [True]), rewards=None), reward_transform="minus_one")
    with pytest.raises(DataError, match="all returns are equal"):
        Transitions(replace(episodes([2], "l", [True])), reward_transform="return_range")
    with pytest.raises(DataError, match="actions have 2 dimensions and their range 3"):
        Transitions(episodes([2], "l", [True]), action_range=(-np.ones(3, np.float32), np.ones(3, np.float32)))


def test_action_free_and_reward_free_data_have_rows_too():
    bare = replace(episodes([3], "t", [True]), actions=None, rewards=None)
    data = Transitions(bare)
    assert data.rows.shape == (3, 3 + 0 + 1 + 3 + 1)
    assert data.batch(torch.zeros(1, 2, dtype=torch.int64)).actions.shape == (1, 2, 0)
