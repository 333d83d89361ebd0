"""The native file: exact round trips, mapped without a copy, damage found; and the cache made of such files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from trajectory_strategies import Episode, episode_lists, keys, pack, unpack

from offbench.basis import tensors
from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import DataError, OffbenchError
from offbench.formats import native
from offbench.formats.hdf5 import read_hdf5

EXAMPLES = settings(max_examples=80, deadline=None)


def some(episodes: int = 3, length: int = 4, **changes: Any) -> Trajectories:
    """Episodes that were all truncated, with actions, rewards and an extra column."""
    steps = episodes * length
    columns: dict[str, Any] = {
        "observations": np.random.default_rng(0).standard_normal((steps + episodes, 3), dtype=np.float32),
        "offsets": np.arange(episodes + 1) * length,
        "terminations": np.zeros(steps, dtype=bool),
        "truncations": np.arange(steps) % length == length - 1,
        "actions": np.linspace(-1, 1, steps, dtype=np.float32)[:, None],
        "rewards": np.arange(steps, dtype=np.float32),
        "extras": {"goal": np.arange(steps)},
        "action_range": (np.array([-1.0]), np.array([1.0])),
        "provenance": Provenance(dataset="a/set", revision=2, task="a-task", notes=("one", "zwei ü")),
    }
    return Trajectories(**(columns | changes))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.offbench"


# -------------------------------------------------------------------- round trips


@EXAMPLES
@given(episode_lists(), st.text(max_size=5), st.none() | st.text(max_size=5), st.lists(st.text(max_size=5), max_size=3))
def test_what_is_saved_is_loaded(
    drawn: tuple[list[Episode], Episode], dataset: str, task: str | None, notes: list[str]
) -> None:
    trajectories = pack(*drawn, provenance=Provenance(dataset, len(notes), task, tuple(notes)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.offbench"
        native.save(trajectories, path)
        loaded = native.load(path, verify=True)
        assert loaded.digest == trajectories.digest
        assert loaded.provenance == trajectories.provenance
        assert keys(unpack(loaded)) == keys(drawn[0])


@EXAMPLES
@given(episode_lists())
def test_byte_order_and_layout_in_memory_do_not_matter(drawn: tuple[list[Episode], Episode]) -> None:
    trajectories = pack(*drawn)
    changed = {
        name: np.asfortranarray(column.astype(column.dtype.newbyteorder(">")))
        for name, column in trajectories.columns().items()
        if name != "offsets" and not name.startswith("extras/")
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.offbench"
        native.save(replace(trajectories, **changed), path)
        loaded = native.load(path, verify=True)
        assert loaded.digest == trajectories.digest
        assert all(column.dtype.isnative for column in loaded.columns().values())


def test_a_range_of_actions_and_no_episodes_come_back(path: Path) -> None:
    for trajectories in (some(), some()[:0], some(actions=np.zeros((12, 0)), action_range=(np.zeros(0), np.zeros(0)))):
        native.save(trajectories, path)
        loaded = native.load(path, verify=True)
        assert loaded.digest == trajectories.digest
        assert [bound.tolist() for bound in loaded.action_range] == [b.tolist() for b in trajectories.action_range]
        assert len(loaded) == len(trajectories)


def test_columns_are_views_of_the_mapped_file(path: Path) -> None:
    native.save(some(), path)
    loaded = native.load(path)
    for column in [*loaded.columns().values(), *loaded.action_range]:
        base = column
        while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
            base = base.base
        assert isinstance(base, np.memmap)
        assert type(column) is np.ndarray
        assert column.flags.aligned
        with pytest.raises(ValueError, match="read-only"):
            column[...] = 0
    part = native.load(path)[1:]
    assert part.returns.tolist() == some()[1:].returns.tolist()


def test_a_file_can_be_replaced_while_it_is_mapped(path: Path) -> None:
    native.save(some(), path)
    loaded, digest = native.load(path), some().digest
    native.save(some(episodes=1), path)
    assert loaded.digest == digest
    assert len(native.load(path)) == 1


def test_other_libraries_read_the_file(path: Path) -> None:
    native.save(some(), path)
    tensors = load_file(path)
    assert tensors.keys() == some().columns().keys() | {"action_low", "action_high"}
    assert np.array_equal(tensors["observations"], some().observations)


def test_a_dtype_that_the_format_lacks_is_refused(path: Path) -> None:
    trajectories = some(extras={"wide": np.zeros(12, dtype=np.longdouble)})
    with pytest.raises(
        DataError, match="extras/wide has dtype float128, which a native file cannot hold; it holds bool"
    ):
        native.save(trajectories, path)
    assert not path.exists()


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path, path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OffbenchError, match=r"cannot write .*file/x.offbench: .*; name a folder that can be written"):
        native.save(some(), tmp_path / "file" / "x.offbench")


def test_a_failed_write_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    native.save(some(), path)

    def full(tensors: Any, place: Path, metadata: Any) -> None:
        place.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensors, "save_file", full)
    with pytest.raises(OffbenchError, match=r"cannot write .*No space left on device.*; make room or name another"):
        native.save(some(episodes=1), path)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert native.load(path, verify=True).digest == some().digest


# -------------------------------------------------------------------- damage


def test_what_is_no_native_file_is_refused(tmp_path: Path, path: Path) -> None:
    with pytest.raises(DataError, match="does not exist; give the path of a native file"):
        native.load(path)
    with pytest.raises(DataError, match="is not a file; give the path of a native file"):
        native.load(tmp_path)
    for content in (b"", b"short", bytes(100), b"\xff" * 100, b"\x89HDF\r\n\x1a\n" + bytes(500)):
        path.write_bytes(content)
        with pytest.raises(DataError, match="is no safetensors file, or a damaged one"):
            native.load(path)
    save_file({"weight": np.zeros(3)}, path)
    with pytest.raises(
        DataError, match="is a safetensors file without trajectories; its metadata lack format=offbench"
    ):
        native.load(path)


def test_truncation_anywhere_is_found(path: Path) -> None:
    native.save(some(), path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match="is no safetensors file, or a damaged one"):
            native.load(path)


def header_size(content: bytes) -> int:
    return 8 + int.from_bytes(content[:8], "little")


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=400, deadline=None)
def test_a_damaged_header_is_refused_or_harmless(changes: list[tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.offbench"
        native.save(some(), path)
        content = bytearray(path.read_bytes())
        size = header_size(content)
        for place, value in changes:
            content[place % size] = value
        path.write_bytes(content)
        try:
            loaded = native.load(path)
        except DataError:
            return
        assert (len(loaded), loaded.steps) == (3, 12)
        assert loaded.lengths.tolist() == [4, 4, 4]


@given(st.integers(0, 10**6), st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_any_change_of_data_is_found_on_request(place: int, flip: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.offbench"
        native.save(some(), path)
        content = bytearray(path.read_bytes())
        start = header_size(content)
        content[start + place % (len(content) - start)] ^= flip
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"x.offbench is damaged|does not have the recorded digest"):
            native.load(path, verify=True)


def tampered(path: Path, metadata: dict[str, str] | None = None, **tensors: np.ndarray | None) -> Path:
    """A native file with other metadata or tensors; None leaves one out."""
    native.save(some(), path)
    content = path.read_bytes()
    stored = json.loads(content[8 : header_size(content)])["__metadata__"] | (metadata or {})
    columns = load_file(path) | tensors
    save_file({name: column for name, column in columns.items() if column is not None}, path, stored)
    return path


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"metadata": {"version": "2"}}, "has version '2' of the native format; this offbench reads '1'"),
        ({"metadata": {"format": "other"}}, "safetensors file without trajectories"),
        ({"metadata": {"provenance": "{"}}, "the provenance of .* is damaged"),
        ({"metadata": {"provenance": "[" * 100_000}}, "the provenance of .* is damaged"),
        ({"metadata": {"provenance": "[]"}}, "the provenance of .* is damaged"),
        ({"metadata": {"provenance": '{"notes": [], "odd": 1}'}}, "the provenance of .* is damaged"),
        ({"metadata": {"provenance": '{"notes": [], "dataset": 1}'}}, "is damaged .a field has a wrong type"),
        ({"metadata": {"provenance": '{"notes": [1]}'}}, "is damaged .a field has a wrong type"),
        ({"observations": None}, r"has the columns \['action_high', .*; required are"),
        ({"action_low": None}, "optional .* and, both or none, "),
        ({"surprise": np.zeros(3)}, "has the columns .*'surprise'"),
        ({"rewards": np.full(12, np.nan)}, "is damaged: rewards of a/set has NaN or infinite values"),
        ({"offsets": np.array([0, 4, 4, 12])}, "is damaged: episode 1 of a/set has no steps"),
        ({"actions": np.zeros((11, 1))}, "is damaged: actions of a/set has 11 rows; 12 would be right"),
        ({"actions": np.full((12, 1), 3.0)}, "is damaged: action 0 of a/set .* outside the declared range"),
        ({"extras/c": np.zeros(12, dtype=np.complex64)}, "is damaged .*extras/c has dtype C64"),
    ],
)
def test_contents_that_do_not_fit_are_refused(path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        native.load(tampered(path, **changes))


def test_a_bool_that_is_neither_true_nor_false_is_refused(path: Path) -> None:
    native.save(some(), path)
    content = bytearray(path.read_bytes())
    header = json.loads(content[8 : header_size(content)])
    content[header_size(content) + header["terminations"]["data_offsets"][0]] = 2
    path.write_bytes(content)
    with pytest.raises(DataError, match="terminations is bool but holds a byte that is neither 0 nor 1"):
        native.load(path)


# -------------------------------------------------------------------- cache


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small D4RL file in a folder of its own, with the system's cache folder set to another."""
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "data" / "x.hdf5"
    path.parent.mkdir()
    write_source(path, 6)
    return path


