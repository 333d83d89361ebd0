"""Scripts of 2021 on files of one's own: --data, a mapping, D4RL's folder; what is read is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import offbench
import offbench.d4rl
from offbench.catalog.cards import card
from offbench.d4rl import files
from offbench.d4rl.__main__ import main
from offbench.data.trajectories import Trajectories
from offbench.errors import OffbenchError, UnknownNameError

SCRIPT = """
import gym, d4rl, h5py
from d4rl.offline_env import OfflineEnv, download_dataset_from_url, filepath_from_url, get_keys
env = gym.make("hopper-medium-v2")
data = env.get_dataset()
print(data["rewards"].sum(), len(d4rl.qlearning_dataset(env)["rewards"]))
path = download_dataset_from_url(env.dataset_url)
assert path == env.dataset_filepath == filepath_from_url(d4rl.infos.DATASET_URLS["hopper-medium-v2"])
with h5py.File(path, "r") as file:
    assert "observations" in get_keys(file)
assert isinstance(env.unwrapped, OfflineEnv)
"""


def write_hopper(path: Path, rows: int = 60) -> Path:
    """A file of hopper's shape whose rewards are all 1."""
    with h5py.File(path, "w") as file:
        file["observations"] = np.zeros((rows, 11), np.float32)
        file["actions"] = np.zeros((rows, 3), np.float32)
        file["rewards"] = np.ones(rows, np.float32)
        file["terminals"] = np.zeros(rows, bool)
        file["timeouts"] = np.arange(rows) % 20 == 19
    return path


def run(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess:
    (folder / "script.py").write_text(SCRIPT)
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    variables = {**os.environ, "PYTHONPATH": path, "OFFBENCH_OFFLINE": "1", "OFFBENCH_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "offbench.d4rl", *options, str(folder / "script.py")]
    return subprocess.run(
        command, capture_output=True, text=True, env={**variables, **environment}, timeout=120, check=False
    )


def test_data_of_ones_own_stand_under_a_name_of_d4rl(tmp_path: Path):
    path = write_hopper(tmp_path / "mine.hdf5")
    done = run(tmp_path, "--data", f"hopper-medium-v2={path}")
    assert (done.returncode, done.stdout) == (0, "60.0 57\n"), done.stderr  # 59 rows with a next one, less 2 time-outs
    told = f"offbench.d4rl: hopper-medium-v2 is read from {path}, which is not the published file"
    assert done.stderr.startswith(told)
    assert "unverified" in done.stderr


def test_a_mapping_names_files_beside_it(tmp_path: Path):
    write_hopper(tmp_path / "mine.hdf5", 80)
    (tmp_path / "map.toml").write_text('"hopper-medium-v2" = "mine.hdf5"\n"hopper-expert-v2" = "mine.hdf5"\n')
    done = run(tmp_path, "--datasets", str(tmp_path / "map.toml"))
    assert (done.returncode, done.stdout) == (0, "80.0 76\n"), done.stderr
    assert done.stderr.count("unverified") == 1  # only what is read is told


def test_another_file_in_d4rls_folder_says_which_option_takes_it(tmp_path: Path):
    path = write_hopper(tmp_path / "hopper_medium-v2.hdf5")
    done = run(tmp_path, D4RL_DATASET_DIR=str(tmp_path))
    assert done.returncode == 1
    assert f"--data hopper-medium-v2={path}" in done.stderr
    assert f"offbench.load({str(path)!r})" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--data", "hopper-medium-v2"], "--data takes NAME=FILE"),
        (["--data"], "--data needs a value"),
        (["--datasets=nothing.toml"], "the mapping nothing.toml cannot be read"),
        (["--dataset", "x"], "there is no option --dataset"),
        (["--verbose", "x"], "there is no option --verbose"),
    ],
)
def test_wrong_options_are_told_in_a_sentence(capsys: pytest.CaptureFixture[str], options: list[str], told: str):
    assert main(options) == 2
    assert told in capsys.readouterr().err


def test_a_name_that_d4rl_lacks_is_told_in_a_sentence(tmp_path: Path):
    done = run(tmp_path, "--data", "hopper-mdium-v2=x.hdf5")
    assert done.returncode == 2
    assert "nearest: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(autouse=True)
def _no_choice_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_chosen", {})


def test_anything_that_loads_is_written_in_d4rls_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    rng, ends = np.random.default_rng(0), np.isin(np.arange(11), (3, 10))
    data = Trajectories(
        observations=rng.standard_normal((13, 11)).astype(np.float32),
        offsets=np.array([0, 4, 11]),
        terminations=np.zeros(11, bool),
        truncations=ends,
        actions=rng.uniform(-1, 1, (11, 3)).astype(np.float32),
        rewards=np.arange(11, dtype=np.float32),
    )
    offbench.save(data, tmp_path / "mine.offbench")
    path = files.use_file("hopper-medium-v2", tmp_path / "mine.offbench")
    arrays = offbench.d4rl.read_arrays(path)
    np.testing.assert_array_equal(arrays["rewards"], data.rewards)
    np.testing.assert_array_equal(arrays["observations"], data.observations[data.sources])
    assert files.dataset_file(card("d4rl/hopper-medium-v2")) == path
    assert "unverified" in capsys.readouterr().err
    assert files.use_file("hopper-medium-v2", tmp_path / "mine.offbench") == path  # written once


def test_names_and_mappings_are_checked(tmp_path: Path):
    with pytest.raises(UnknownNameError):
        files.use_file("hopper-mdium-v2", tmp_path)
    with pytest.raises(OffbenchError, match=r"nothing\.hdf5"):
        files.use_file("hopper-medium-v2", tmp_path / "nothing.hdf5")
    (tmp_path / "map.toml").write_text("hopper = 3\n")
    with pytest.raises(OffbenchError, match="would be right"):
        files.read_mapping(tmp_path / "map.toml")
