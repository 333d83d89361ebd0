from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offbench.data.sequences import Sequences, facts, returns_to_go
from offbench.data.supervision import hide_rewards
from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.errors import DataError
from offbench.formats import native


def episodes(lengths, ends, rewards=None, seed=0) -> Trajectories:
    """Random trajectories; ends: t terminated, l time limit, c cut off."""
    rng = np.random.default_rng(seed)
    steps = sum(lengths)
    last = np.cumsum(lengths) - 1
    flags = {end: np.zeros(steps, bool) for end in "tlc"}
    for row, end in zip(last, ends, strict=True):
        flags[end][row] = True
    return Trajectories(
        observations=rng.normal(size=(steps + len(lengths), 3)).astype(np.float32),
        offsets=np.concatenate([[0], last + 1]).astype(np.int64),
        terminations=flags["t"],
        truncations=flags["l"],
        actions=rng.uniform(-2, 2, (steps, 2)).astype(np.float32),
        rewards=rng.normal(size=steps).astype(np.float32) if rewards is None else rewards,
        action_range=(np.full(2, -2, np.float32), np.full(2, 2, np.float32)),
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.sampled_from("tlc")), min_size=2, max_size=6),
    st.integers(1, 5),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_windows_equal_a_loop_over_episodes(parts, context, dtype):
    lengths, ends = zip(*parts, strict=True)
    data = episodes(lengths, ends)
    view = Sequences(data, context, return_scale=4.0, normalise_states=True, dtype=dtype)
    kept = data if ends[-1] != "c" else data[:-1]
    assert len(view) == kept.steps
    batch = view.batch(torch.arange(len(view))[None])
    row = 0
    for episode in kept:
        states = view.scaling.states(episode.observations[:-1].astype(np.float64))
        for start in range(episode.steps):
            size = min(context, episode.steps - start)
            inside = slice(start, start + size)
            expected = {
                "observations": states[inside],
                "actions": episode.actions[inside] / 2,
                "rewards": episode.rewards[inside],
                "returns_to_go": [episode.rewards[t:].sum(dtype=np.float64) / 4 for t in range(start, start + size)],
                "mask": np.ones(size),
            }
            for name, values in expected.items():
                own = getattr(batch, name)[0, row]
                assert own.dtype == dtype
                np.testing.assert_allclose(own[:size], values, rtol=1e-5, atol=1e-6, err_msg=name)
                assert float(own[size:].abs().sum()) == 0, name  # padding stands at the end
            assert batch.timesteps[0, row].tolist() == list(range(start, start + context))
            row += 1


def test_states_and_actions_are_scaled_as_in_transitions():
    data = episodes([5, 7], "tl")
    view, steps = (
        Sequences(data, 3, normalise_states=True),
        Transitions(data, normalise_states=True, state_epsilon=1e-6),
    )
    chosen = torch.tensor([[0, 4], [11, 6]])
    windows, batch = view.batch(chosen), steps.batch(chosen)
    torch.testing.assert_close(windows.observations[:, :, 0], batch.observations)
    torch.testing.assert_close(windows.actions[:, :, 0], batch.actions)
    assert view.transforms == steps.transforms


def test_returns_to_go_of_a_constant_reward_count_the_steps_left():
    offsets = np.array([0, 4, 5, 12])
    expected = np.concatenate([np.arange(n, 0, -1) for n in (4, 1, 7)])
    np.testing.assert_array_equal(returns_to_go(np.full(12, -2.0, np.float32), offsets), -2.0 * expected)


def test_returns_to_go_are_summed_in_double_precision_and_within_an_episode():
    # In single precision 2^24 + 1 is 2^24; in one sum over all data 1 would vanish beside 1e18.
    rewards = np.array([2**24, 1, 1, 1e18, 1, 2], np.float32)
    sums = returns_to_go(rewards, np.array([0, 3, 4, 6]))
    np.testing.assert_array_equal(sums, [2**24 + 2, 2, 1, float(np.float32(1e18)), 3, 2])


def test_every_step_of_a_finished_episode_begins_one_window():
    view = Sequences(episodes([3, 5, 2], "tlc"), 4)
    assert len(view) == 8
    firsts = view.batch(torch.arange(8)[None]).timesteps[0, :, 0]
    assert firsts.tolist() == [0, 1, 2, 0, 1, 2, 3, 4]


def test_a_last_episode_that_was_cut_off_is_left_out_and_the_record_says_so():
    view = Sequences(episodes([3, 5, 2], "cct"), 2, return_scale=10.0)
    assert len(view) == 10  # in the middle, a missing flag counts as a truncation, as everywhere
    assert view.transforms[1:] == [{"name": "scale_returns_to_go", "divisor": 10.0}]
    view = Sequences(episodes([3, 5, 2], "ctc"), 2)
    assert len(view) == 8
    assert view.transforms[1:] == [{"name": "leave_out_unfinished_episodes", "episodes": 1}]
    with pytest.raises(DataError, match="the only episode of this dataset ends without a flag"):
        Sequences(episodes([3], "c"), 2)


def test_what_nobody_gives_comes_from_the_finished_episodes():
    rewards = np.array([-1, -2, -4, -3, 5, 1], np.float32)
    data = episodes([2, 2, 2], "ttc", rewards)  # the last has the highest return so far
    assert facts(data, None) == {"evaluation_target": -3.0, "keep_above": -3.0, "return_scale": 7.0, "episode_limit": 2}
    assert facts(data, 200)["episode_limit"] == 200
    assert facts(hide_rewards(data), None, ["episode_limit"]) == {"episode_limit": 2}
    assert facts(episodes([2], "t", np.zeros(2, np.float32)), None)["return_scale"] == 1.0


def test_columns_of_a_mapped_file_stay_mapped(tmp_path):
    native.save(episodes([30, 20], "tl"), tmp_path / "data.offbench")
    data = native.load(tmp_path / "data.offbench")
    view = Sequences(data, 4, normalise_states=True)
    for name in ("observations", "actions", "rewards"):
        assert getattr(view, name).data_ptr() == getattr(data, name).__array_interface__["data"][0], name


def test_what_has_no_sequences_is_said():
    data = episodes([3, 4], "tt")
    with pytest.raises(DataError, match="sequences need actions and rewards, and this dataset lacks one of them"):
        Sequences(replace(data, rewards=None))
    with pytest.raises(DataError, match="sequences need actions and rewards"):
        Sequences(replace(data, actions=None, action_range=None))
    with pytest.raises(DataError, match="has 4 steps, more than episode_limit 3; give a larger one"):
        Sequences(data, episode_limit=3)
    with pytest.raises(DataError, match="this dataset has no episode"):
        facts(data[:0], None)
