"""Native files of trajectories and of preferences: what is saved loads as it was, and no file of others is lost."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trajectory_strategies import Episode, episode_lists, pack

import offbench
from offbench.basis.tensors import write_tensors
from offbench.data.preferences import Preferences
from offbench.data.segments import Segments
from offbench.data.teacher import Teacher
from offbench.data.trajectories import Provenance
from offbench.errors import DataError, OffbenchError
from offbench.formats import native, preferences

EXAMPLES = settings(max_examples=80, deadline=None)


@given(episode_lists(least=1, d4rl=True, rewards=True), st.integers(0, 9))
@EXAMPLES
def test_preferences_come_back_the_same(given: tuple[list[Episode], Episode], seed: int) -> None:
    trajectories = pack(*given)
    if trajectories.actions is None:
        return
    saved = Preferences.from_teacher(trajectories, Teacher(), pairs=5, length=1, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.offbench"
        preferences.save(saved, path)
        loaded = preferences.load(path, verify=True)
        assert loaded.digest == saved.digest
        assert loaded.provenance == saved.provenance
        assert not loaded.first.observations.flags.writeable
        with pytest.raises(DataError, match=r"a safetensors file without trajectories"):
            native.load(path)
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"is damaged|does not have the recorded digest"):
            preferences.load(path, verify=True)


def some() -> Preferences:
    first, second = (Segments(np.full((2, 3, 1), fill), np.full((2, 3, 1), fill)) for fill in (0.0, 1.0))
    return Preferences(first, second, np.array([0, 1], np.float32), Provenance("mine", notes=("made by hand",)))


@pytest.mark.parametrize("suffix", [".offbench", ".safetensors"])
def test_one_call_saves_whichever_it_is(suffix: str, shared: Path, tmp_path: Path) -> None:
    data = offbench.load(shared / "real" / "d4rl_slices" / "hopper_medium-v2.hdf5")
    path = tmp_path / f"x{suffix}"
    offbench.save(data, str(path))
    assert offbench.load(path).digest == data.digest
    assert native.load(path, verify=True).provenance == data.provenance
    offbench.save(some(), path)
    assert preferences.load(path, verify=True).digest == some().digest
    assert preferences.load(path).provenance == some().provenance


def test_raters_come_back_where_there_are_some(tmp_path: Path) -> None:
    path = tmp_path / "x.offbench"
    preferences.save(some(), path)
    assert preferences.load(path).raters is None
    preferences.save(replace(some(), raters=np.array([3, 0])), path)
    assert preferences.load(path, verify=True).raters.tolist() == [3, 0]


@pytest.mark.parametrize("name", ["x.hdf5", "x.npz", "x"])
def test_a_native_file_has_no_name_of_another_format(name: str, tmp_path: Path) -> None:
    with pytest.raises(OffbenchError, match=r"x.* would be a native file under another name; call it x\.offbench"):
        offbench.save(some(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"somebody's own", (8).to_bytes(8, "little") + b'{"a":{}}'])
def test_what_others_wrote_is_not_replaced(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(OffbenchError, match=r"weights\.safetensors exists and is no native file"):
        offbench.save(some(), path)
    assert path.read_bytes() == content
    (tmp_path / "folder.offbench").mkdir()
    with pytest.raises(OffbenchError, match=r"folder\.offbench exists and is no native file"):
        offbench.save(some(), tmp_path / "folder.offbench")


def test_what_cannot_be_saved_is_said(tmp_path: Path) -> None:
    with pytest.raises(OffbenchError, match=r"save takes Trajectories or Preferences, not dict"):
        offbench.save({}, tmp_path / "x.offbench")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_labels_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.offbench"
    content = some()
    for missing in ("labels", "first/actions"):
        columns = {name: column for name, column in content.columns().items() if name != missing}
        metadata = {"format": preferences.FORMAT, "version": preferences.VERSION, "provenance": PROVENANCE}
        write_tensors(path, columns, metadata)
        with pytest.raises(DataError, match=r"x\.offbench is damaged"):
            preferences.load(path)


PROVENANCE = '{"dataset": "", "revision": 0, "task": null, "notes": []}'
