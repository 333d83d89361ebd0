"""Formats that keep episodes apart: robomimic, d3rlpy's dumps, LeRobot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from episode_files import LENGTHS, d3rlpy, lerobot, robomimic, whole

import offbench
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.formats.d3rlpy_episodes import read_d3rlpy
from offbench.formats.lerobot import read_lerobot
from offbench.formats.robomimic import read_robomimic
from offbench.formats.table import recognise


def without_finals(t: Trajectories) -> np.ndarray:
    """The observations of a format that keeps no final ones."""
    observations = t.observations.copy()
    last = t.offsets[1:] + np.arange(len(t))
    observations[last] = observations[last - 1]
    return observations


# -------------------------------------------------------------------- robomimic


def test_robomimic(tmp_path: Path) -> None:
    path = robomimic(tmp_path / "low_dim.hdf5")
    assert recognise(path).name == "robomimic"
    loaded = offbench.load(path)
    assert loaded.digest == whole().digest
    notes = " ".join(loaded.provenance.notes)
    assert "observations are eef, joint, joined in this order" in notes
    assert "not read: 'mask', observation 'camera'" in notes


def test_robomimic_without_next_observations(tmp_path: Path) -> None:
    path = robomimic(tmp_path / "x.hdf5", **{"next_obs/eef": None, "next_obs/joint": None})
    loaded = read_robomimic(path)
    assert not loaded.final_observations.any()
    assert np.array_equal(loaded.observations, without_finals(whole()))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"obs/eef": None, "obs/joint": None, "obs/camera": None},
            "demo_0 of .* has no obs; robomimic's dataset_states",
        ),
        ({"obs/eef": None, "obs/joint": None}, "are pictures alone"),
        ({"actions": None}, "demo_0 of .* has no actions"),
        ({"actions": np.zeros((3, 2))}, "actions of demo_1 of .* has 3 rows; 12 would be right"),
        ({"dones": np.full(3, 2)}, "dones of demo_0 of .* is 2 in row 0; only 0 and 1 are flags"),
    ],
)
def test_broken_files_of_robomimic(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_robomimic(robomimic(tmp_path / "x.hdf5", **changes))


# -------------------------------------------------------------------- d3rlpy


def test_d3rlpy(tmp_path: Path) -> None:
    path = d3rlpy(tmp_path / "buffer.h5")
    assert recognise(path).name == "d3rlpy"
    loaded, expected = offbench.load(path), whole()
    assert np.array_equal(loaded.observations, without_finals(expected))
    for name in ("offsets", "terminations", "truncations", "actions", "rewards"):
        assert np.array_equal(getattr(loaded, name), getattr(expected, name)), name
    assert not loaded.final_observations.any()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_episodes": 12}, "has actions of 11 episodes and says 12"),
        ({"num_episodes": np.arange(3)}, "says -1"),
        ({"rewards_3": None}, "has no column rewards_3; dump one array"),
        ({"observations_2": None, "observations_2_0": np.zeros((2, 3))}, "observations of several parts are not read"),
        ({"terminated_1": np.array([0, 1])}, "does not say by 0 or 1 whether episode 1 terminated"),
        ({"terminated_1": None}, "does not say by 0 or 1 whether episode 1 terminated"),
        ({"observations_4": np.zeros((5, 2), np.float32)}, r"observations of the episodes of .* have the shapes"),
    ],
)
def test_broken_dumps_of_d3rlpy(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_d3rlpy(d3rlpy(tmp_path / "x.h5", **changes))


# -------------------------------------------------------------------- LeRobot


@pytest.mark.parametrize("files", [1, 3])
def test_lerobot(tmp_path: Path, files: int) -> None:
    folder = lerobot(tmp_path / "set", files)
    assert recognise(folder).name == "lerobot"
    loaded, expected = offbench.load(folder), whole()
    order = [2, 0, 1]  # effort comes before state
    np.testing.assert_allclose(loaded.observations, without_finals(expected)[:, order], rtol=1e-6)
    for name in ("offsets", "terminations", "truncations"):
        assert np.array_equal(getattr(loaded, name), getattr(expected, name)), name
    np.testing.assert_allclose(loaded.rewards, expected.rewards)
    notes = " ".join(loaded.provenance.notes)
    assert "not read: 'task', the film 'observation.images.top'" in notes
    assert "next.done is a termination" in notes


def test_a_flag_that_every_episode_of_lerobot_ends_with_only_says_that(tmp_path: Path) -> None:
    t = whole()
    done = t.terminations | t.truncations
    loaded = read_lerobot(lerobot(tmp_path / "set", **{"next.done": done}))
    assert not loaded.terminations.any()
    assert loaded.truncations.sum() == len(t)
    success = read_lerobot(lerobot(tmp_path / "more", **{"next.done": done, "next.success": t.terminations}))
    assert np.array_equal(success.terminations, t.terminations)


def test_lerobot_without_rewards_is_data_without_rewards(tmp_path: Path) -> None:
    assert read_lerobot(lerobot(tmp_path / "set", **{"next.reward": None})).rewards is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"action": None}, "has no column action"),
        ({"observation.state": None, "observation.effort": None}, "has no observation of numbers"),
        ({"frame_index": np.zeros(sum(LENGTHS), dtype=int)}, "the frames of .* are out of order"),
        ({"episode_index": np.arange(sum(LENGTHS))[::-1].copy()}, "the frames of .* are out of order"),
    ],
)
def test_broken_folders_of_lerobot(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_lerobot(lerobot(tmp_path / "set", **changes))


def test_a_truncated_table_and_a_broken_description_are_named(tmp_path: Path) -> None:
    folder = lerobot(tmp_path / "set")
    (path,) = (folder / "data").rglob("*.parquet")
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    with pytest.raises(DataError, match=r"file-000.parquet is truncated or damaged"):
        read_lerobot(folder)
    path.write_bytes(content)
    (folder / "meta" / "info.json").write_text("[")
    with pytest.raises(DataError, match=r"info.json is no description of a LeRobot dataset"):
        read_lerobot(folder)


def test_dsrls_costs_ride_along(tmp_path: Path) -> None:
    t = whole()
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        rows = {"observations": t.observations[t.sources], "next_observations": t.observations[t.sources + 1]}
        rows |= {"actions": t.actions, "rewards": t.rewards, "terminals": t.terminations, "timeouts": t.truncations}
        for name, column in (rows | {"costs": t.rewards > 0}).items():
            file[name] = column
    loaded = offbench.load(tmp_path / "x.hdf5")
    assert loaded.extras["costs"].tolist() == (t.rewards > 0).tolist()
    assert loaded.lengths.tolist() == LENGTHS
