"""What methods are given that read stretches of episodes and learn from comparisons."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from offbench.conformance.toys import toy
from offbench.data.compared_windows import ComparedWindows
from offbench.data.preference_data import PreferenceData
from offbench.data.preferences import Preferences
from offbench.data.sequences import Sequences
from offbench.data.supervision import compare
from offbench.errors import DataError


def test_windows_and_segments_are_scaled_alike_and_segments_know_their_place_in_the_episode():
    data = compare(toy(), 30, 5)
    view = ComparedWindows(data, context=4, normalise_states=True, dtype=torch.float64)
    plain = Sequences(toy(), 4, normalise_states=True, dtype=torch.float64)
    assert len(view) == 30 * len(plain)
    batch = view.batch(torch.tensor([[31, 29, 30 * 299 + 2]]))
    windows = plain.batch(torch.tensor([[1, 0, 299]]))
    for name in ("observations", "actions", "timesteps", "mask"):
        assert torch.equal(getattr(batch.windows, name), getattr(windows, name))
    assert not batch.windows.rewards.any()
    assert batch.labels[0].tolist() == data.preferences.labels[[1, 29, 2]].tolist()
    offsets, states = data.trajectories.offsets, toy().observations
    for times, observations, side in (
        (batch.first_times, batch.first_observations, data.preferences.first),
        (batch.second_times, batch.second_observations, data.preferences.second),
    ):
        starts = side.starts[[1, 29, 2]]
        episodes = np.searchsorted(offsets, starts, side="right") - 1
        assert times[0].tolist() == (starts - offsets[episodes]).tolist()
        rows = (starts + episodes)[:, None] + np.arange(5)
        np.testing.assert_allclose(observations[0], (states[rows] - view.scaling.mean) / view.scaling.std, atol=1e-5)


def test_steps_are_numbered_from_the_window_on_where_that_is_asked_for():
    batch = ComparedWindows(compare(toy(), 30, 5), context=4, times="window").batch(torch.tensor([[29, 1234]]))
    assert batch.windows.timesteps[0].tolist() == [[0, 1, 2, 3]] * 2
    assert not batch.first_times.any()
    assert not batch.second_times.any()


def test_segments_of_unknown_origin_are_taken_by_window_alone():
    data = compare(toy(), 30, 5)
    sides = (replace(side, starts=None) for side in (data.preferences.first, data.preferences.second))
    unknown = PreferenceData(data.trajectories, Preferences(*sides, data.preferences.labels))
    with pytest.raises(DataError, match=r"unknown where .* segments begin; times of the kind window do without"):
        ComparedWindows(unknown)
    assert len(ComparedWindows(unknown, times="window")) == 30 * 300


def test_batches_gathered_at_home_are_the_same():
    data, indices = compare(toy(), 30, 5), torch.tensor([[3, 77], [1000, 2]])
    here, there = ComparedWindows(data, context=4), ComparedWindows(data, context=4, home="cpu")
    assert there.ahead
    assert torch.equal(here.batch(indices).first_actions, there.batch(indices).first_actions)
    assert torch.equal(here.batch(indices).windows.actions, there.batch(indices).windows.actions)
