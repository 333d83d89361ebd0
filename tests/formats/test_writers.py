"""Round trips through the formats of others, and what those formats cannot hold."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from trajectory_strategies import Episode, episode_lists, pack

from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, OffbenchError
from offbench.formats import writers
from offbench.formats.hdf5 import read_hdf5
from offbench.formats.minari_format import read_minari
from offbench.formats.writers import write_d4rl, write_minari

minari = pytest.importorskip("minari")
EXAMPLES = settings(max_examples=40, deadline=None)


def some(**changes: Any) -> Trajectories:
    """Two episodes of 3 and 2 steps: one terminates, one is truncated."""
    columns: dict[str, Any] = {
        "observations": np.arange(14, dtype=np.float32).reshape(7, 2),
        "offsets": np.array([0, 3, 5]),
        "terminations": np.array([0, 0, 1, 0, 0], dtype=bool),
        "truncations": np.array([0, 0, 0, 0, 1], dtype=bool),
        "actions": np.linspace(-1, 1, 5, dtype=np.float32)[:, None],
        "rewards": np.arange(5, dtype=np.float32),
        "extras": {"goal": np.arange(10.0).reshape(5, 2), "deep/er": np.arange(5, dtype=np.int8)},
        "action_range": (np.array([-1], np.float32), np.array([1], np.float32)),
    }
    return Trajectories(**(columns | changes))


@pytest.fixture(autouse=True)
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


# -------------------------------------------------------------------- D4RL


@given(episode_lists(least=1, d4rl=True, rewards=True))
@EXAMPLES
def test_d4rl_files_give_back_what_they_can_hold(given: tuple[list[Episode], Episode]) -> None:
    trajectories = pack(*given)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.hdf5"
        if trajectories.actions is None:
            with pytest.raises(DataError, match="this dataset has no actions, which a D4RL file needs"):
                write_d4rl(trajectories, path)
            assert not path.exists()
            return
        assert write_d4rl(trajectories, path) == ()
        assert read_hdf5(path).digest == trajectories.digest


def test_a_d4rl_file_has_the_layout_that_others_read(tmp_path: Path) -> None:
    assert write_d4rl(some(), tmp_path / "x.hdf5") == ()
    with h5py.File(tmp_path / "x.hdf5") as file:
        columns = {name: file[name][:] for name in file if name not in ("infos", "metadata")}
        assert file["infos/goal"][:].tolist() == some().extras["goal"].tolist()
    assert columns["observations"][:, 0].tolist() == [0, 2, 4, 8, 10]
    assert columns["next_observations"][:, 0].tolist() == [2, 4, 6, 10, 12]
    assert columns["terminals"].tolist() == [0, 0, 1, 0, 0]
    assert columns["timeouts"].tolist() == [0, 0, 0, 0, 1]
    assert columns["rewards"].tolist() == [0, 1, 2, 3, 4]
    assert read_hdf5(tmp_path / "x.hdf5").digest == some().digest


def test_unknown_final_observations_leave_the_column_out_and_say_so(tmp_path: Path) -> None:
    observations = np.arange(14, dtype=np.float32).reshape(7, 2)
    observations[[3, 6]] = observations[[2, 5]]
    trajectories = some(observations=observations, final_observations=np.zeros(2, dtype=bool))
    (note,) = write_d4rl(trajectories, tmp_path / "x.hdf5")
    assert note == "final observations are unknown, so that next_observations are left out"
    with h5py.File(tmp_path / "x.hdf5") as file:
        assert "next_observations" not in file
    assert read_hdf5(tmp_path / "x.hdf5").digest == trajectories.digest


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rewards": None}, "has no rewards, which a D4RL file needs; native files hold such data"),
        (
            {"final_observations": np.array([True, False])},
            "1 of 2 episodes of this dataset know their final observation",
        ),
        ({"terminations": np.zeros(5, dtype=bool)}, "episode 0 of this dataset was cut off without a flag"),
    ],
)
def test_what_a_d4rl_file_cannot_hold_is_refused(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        write_d4rl(some(**changes), tmp_path / "x.hdf5")
    with pytest.raises(DataError, match="has no episodes; a D4RL file needs at least one"):
        write_d4rl(some()[:0], tmp_path / "x.hdf5")
    assert list(tmp_path.glob("*")) == []


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    clash = some(extras={"a": np.zeros(5), "a/b": np.zeros(5)})
    with pytest.raises(OffbenchError, match=r"cannot write .*x.hdf5: "):
        write_d4rl(clash, tmp_path / "x.hdf5")
    assert list(tmp_path.glob("*")) == []


# -------------------------------------------------------------------- Minari


@given(episode_lists(least=1, most=3, d4rl=True, rewards=True))
@settings(max_examples=20, deadline=None)
def test_minari_datasets_give_back_what_they_can_hold(given: tuple[list[Episode], Episode]) -> None:
    trajectories = pack(*given)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", folder)
        if trajectories.actions is None:
            with pytest.raises(DataError, match="has no actions, which a Minari dataset needs"):
                write_minari(trajectories, "me/b-v0")
            return
        place, notes = write_minari(trajectories, "me/b-v0")
        assert any("no range of actions is declared" in note for note in notes)
        loaded = read_minari(place)
        assert loaded.digest == trajectories.digest
        assert loaded.provenance.dataset == "me/b-v0"
        cut_off = not (trajectories.terminations | trajectories.truncations)[-1]
        assert any("1 episodes were cut off" in note for note in notes) == cut_off


@pytest.mark.parametrize(
    ("actions", "bounds", "environment", "space"),
    [
        (np.array([2, 4, 3, 2, 4]), None, None, "Discrete(3, start=2)"),
        (np.array([1, 1, 1, 1, 1], np.uint8), None, None, "Discrete(1, start=1)"),
        (np.array([1, 1, 1, 1, 1]), None, "CartPole-v1", "Discrete(2)"),
        (np.array([1, 5, 1, 1, 1]), None, "CartPole-v1", "Discrete(5, start=1)"),
        (np.array([-1, 0, 0, -1, 0], np.int8), (-1, 3), None, "Discrete(5, start=-1)"),
        (np.array([True, False, False, False, True]), None, None, "Discrete(2)"),
    ],
)
def test_whole_numbers_in_one_column_are_discrete(
    actions: np.ndarray, bounds: tuple[int, int] | None, environment: str | None, space: str
) -> None:
    declared = None if bounds is None else tuple(np.array([bound], np.float32) for bound in bounds)
    trajectories = some(actions=actions[:, None], action_range=declared)
    place, notes = write_minari(trajectories, "me/discrete-v0", environment)
    assert not any("no range of actions" in note for note in notes)
    loaded = minari.load_dataset("me/discrete-v0")
    assert str(loaded.action_space) == space
    assert [int(action) for episode in loaded for action in episode.actions] == actions.astype(int).tolist()
    assert all(loaded.action_space.contains(np.int64(action)) for action in loaded[0].actions)
    assert read_minari(place).digest == trajectories.digest


def test_what_is_too_much_to_count_stays_a_box() -> None:
    far = np.array([[-(2**63)], [2**63 - 1], [0], [0], [0]])
    place, _ = write_minari(some(actions=far, action_range=None), "me/far-v0")
    assert "Box" in str(minari.load_dataset("me/far-v0").action_space)
    assert np.array_equal(read_minari(place).actions, far)
    observed = some(observations=np.arange(7)[:, None])
    place, _ = write_minari(observed, "me/observed-v0")
    assert str(minari.load_dataset("me/observed-v0").observation_space) == "Discrete(7)"
    assert read_minari(place).digest == observed.digest


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "uint32"])
def test_whole_numbers_keep_their_dtype_and_bounds(dtype: str) -> None:
    actions = np.array([[0], [3], [1], [2], [3]], dtype=dtype)
    observations = np.arange(14).reshape(7, 2).astype(dtype)
    for bounds in (None, (np.array([0], np.float32), np.array([3], np.float32))):
        trajectories = some(actions=actions, observations=observations, action_range=bounds)
        place, _ = write_minari(trajectories, f"whole/{dtype}-v{bounds is None:d}")
        assert read_minari(place).digest == trajectories.digest


def test_minari_opens_what_is_written(datasets: Path) -> None:
    place, notes = write_minari(
        some(
            observations=np.zeros((7, 3), np.float32),
            action_range=(np.array([-2], np.float32), np.array([2], np.float32)),
        ),
        "pendulum/some-v3",
        environment="Pendulum-v1",
        author="Someone",
        description="five steps",
        ref_max_score=10.0,
        ref_min_score=0.0,
    )
    assert notes == ()
    assert place == datasets / "pendulum" / "some-v3"
    loaded = minari.load_dataset("pendulum/some-v3")
    assert (loaded.total_episodes, loaded.total_steps, loaded.env_spec.id) == (2, 5, "Pendulum-v1")
    assert loaded.action_space.low == [-2]
    first, second = loaded.iterate_episodes()
    assert first.observations.shape == (4, 3)
    assert first.terminations.tolist() == [False, False, True]
    assert second.truncations.tolist() == [False, True]
    assert second.infos["goal"].tolist() == [[6.0, 7.0], [8.0, 9.0]]
    assert minari.get_normalized_score(loaded, np.array([5.0])) == [0.5]
    assert loaded.storage.metadata["author"] == {"Someone"}
    assert list(minari.list_local_datasets()) == ["pendulum/some-v3"]
    assert loaded.recover_environment().spec.id == "Pendulum-v1"
    command = [str(Path(sys.executable).with_name("minari"))]
    for arguments, expected in ((["list", "local"], "pendulum/some-v3"), (["show", "pendulum/some-v3"], "five steps")):
        shown = subprocess.run(command + arguments, capture_output=True, text=True, timeout=120, check=True)
        assert expected in shown.stdout.replace("\n", "")


def test_a_chosen_part_of_a_minari_dataset_is_read() -> None:
    write_minari(some(), "me/b-v0")
    longer = minari.load_dataset("me/b-v0").filter_episodes(lambda episode: len(episode.rewards) == 2)
    assert read_minari(longer).digest == some()[1].digest


@pytest.mark.parametrize(
    ("changes", "dataset_id", "sentence"),
    [
        ({"rewards": None}, "me/b-v0", "has no rewards, which a Minari dataset needs"),
        (
            {"final_observations": np.array([True, False])},
            "me/b-v0",
            "the final observation of episode 1 .* is unknown",
        ),
        ({}, "a/b-v0", "'a/b-v0' is no id of a Minari dataset; like hopper/medium-v0 would be right"),
        ({}, "../b-v0", "'../b-v0' is no id of a Minari dataset"),
        ({}, "/b-v0", "'/b-v0' is no id of a Minari dataset"),
    ],
)
def test_what_a_minari_dataset_cannot_hold_is_refused(
    datasets: Path, changes: dict[str, Any], dataset_id: str, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        write_minari(some(**changes), dataset_id)
    assert not datasets.exists()


def test_failures_leave_nothing_behind(datasets: Path) -> None:
    with pytest.raises(OffbenchError, match="gymnasium knows no environment 'Nowhere-v0'"):
        write_minari(some(), "me/b-v0", environment="Nowhere-v0")
    with pytest.raises(OffbenchError, match="cannot write the Minari dataset 'me/b-v0'"):
        write_minari(some(extras={"a": np.zeros(5), "a/b": np.zeros(5)}), "me/b-v0")
    assert [path.name for path in (datasets / "me").iterdir()] == ["namespace_metadata.json"]
    write_minari(some(), "me/b-v0")
    with pytest.raises(DataError, match="exists; choose another id or version, or delete it: minari delete me/b-v0"):
        write_minari(some(), "me/b-v0")
    assert read_minari(datasets / "me" / "b-v0").digest == some().digest


def test_without_minari_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(writers, "import_module", absent)
    with pytest.raises(OffbenchError, match="to write Minari datasets, install minari"):
        write_minari(some(), "me/b-v0")


def test_both_formats_agree(tmp_path: Path) -> None:
    unnamed = replace(some(), extras={})
    write_d4rl(unnamed, tmp_path / "x.hdf5")
    place, _ = write_minari(unnamed, "me/b-v0")
    assert read_hdf5(tmp_path / "x.hdf5").digest == read_minari(place).digest == unnamed.digest
    assert json.loads((place / "data" / "metadata.json").read_text())["total_steps"] == 5
