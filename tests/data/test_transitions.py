import gc
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from few_episodes import episodes, everything
from hypothesis import given, settings
from hypothesis import strategies as st

from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.errors import DataError
from offbench.formats import native

SHAPES = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from("tlc"), st.booleans()),
    min_size=1,
    max_size=8,
).filter(lambda parts: any(n > 1 or end == "t" or known for n, end, known in parts))


@settings(max_examples=200, deadline=None)
@given(
    SHAPES,
    st.sampled_from(["<f4", "<f8", "<f2", ">f4", "<i2", "<u4"]),
    st.sampled_from([torch.float32, torch.float64]),
    st.booleans(),
    st.sampled_from(["none", "minus_one", "return_range"]),
    st.booleans(),
)
def test_batches_equal_a_loop_over_episodes(parts, stored, dtype, normalise, reward, wide):
    lengths, ends, known = zip(*parts, strict=True)
    data = episodes(lengths, ends, known)
    data = replace(data, observations=(100 * np.abs(data.observations)).astype(stored))
    low, high = np.array([-1, -3], np.float32), np.array([1.5, 2], np.float32)
    finished = len(data) - (ends[-1] == "c")  # the tail's return is not known
    spread = np.ptp([float(episode.rewards.astype(np.float64).sum()) for episode in data][:finished] or [0.0])
    if reward == "return_range" and spread == 0:
        return
    scale, shift = {"none": (1, 0), "minus_one": (1, -1), "return_range": (1000 / (spread or 1), 0)}[reward]
    expected = []
    for episode, end, sure in zip(data, ends, known, strict=True):
        for t in range(episode.steps):
            last = t == episode.steps - 1
            if last and end != "t" and not sure:
                continue  # its next observation was never recorded and would be needed
            s, s_next = episode.observations[t].astype(float), episode.observations[t + 1].astype(float)
            action = episode.actions[t].astype(float)
            if wide:
                action = 2 * (action - low) / (high - low) - 1
            expected.append((s, action, scale * float(episode.rewards[t]) + shift, s_next, last and end == "t"))
    states, actions, rewards, next_states, terminations = map(np.array, zip(*expected, strict=True))
    made = Transitions(data, normalise, reward, (low, high) if wide else None, dtype=dtype)
    if normalise:
        mean, std = made.scaling.mean, made.scaling.std
        np.testing.assert_allclose(mean, states.mean(0), rtol=1e-6)
        np.testing.assert_allclose(std, states.std(0) + 1e-3, rtol=1e-6)
        states, next_states = (states - mean) / std.astype(float), (next_states - mean) / std.astype(float)
    assert len(made) == len(expected)
    near = {"rtol": 1e-5, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-9}
    for got, right in zip(everything(made), (states, actions, rewards, next_states, terminations), strict=True):
        assert torch.from_numpy(got).dtype == dtype
        np.testing.assert_allclose(got, right, **near)


def test_truncations_never_stop_the_bootstrap_and_terminations_do():
    *_, terminations = everything(Transitions(episodes([3, 2], "lt", [True, True])))
    assert terminations.tolist() == [0, 0, 0, 0, 1]


def test_a_batch_has_the_transitions_at_the_indices():
    original = episodes([4, 5], "lt", [True, True])
    batch = Transitions(original).batch(torch.tensor([[0, 8], [3, 3]]))
    assert [tuple(part.shape) for part in batch[:5]] == [(2, 2, 3), (2, 2, 2), (2, 2), (2, 2, 3), (2, 2)]
    assert batch.observations[0, 1].tolist() == original.observations[9].tolist()
    assert batch.next_observations[1, 0].tolist() == original.observations[4].tolist()
    assert batch.terminations.tolist() == [[0, 1], [0, 0]]


def test_columns_are_the_memory_of_the_data():
    original = episodes([4, 5], "lt", [True, True])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = Transitions(original, normalise_states=True)
    for name in ("observations", "actions", "rewards", "terminations"):
        assert np.shares_memory(getattr(data, name).numpy(), getattr(original, name))
    # The tensors keep that memory.
    kept = data.observations.clone()
    del original
    gc.collect()
    assert torch.equal(data.observations, kept)


