"""The table of formats: what is recognised, whatever it is called, and that a new entry reaches all that use it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import minari
import numpy as np
import pytest
from minari.data_collector import EpisodeBuffer

import offbench
from offbench.catalog.cards import Card, File
from offbench.catalog.loading import load_card
from offbench.cli.main import main
from offbench.data.preferences import Preferences
from offbench.data.segments import Segments
from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import DataError, OffbenchError, UnknownNameError
from offbench.formats import native, table
from offbench.formats import preferences as preference_files
from offbench.formats.source import Source
from offbench.formats.table import FORMATS, Format, load, named, recognise
from offbench.formats.writers import write_d4rl
from offbench.lint.files import lint_file


def some() -> Trajectories:
    """Two episodes of three steps."""
    observations = np.arange(16, dtype=np.float32).reshape(8, 2)
    ends = np.arange(6) % 3 == 2
    return Trajectories(
        observations,
        np.array([0, 3, 6]),
        np.zeros(6, dtype=bool),
        ends,
        np.linspace(-0.5, 0.5, 6, dtype=np.float32)[:, None],
        np.arange(6, dtype=np.float32),
    )


def neorl2(path: Path) -> None:
    t, before = some(), np.array([0, 1, 2, 4, 5, 6])
    obs, following = t.observations[before], t.observations[before + 1]
    columns = {"obs": obs, "next_obs": following, "action": t.actions, "reward": t.rewards}
    with path.open("wb") as file:
        np.savez(file, **columns, done=t.terminations, truncated=t.truncations)


def npz(path: Path) -> None:
    t, before = some(), np.array([0, 1, 2, 4, 5, 6])
    rows = {"observations": t.observations[before], "next_observations": t.observations[before + 1]}
    with path.open("wb") as file:
        np.savez(file, **rows, actions=t.actions, rewards=t.rewards, terminals=t.terminations, timeouts=t.truncations)


def ogbench(path: Path) -> None:
    t, last = some(), np.arange(8) % 4 == 3
    with path.open("wb") as file:
        np.savez(file, observations=t.observations, actions=np.zeros((8, 1), np.float32), terminals=last)


def robomimic(path: Path) -> None:
    t = some()
    with h5py.File(path, "w") as file:
        for number, one in enumerate(t):
            demo = file.create_group(f"data/demo_{number}")
            demo["obs/state"], demo["next_obs/state"] = one.observations[:-1], one.observations[1:]
            demo["actions"], demo["rewards"], demo["dones"] = one.actions, one.rewards, one.terminations


def d3rlpy(path: Path) -> None:
    t = some()
    with h5py.File(path, "w") as file:
        file["columns"], file["num_episodes"], file["version"] = ["observations", "actions"], len(t), "2.1"
        for number, one in enumerate(t):
            file[f"observations_{number}"], file[f"actions_{number}"] = one.observations[:-1], one.actions
            file[f"rewards_{number}"], file[f"terminated_{number}"] = one.rewards[:, None], False


def ipl(path: Path) -> None:
    pairs = {f"{name}_{side}": np.zeros((2, 3, 1)) for name in ("obs", "action") for side in (1, 2)}
    with path.open("wb") as file:
        np.savez(file, **pairs, label=np.zeros(2))


def preferences(path: Path) -> None:
    part = Segments.cut(some(), np.array([0, 3]), 3)
    made = Preferences(part, part, np.array([0, 1], np.float32))
    preference_files.save(made, path)


FILES = {
    "native": lambda path: native.save(some(), path),
    "preferences": preferences,
    "d4rl": lambda path: write_d4rl(some(), path),
    "neorl2": neorl2,
    "npz": npz,
    "ogbench": ogbench,
    "robomimic": robomimic,
    "d3rlpy": d3rlpy,
    "ipl": ipl,
}


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def minari_dataset(storage: str) -> Path:
    """The folder of a dataset that the minari library writes."""
    t = some()
    buffers = [
        EpisodeBuffer(
            observations=t.observations[first : first + 4],
            actions=t.actions[first - place : first - place + 3],
            rewards=t.rewards[first - place : first - place + 3],
            terminations=[False] * 3,
            truncations=[False, False, True],
        )
        for place, first in enumerate((0, 4))
    ]
    spaces = gym.spaces.Box(-np.inf, np.inf, (2,)), gym.spaces.Box(-np.inf, np.inf, (1,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses an author
        made = minari.create_dataset_from_buffers(
            f"test/{storage}-v0", buffers, observation_space=spaces[0], action_space=spaces[1], data_format=storage
        )
    return Path(made.storage.data_path).parent


# -------------------------------------------------------------------- recognising


@pytest.mark.parametrize("suffix", ["", ".hdf5", ".npz", ".offbench", ".safetensors", ".data", ".csv"])
@pytest.mark.parametrize("name", list(FILES))
def test_a_file_is_recognised_by_its_content_whatever_it_is_called(tmp_path: Path, name: str, suffix: str):
    FILES[name](tmp_path / f"x{suffix}")
    assert recognise(tmp_path / f"x{suffix}").name == name


@pytest.mark.parametrize("storage", ["hdf5", "arrow", "parquet"])
def test_a_minari_dataset_is_recognised_by_its_folders(storage: str):
    folder = minari_dataset(storage)
    for path in (folder, folder / "data"):
        assert recognise(path).name == "minari"
        assert load(path).digest == some().digest


def test_the_file_with_all_episodes_of_minari_is_its_dataset(tmp_path: Path):
    folder = minari_dataset("hdf5")
    assert recognise(folder / "data" / "main_data.hdf5").name == "minari"
    assert load(folder / "data" / "main_data.hdf5").digest == load(folder).digest
    shutil.copy(folder / "data" / "main_data.hdf5", tmp_path / "main_data.hdf5")
    with pytest.raises(DataError, match=r"metadata\.json is not beside it; give the folder of a whole dataset"):
        load(tmp_path / "main_data.hdf5")


@pytest.mark.parametrize("name", ["native", "d4rl", "neorl2", "npz"])
def test_every_format_gives_the_same_trajectories(tmp_path: Path, name: str):
    FILES[name](tmp_path / "x")
    assert load(tmp_path / "x").digest == some().digest
    assert offbench.load(tmp_path / "x").digest == some().digest


@pytest.mark.parametrize(
    ("name", "reader"),
    [("preferences", "offbench.formats.preferences.load"), ("ipl", "offbench.formats.preference_files.read_ipl")],
)
def test_preferences_are_told_with_what_reads_them(tmp_path: Path, name: str, reader: str):
    FILES[name](tmp_path / "x")
    for use in (load, offbench.load, lint_file):
        with pytest.raises(DataError, match=rf"of preferences and holds no trajectories; {reader} reads it"):
            use(tmp_path / "x")


def test_the_published_files_are_recognised(shared: Path):
    expected = {"d4rl_slices": "d4rl", "d4rl_ant": "d4rl", "neorl2": "neorl2", "preferences/ipl/Lift": "ipl"}
    for folder, name in expected.items():
        paths = [path for path in (shared / "real" / folder).iterdir() if path.suffix in (".hdf5", ".npz")]
        assert paths
        assert {recognise(path).name for path in paths} == {name}
    assert recognise(shared / "real" / "d3rlpy_pendulum_replay.hdf5").name == "d4rl"


# -------------------------------------------------------------------- the entries


@pytest.mark.parametrize("each", FORMATS, ids=lambda each: each.name)
def test_every_function_that_is_named_exists(each: Format):
    for name in filter(None, (each.recognises, each.reader, each.rows, each.writer)):
        module = name.partition(":")[0]
        if find_spec(module) is None:
            pytest.skip(f"{module} is not there yet")
        assert callable(table.resolve(name))


def test_the_page_of_datasets_lists_what_is_read_and_written():
    page = (Path(__file__).resolve().parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\| (yes)? ?\| (yes)? ?\|$", page, flags=re.MULTILINE)
    expected = [each for each in FORMATS if each.content == "trajectories"]
    assert {(name, bool(written), bool(checked)) for name, written, checked in rows} == {
        (each.name, bool(each.writer), bool(each.rows)) for each in expected
    }


def test_names_are_told_apart_and_the_nearest_are_named():
    assert len({each.name for each in FORMATS}) == len(FORMATS)
    assert {each.name for each in FORMATS} == {*FILES, "minari", "lerobot"}
    with pytest.raises(UnknownNameError, match=r"there is no format named 'd4lr'; nearest: .*d4rl"):
        named("d4lr")


def test_what_is_missing_is_taken_for_a_path_by_its_suffix():
    assert set(table.suffixes()) == {".offbench", ".safetensors", ".hdf5", ".h5", ".npz"}
    for suffix in table.suffixes():
        with pytest.raises(DataError, match=f"there is no file missing{suffix}"):
            offbench.load(f"missing{suffix}")


def test_options_go_to_the_readers_that_take_them(tmp_path: Path):
    known: dict[str, Any] = {"episode_limit": 2, "observation": None, "verify": True}
    npz(tmp_path / "x.npz")
    assert named("npz").read(tmp_path / "x.npz", **known).digest == some().digest  # it has time-outs
    native.save(some(), tmp_path / "x.offbench")
    assert named("native").read(tmp_path / "x.offbench", **known).digest == some().digest


def test_the_stamp_tells_formats_versions_and_options_apart():
    d4rl, neorl2, npz = named("d4rl"), named("neorl2"), named("npz")
    stamps = [each.stamp(episode_limit=limit) for each in (d4rl, neorl2, npz) for limit in (None, 1, 10)]
    stamps.append(Format(**(vars(npz) | {"version": npz.version + 1})).stamp())
    assert len(set(stamps)) == 10
    assert npz.stamp(verify=True) == npz.stamp()  # which changes nothing of what is read


@pytest.mark.parametrize("name", ["d4rl", "npz", "neorl2"])
def test_what_was_read_is_kept_and_read_anew_by_another_version(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    path, reads = tmp_path / "x.data", []
    FILES[name](path)
    read = Format.read
    monkeypatch.setattr(Format, "read", lambda self, *given, **known: reads.append(1) or read(self, *given, **known))
    assert load(path).digest == load(path).digest == some().digest
    assert len(reads) == 1
    later = [Format(**(vars(each) | {"version": each.version + 1})) for each in FORMATS]
    monkeypatch.setattr(table, "FORMATS", tuple(later))
    assert load(path).digest == some().digest
    assert len(reads) == 2


@pytest.mark.parametrize("each", table.written(), ids=lambda each: each.name)
def test_what_a_format_writes_it_recognises_and_reads(each: Format):
    path, _ = each.write(some(), each.target.format("made-v0"))
    assert recognise(path) is each
    assert load(path).digest == some().digest
    with pytest.raises(OffbenchError, match="exists"):
        each.write(some(), each.target.format("made-v0"))


def test_recognising_imports_only_what_it_needs(tmp_path: Path):
    native.save(some(), tmp_path / "x.offbench")
    code = (
        "import sys; from offbench.formats.table import load; load('x.offbench')\n"
        "assert not {'torch', 'h5py', 'minari', 'pyarrow', 'gymnasium'} & set(sys.modules)"
    )
    path = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path})


# -------------------------------------------------------------------- a new format


def recognises_lines(source: Source) -> bool:
    return source.text.startswith("lines\n")


def read_lines(path: Path, episode_limit: int | None = None) -> Trajectories:
    columns, _ = lines_rows(path)
    rows = len(columns["rewards"])
    return Trajectories(
        np.zeros((rows + 1, 1), np.float32),
        np.array([0, rows]),
        np.zeros(rows, dtype=bool),
        np.arange(rows) == rows - 1,
        rewards=columns["rewards"].astype(np.float32),
        provenance=Provenance(dataset=str(path), notes=(f"at most {episode_limit} steps",)),
    )


def lines_rows(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    rewards = np.array([float(line) for line in path.read_text().splitlines()[1:]])
    return {"observations": np.zeros((len(rewards), 1)), "rewards": rewards}, {}


def write_lines(trajectories: Trajectories, target: str, environment: str | None) -> tuple[Path, tuple[str, ...]]:
    assert trajectories.rewards is not None
    Path(target).write_text("\n".join(["lines", *map(str, trajectories.rewards.tolist()), ""]))
    return Path(target), ("observations are left out",)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file of a format of text, which one more entry describes."""
    entry = Format(
        name="lines",
        title="a file of lines",
        containers=("",),
        recognises=f"{__name__}:recognises_lines",
        reader=f"{__name__}:read_lines",
        options=("episode_limit",),
        suffixes=(".lines",),
        rows=f"{__name__}:lines_rows",
        writer=f"{__name__}:write_lines",
        target="{}.lines",
    )
    monkeypatch.setattr(table, "FORMATS", (*FORMATS, entry))
    (tmp_path / "x.lines").write_text("lines\n1\n2\nnan\n")
    return tmp_path / "x.lines"