def write_source(path: Path, count: int) -> None:
    with h5py.File(path, "w") as file:
        file["observations"] = np.arange(count, dtype=np.float32)[:, None]
        file["rewards"] = np.ones(count, dtype=np.float32)
        file["terminals"] = np.arange(count) % 3 == 2


def never(path: Path) -> Trajectories:
    raise AssertionError(f"{path} was read although its cache is valid")


def counted(calls: list[Path]) -> Callable[[Path], Trajectories]:
    def read(path: Path) -> Trajectories:
        calls.append(path)
        return read_hdf5(path)

    return read


def test_the_second_load_does_not_open_the_source(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = native.cached(source, read_hdf5)
    assert source.with_name("x.hdf5.offbench").is_file()
    monkeypatch.setattr(h5py, "File", never)
    second = native.cached(source, never)
    assert second.digest == first.digest
    assert second.provenance == first.provenance


def test_a_changed_source_is_read_again(source: Path) -> None:
    calls: list[Path] = []
    assert native.cached(source, counted(calls)).steps == 6
    assert native.cached(source, counted(calls)).steps == 6
    assert len(calls) == 1
    write_source(source, 9)
    assert native.cached(source, counted(calls)).steps == 9
    assert len(calls) == 2
    later = source.stat().st_mtime_ns + 1_000_000
    os.utime(source, ns=(later, later))
    assert native.cached(source, counted(calls)).steps == 9
    assert native.cached(source, counted(calls)).steps == 9
    assert len(calls) == 3
    native.cached(source, counted(calls), options="episode_limit=3")
    assert len(calls) == 4
    native.cached(source, counted(calls), options="episode_limit=3")
    assert len(calls) == 4


@pytest.mark.parametrize("damage", ["empty", "garbage", "truncated", "other"])
def test_a_broken_cache_is_written_anew(source: Path, damage: str) -> None:
    place = source.with_name("x.hdf5.offbench")
    native.cached(source, read_hdf5)
    content = place.read_bytes()
    if damage == "other":
        native.save(some(), place)
    else:
        place.write_bytes({"empty": b"", "garbage": bytes(999), "truncated": content[:-1]}[damage])
    calls: list[Path] = []
    assert native.cached(source, counted(calls)).steps == 6
    assert len(calls) == 1
    assert native.cached(source, never).digest == read_hdf5(source).digest


def test_a_read_only_folder_leads_to_the_cache_folder(source: Path, tmp_path: Path) -> None:
    source.parent.chmod(0o555)
    try:
        first = native.cached(source, read_hdf5)
    finally:
        source.parent.chmod(0o755)
    assert [p.name for p in source.parent.iterdir()] == ["x.hdf5"]
    (found,) = (tmp_path / "cache" / "files").iterdir()
    assert found.suffix == ".offbench"
    assert native.cached(source, never).digest == first.digest
    assert first.provenance.notes == read_hdf5(source).provenance.notes


def test_a_folder_can_be_chosen(source: Path, tmp_path: Path) -> None:
    native.cached(source, read_hdf5, folder=tmp_path / "mine")
    assert len(list((tmp_path / "mine").iterdir())) == 1
    assert not source.with_name("x.hdf5.offbench").exists()
    assert native.cached(source, never, folder=tmp_path / "mine").steps == 6


def test_without_any_place_for_it_loading_works_and_says_so(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "file"))
    source.with_name("x.hdf5.offbench").mkdir()
    calls: list[Path] = []
    for number in (1, 2):
        trajectories = native.cached(source, counted(calls))
        assert len(calls) == number
        assert trajectories.digest == read_hdf5(source).digest
        assert trajectories.provenance.notes[-1].startswith("no cache file could be written (cannot write ")
    assert {p.name for p in source.parent.iterdir()} == {"x.hdf5", "x.hdf5.offbench"}