@pytest.mark.parametrize("dtype", [">f8", np.longdouble, np.uint64])
def test_columns_that_torch_cannot_read_in_place_are_converted(dtype):
    original = episodes([4, 5], "lt", [True, True])
    whole = np.arange(33).reshape(3, 11).T.astype(dtype, order="K")
    assert not whole.flags.c_contiguous
    states, *_ = everything(Transitions(replace(original, observations=whole)))
    assert states.tolist() == [whole[row].tolist() for row in (0, 1, 2, 3, 5, 6, 7, 8, 9)]


SAMPLE = """
import sys
from pathlib import Path
import torch
from offbench.formats import native
from offbench.data.transitions import Transitions


def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def sample(path):
    data = Transitions(native.load(path), normalise_states=True)
    for _ in range(3):
        data.batch(torch.randint(len(data), (4, 256)))
    return data

few = sample(sys.argv[1])
before = held()
many = sample(sys.argv[2])
print(held() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell what a process holds")
def test_a_mapped_file_is_not_copied_into_memory(tmp_path):
    """Memory of the process's own is bounded; mapped pages, which the kernel takes back when it needs them, are not."""
    steps, size = 300_000, 200
    ends = np.arange(1, steps + 1) % 500 == 0
    block = np.random.default_rng(0).random((1001, size), np.float32)
    large = Trajectories(
        observations=np.resize(block, (steps + ends.sum(), size)),
        offsets=np.arange(0, steps + 1, 500),
        terminations=ends,
        truncations=ends & False,
        actions=np.zeros((steps, 2), np.float32),
        rewards=np.zeros(steps, np.float32),
    )
    native.save(large, tmp_path / "large.offbench")
    native.save(large[:10], tmp_path / "small.offbench")
    file = (tmp_path / "large.offbench").stat().st_size
    assert file > 200e6
    command = [sys.executable, "-c", SAMPLE, tmp_path / "small.offbench", tmp_path / "large.offbench"]
    assert int(subprocess.check_output(command, text=True, timeout=120)) < file / 10


def test_what_has_no_transitions_is_said():
    with pytest.raises(DataError, match="no usable transition"):
        Transitions(episodes([1, 1], "cl", [False, False]))
    images = replace(episodes([2], "l", [True]), observations=np.zeros((3, 4, 4), np.float32))
    with pytest.raises(DataError, match=r"observations that are vectors, not of shape \(4, 4\)"):
        Transitions(images)


def test_action_free_and_reward_free_data_have_transitions_too():
    bare = replace(episodes([3], "t", [True]), actions=None, rewards=None)
    batch = Transitions(bare).batch(torch.tensor([[0, 2]]))
    assert batch.actions.shape == (1, 2, 0)
    assert batch.rewards.tolist() == [[0, 0]]
    assert batch.terminations.tolist() == [[0, 1]]


@settings(deadline=None)
@given(SHAPES.filter(lambda parts: any(n > 1 or end == "t" for n, end, _ in parts)))
def test_next_actions_are_those_of_the_same_episode_and_zero_after_a_termination(parts):
    lengths, ends, known = zip(*parts, strict=True)
    data = episodes(lengths, ends, known)
    made = Transitions(data, next_actions=True, action_range=(np.full(2, -2, np.float32), np.full(2, 2, np.float32)))
    batch = made.batch(torch.arange(len(made))[None])
    expected = []
    for episode, end in zip(data, ends, strict=True):
        half = episode.actions / 2  # the range is twice as wide as [-1, 1]
        expected += [(half[t], half[t + 1]) for t in range(episode.steps - 1)]
        if end == "t":
            expected.append((half[-1], 0 * half[-1]))
    actions, following = map(np.array, zip(*expected, strict=True))
    np.testing.assert_allclose(batch.actions[0], actions, atol=1e-6)
    np.testing.assert_allclose(batch.next_actions[0], following, atol=1e-6)


def test_without_a_second_action_there_is_no_transition_with_a_next_one():
    with pytest.raises(DataError, match="every episode ends without a second action"):
        Transitions(episodes([1, 1], "lc", [True, True]), next_actions=True)


def test_a_top_fraction_keeps_the_best_episodes():
    original = episodes([4, 5, 3], "ltl", [True, True, True])
    order = np.argsort(-original.returns)
    states, *_ = everything(Transitions(original, top_fraction=0.67))
    expected = np.concatenate([original[int(i)].observations[:-1] for i in sorted(order[:2])])
    np.testing.assert_array_equal(states, expected)
