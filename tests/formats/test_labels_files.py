"""A dataset paired with a file of labels by its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import offbench
from offbench.data.preference_data import PreferenceData
from offbench.data.preferences import Preferences
from offbench.data.teacher import Teacher
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError


@pytest.fixture
def data(pendulum_file: Path) -> Trajectories:
    return offbench.load(pendulum_file)


def labels(data: Trajectories, folder: Path, seed: int = 0) -> tuple[Preferences, Path]:
    made, path = Preferences.from_teacher(data, Teacher(), pairs=9, length=5, seed=seed), folder / "labels.offbench"
    offbench.save(made, path)
    return made, path


def test_a_dataset_is_paired_with_a_file_of_labels(data: Trajectories, pendulum_file: Path, tmp_path: Path) -> None:
    made, path = labels(data, tmp_path)
    found = offbench.load(f"{pendulum_file}?labels={path}")
    assert isinstance(found, PreferenceData)
    assert found.trajectories.rewards is found.preferences.first.rewards is found.preferences.second.rewards is None
    assert np.array_equal(found.trajectories.observations, data.observations)
    assert np.array_equal(found.preferences.labels, made.labels)
    assert np.array_equal(found.preferences.first.starts, made.first.starts)
    assert found.trajectories.provenance.dataset == f"tiny?labels={path}"
    assert found.trajectories.provenance.task == data.provenance.task
    assert "labels of labels.offbench" in found.trajectories.provenance.notes
    assert not any("not cut from" in note for note in found.trajectories.provenance.notes)


def test_segments_of_other_data_are_told_and_forget_their_steps(data: Trajectories, tmp_path: Path) -> None:
    from offbench.formats.labels import labelled

    _, path = labels(data, tmp_path)
    for others in (data[10:], replace(data, observations=data.observations + np.float32(1))):
        found = labelled(others, path)
        assert found.preferences.first.starts is None
        assert any("not cut from these trajectories" in note for note in found.trajectories.provenance.notes)


def test_an_ipl_file_is_taken_by_name(data: Trajectories, pendulum_file: Path, tmp_path: Path) -> None:
    made, _ = labels(data, tmp_path)
    columns = {"obs_1": made.first.observations, "obs_2": made.second.observations, "label": made.labels}
    np.savez(tmp_path / "x.npz", **columns, action_1=made.first.actions, action_2=made.second.actions)
    found = offbench.load(f"{pendulum_file}?labels={tmp_path / 'x.npz'}")
    assert np.array_equal(found.preferences.second.actions, made.second.actions)


def test_what_holds_no_labels_is_refused(data: Trajectories, pendulum_file: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file of labels .*none.npz; a native file of preferences"):
        offbench.load(f"{pendulum_file}?labels={tmp_path / 'none.npz'}")
    with pytest.raises(DataError, match=r"is a native file of offbench and holds no labels; a native file of pref"):
        offbench.load(f"{pendulum_file}?labels={pendulum_file}")
    _, path = labels(data, tmp_path)
    other = replace(data, observations=data.observations[:, :2])
    offbench.save(other, tmp_path / "other.offbench")
    with pytest.raises(
        DataError, match=r"have observations of shape \(3,\) and tiny of \(2,\); labels of the same task"
    ):
        offbench.load(f"{tmp_path / 'other.offbench'}?labels={path}")