def test_a_wrong_source_has_the_readers_error_and_no_cache(source: Path) -> None:
    with pytest.raises(DataError, match=r"y.hdf5 does not exist; give the path of a D4RL-style HDF5 file"):
        native.cached(source.with_name("y.hdf5"), read_hdf5)
    source.write_bytes(b"nothing")
    with pytest.raises(DataError, match="is not an HDF5 file"):
        native.cached(source, read_hdf5)
    assert [p.name for p in source.parent.iterdir()] == ["x.hdf5"]


def test_a_cache_that_moved_with_its_source_names_the_new_path(source: Path) -> None:
    native.cached(source, read_hdf5)
    moved = source.parent.rename(source.parent.with_name("moved")) / "x.hdf5"
    assert native.cached(moved, never).provenance.dataset == str(moved)


def test_many_threads_and_processes_may_write_one_cache(source: Path) -> None:
    program = (
        "import sys; from offbench.formats import hdf5, native; "
        "print(native.cached(sys.argv[1], hdf5.read_hdf5).digest)"
    )
    command = [sys.executable, "-c", program, str(source)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    digests: list[str] = []

    def work() -> None:
        place = source.with_name("x.hdf5.offbench")
        for _ in range(10):
            digests.append(native.cached(source, read_hdf5).digest)
            place.unlink(missing_ok=True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    digests += [process.communicate(timeout=60)[0].strip() for process in processes]
    assert digests == [read_hdf5(source).digest] * 43
    assert {p.name for p in source.parent.iterdir()} <= {"x.hdf5", "x.hdf5.offbench"}


def test_a_million_steps_load_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    episodes, length = 2000, 500
    steps = episodes * length
    trajectories = some(
        episodes,
        length,
        observations=rng.standard_normal((steps + episodes, 11), dtype=np.float32),
        actions=rng.random((steps, 3), dtype=np.float32),
        action_range=(-np.ones(3, np.float32), np.ones(3, np.float32)),
    )
    source = tmp_path / "x.hdf5"
    source.write_bytes(b"stands for a large file")
    native.cached(source, lambda path: trajectories)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        loaded = native.cached(source, never)
        times.append(time.perf_counter() - start)
    assert loaded.digest == trajectories.digest
    assert min(times) < 0.05  # 8 ms on two cores


def test_real_files_come_back_the_same(shared: Path, tmp_path: Path) -> None:
    for path in sorted((shared / "real").rglob("*.hdf5")):
        first = native.cached(path, read_hdf5, folder=tmp_path)
        second = native.cached(path, never, folder=tmp_path)
        assert second.digest == first.digest
        assert second.provenance == first.provenance