def test_one_entry_is_all_that_a_new_format_needs(lines: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["data", "lint", str(lines)]) == 1
    assert "not-finite" in capsys.readouterr().out
    lines.write_text("lines\n1\n2\n3.5\n")
    assert offbench.load(lines).returns.tolist() == [6.5]
    assert main(["data", "show", str(lines)]) == 0
    shown = capsys.readouterr().out
    assert "format    a file of lines of 14 bytes" in shown
    assert "1 episodes, 3 steps" in shown
    native.save(some(), lines.with_name("some.offbench"))
    assert main(["data", "export", "some.offbench", "--to", "lines"]) == 0
    shown = capsys.readouterr().out
    assert "some.lines: 2 episodes, 6 steps" in shown
    assert "note      observations are left out" in shown
    assert offbench.load("some.lines").returns.tolist() == [15]
    assert main(["data", "show", "missing.lines"]) == 2
    assert "there is no file missing.lines" in capsys.readouterr().err
    lines.write_bytes(bytes(9))
    with pytest.raises(DataError, match=r"as no \.lines file does, so it is damaged or misnamed"):
        recognise(lines)
    with pytest.raises(DataError, match=r"a flat \.npz file with D4RL's names, a file of lines would be right"):
        recognise(lines.rename(lines.with_name("y")))


def test_cards_read_a_new_format_too(lines: Path, tmp_path: Path):
    lines.write_text("lines\n1\n2\n")
    known = Card(id="a/b", description="x", reader="lines", task="pendulum", files=(File(url=lines.as_uri()),))
    first = load_card(known, tmp_path / "cards")
    assert "at most 200 steps" in first.provenance.notes
    lines.unlink()
    assert load_card(known, tmp_path / "cards").digest == first.digest
