"""The cache of what was read: mapped without opening the source, and noticed when either was changed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from offbench.basis import tensors
from offbench.basis.files import identity
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.formats import native
from offbench.formats.caching import cached
from offbench.formats.hdf5 import read_hdf5


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


def place(folder: Path) -> Path:
    """The only cache file in a folder."""
    (found,) = [path for path in folder.rglob("*.offbench") if path.is_file()]
    return found


def never(path: Path) -> Trajectories:
    raise AssertionError(f"{path} was read although its cache is valid")


def counted(calls: list[Path]) -> Callable[[Path], Trajectories]:
    def read(path: Path) -> Trajectories:
        calls.append(path)
        return read_hdf5(path)

    return read


def test_the_second_load_does_not_open_the_source(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cached(source, read_hdf5)
    assert [path.name for path in source.parent.iterdir()] == ["x.hdf5"]  # nothing beside a user's file
    monkeypatch.setattr(h5py, "File", never)
    second = cached(source, never)
    assert second.digest == first.digest
    assert second.provenance == first.provenance


def test_a_changed_source_is_read_again(source: Path) -> None:
    calls: list[Path] = []
    assert cached(source, counted(calls)).steps == 6
    assert cached(source, counted(calls)).steps == 6
    assert len(calls) == 1
    write_source(source, 9)
    assert cached(source, counted(calls)).steps == 9
    assert len(calls) == 2
    later = source.stat().st_mtime_ns + 1_000_000
    os.utime(source, ns=(later, later))
    assert cached(source, counted(calls)).steps == 9
    assert cached(source, counted(calls)).steps == 9
    assert len(calls) == 3
    cached(source, counted(calls), options="episode_limit=3")
    assert len(calls) == 4
    cached(source, counted(calls), options="episode_limit=3")
    assert len(calls) == 4


@pytest.mark.parametrize("damage", ["empty", "garbage", "truncated", "other"])
def test_a_broken_cache_is_written_anew(source: Path, tmp_path: Path, damage: str) -> None:
    cached(source, read_hdf5)
    path = place(tmp_path / "cache")
    content = path.read_bytes()
    if damage == "other":
        native.save(read_hdf5(source)[:1], path)
    else:
        path.write_bytes({"empty": b"", "garbage": bytes(999), "truncated": content[:-1]}[damage])
    calls: list[Path] = []
    assert cached(source, counted(calls)).steps == 6
    assert len(calls) == 1
    assert cached(source, never).digest == read_hdf5(source).digest


def test_an_edited_cache_is_noticed(source: Path, tmp_path: Path) -> None:
    before = cached(source, read_hdf5).digest
    path = place(tmp_path / "cache")
    columns, metadata = load_file(path), tensors.map_tensors(path, native.FORMAT, native.VERSION, "trajectories")[1]
    save_file(columns | {"rewards": columns["rewards"] + 1}, path, metadata=metadata)
    calls: list[Path] = []
    assert cached(source, counted(calls)).digest == before
    assert len(calls) == 1


def test_a_cache_that_was_copied_is_compared_and_kept(source: Path, tmp_path: Path) -> None:
    cached(source, read_hdf5)
    path = place(tmp_path / "cache")
    path.write_bytes(path.read_bytes())  # another time, and the same content
    assert cached(source, never).steps == 6
    assert cached(source, never).steps == 6


def test_a_source_of_the_same_size_and_time_is_read_again(source: Path) -> None:
    cached(source, read_hdf5)
    state = source.stat()
    content = bytearray(source.read_bytes())
    with h5py.File(source, "r+") as file:
        file["rewards"][...] = 2
    assert source.stat().st_size == state.st_size
    os.utime(source, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert source.stat().st_mtime_ns == state.st_mtime_ns
    assert source.read_bytes() != content
    assert cached(source, read_hdf5).rewards.tolist() == [2] * 6


def test_a_clock_that_was_set_back_neither_spoils_a_cache_nor_keeps_a_stale_one(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 4e9)  # the cache is written in what is the future afterwards
    cached(source, read_hdf5)
    monkeypatch.setattr(time, "time", lambda: 1e9)
    assert cached(source, never).steps == 6
    state = source.stat()
    write_source(source, 9)
    os.utime(source, ns=(state.st_atime_ns, state.st_mtime_ns - 10**12))  # changed before it was read, says its time
    assert cached(source, read_hdf5).steps == 9
    assert cached(source, never).steps == 9


def test_what_a_killed_process_left_half_written_is_removed(source: Path) -> None:
    cached(source, read_hdf5)
    made = place(source.parent.parent / "cache")
    left, other = made.with_name(f".{made.name}.ab_c1234.part"), made.with_name(".other.offbench.ab_c1234.part")
    left.write_bytes(b"half")
    other.write_bytes(b"half")  # which somebody may be writing
    write_source(source, 9)
    assert cached(source, read_hdf5).steps == 9
    assert sorted(path.name for path in made.parent.iterdir()) == sorted([made.name, other.name])


def test_any_file_of_a_folder_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "dataset"
    for name in ("data/main.hdf5", "data/metadata.json", "deep/er/x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("1")
    seen = {str(identity(folder))}
    for name in ("data/metadata.json", "deep/er/x"):
        (folder / name).write_text("2")
        seen.add(str(identity(folder)))
    (folder / "deep" / "new").touch()
    seen.add(str(identity(folder)))
    (folder / "deep" / "new").unlink()
    (folder / "deep" / "er" / "x").rename(folder / "deep" / "er" / "y")
    seen.add(str(identity(folder)))
    assert len(seen) == 5


def test_a_source_in_the_cache_folder_has_its_cache_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "cache" / "d4rl" / "x-r1" / "x.hdf5"
    path.parent.mkdir(parents=True)
    write_source(path, 6)
    cached(path, read_hdf5)
    assert sorted(each.name for each in path.parent.iterdir()) == ["x.hdf5", "x.hdf5.offbench"]
    assert cached(path, never).steps == 6


def test_a_folder_can_be_chosen(source: Path, tmp_path: Path) -> None:
    cached(source, read_hdf5, folder=tmp_path / "mine")
    assert len(list((tmp_path / "mine").iterdir())) == 1
    assert not (tmp_path / "cache").exists()
    assert cached(source, never, folder=tmp_path / "mine").steps == 6


def test_without_any_place_for_it_loading_works_and_says_so(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "file"))
    calls: list[Path] = []
    for number in (1, 2):
        trajectories = cached(source, counted(calls))
        assert len(calls) == number
        assert trajectories.digest == read_hdf5(source).digest
        assert trajectories.provenance.notes[-1].startswith("no cache file could be written (cannot write ")
    assert [p.name for p in source.parent.iterdir()] == ["x.hdf5"]


def test_a_wrong_source_has_the_readers_error_and_no_cache(source: Path) -> None:
    with pytest.raises(DataError, match=r"y.hdf5 does not exist; give the path of a D4RL-style HDF5 file"):
        cached(source.with_name("y.hdf5"), read_hdf5)
    source.write_bytes(b"nothing")
    with pytest.raises(DataError, match="is not an HDF5 file"):
        cached(source, read_hdf5)
    assert [p.name for p in source.parent.iterdir()] == ["x.hdf5"]


def test_many_threads_and_processes_may_write_one_cache(source: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from offbench.formats import caching, hdf5; "
        "print(caching.cached(sys.argv[1], hdf5.read_hdf5).digest)"
    )
    command = [sys.executable, "-c", program, str(source)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    digests: list[str] = []

    def work() -> None:
        for _ in range(10):
            digests.append(cached(source, read_hdf5).digest)
            for path in (tmp_path / "cache").rglob("*.offbench"):
                path.unlink(missing_ok=True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    digests += [process.communicate(timeout=60)[0].strip() for process in processes]
    assert digests == [read_hdf5(source).digest] * 43
    assert [p.name for p in source.parent.iterdir()] == ["x.hdf5"]


def test_a_million_steps_load_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    episodes, length = 2000, 500
    steps = episodes * length
    trajectories = Trajectories(
        observations=rng.standard_normal((steps + episodes, 11), dtype=np.float32),
        offsets=np.arange(episodes + 1) * length,
        terminations=np.zeros(steps, dtype=bool),
        truncations=np.arange(steps) % length == length - 1,
        actions=rng.random((steps, 3), dtype=np.float32),
        rewards=np.arange(steps, dtype=np.float32),
        action_range=(-np.ones(3, np.float32), np.ones(3, np.float32)),
    )
    source = tmp_path / "x.hdf5"
    source.write_bytes(b"stands for a large file")
    cached(source, lambda path: trajectories)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        loaded = cached(source, never)
        times.append(time.perf_counter() - start)
    assert loaded.digest == trajectories.digest
    assert min(times) < 0.05  # 8 ms on two cores


def test_real_files_come_back_the_same(shared: Path, tmp_path: Path) -> None:
    for path in sorted((shared / "real").rglob("*.hdf5")):
        first = cached(path, read_hdf5, folder=tmp_path)
        second = cached(path, never, folder=tmp_path)
        assert second.digest == first.digest
        assert second.provenance == first.provenance
