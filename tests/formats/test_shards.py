"""Datasets in many files: which files belong together, what is refused, and that the whole is what the parts are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import offbench
from offbench.basis import known
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, OffbenchError
from offbench.formats import shards, table
from offbench.formats.native import file_of, save
from offbench.lint.files import lint_file


def part(seed: int = 0, episodes: int = 2, size: int = 3) -> Trajectories:
    rng, steps = np.random.default_rng(seed), 4 * episodes
    ends = np.arange(steps) % 4 == 3
    return Trajectories(
        observations=rng.standard_normal((steps + episodes, size)).astype(np.float32),
        offsets=np.arange(episodes + 1) * 4,
        terminations=np.zeros(steps, bool),
        truncations=ends,
        actions=rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
        rewards=rng.standard_normal(steps).astype(np.float32),
        extras={"qpos": rng.standard_normal((steps + episodes, 2)), "log": rng.standard_normal(steps)},
        action_range=(np.full(2, -1, np.float32), np.full(2, 1, np.float32)),
    )


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))


def folder_of(folder: Path, names: list[str], **options: int) -> Path:
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(names):
        save(part(seed, **options), folder / name)
    return folder


def test_the_whole_is_what_its_parts_are_joined_and_has_the_digest_of_that(tmp_path: Path) -> None:
    names = [f"x-{number}.offbench" for number in range(12)]  # of which 10 sorts before 2
    folder = folder_of(tmp_path / "many", names)
    whole = offbench.load(folder)
    joined = offbench.concatenate([part(seed) for seed in range(12)])
    assert whole.digest == joined.digest
    assert whole.columns().keys() == joined.columns().keys()
    assert whole.provenance.dataset == str(folder)
    assert "12 files are joined" in whole.provenance.notes
    assert file_of(whole, whole.digest)  # mapped from one file, which workers are handed


def test_what_is_mapped_is_found_again_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "many", ["0.offbench", "1.offbench"])
    first = offbench.load(folder)
    with monkeypatch.context() as patched:
        patched.setattr(shards, "_parts", None)
        assert offbench.load(folder).digest == first.digest
    save(part(7), folder / "1.offbench")
    assert np.array_equal(offbench.load(folder)[2:].observations, part(7).observations)
    left = sorted(path.suffix for path in (tmp_path / "cache" / "files").iterdir())
    assert left == [".offbench"]  # no parts, no lock


def test_files_of_a_list_follow_in_its_order_whatever_they_are_called(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["a.offbench", "other.offbench"])
    whole = offbench.load([folder / "other.offbench", str(folder / "a.offbench")])
    assert whole.digest == offbench.concatenate([part(1), part(0)]).digest
    assert whole.provenance.dataset == "other.offbench + a.offbench"
    with pytest.raises(DataError, match="there is no file nowhere; give the paths of existing files"):
        offbench.load(["nowhere"])
    with pytest.raises(DataError, match="name at least one"):
        offbench.load([])


def test_parts_in_hdf5_and_npz_are_unpacked_once_and_mapped(tmp_path: Path) -> None:
    for kind in ("hdf5", "npz"):
        folder = tmp_path / kind
        folder.mkdir()
        for seed in range(3):
            t = part(seed)
            rows = {"observations": t.observations[t.sources], "actions": t.actions, "rewards": t.rewards}
            rows |= {"terminals": t.terminations, "timeouts": t.truncations}
            if kind == "npz":
                np.savez(folder / f"part_{seed + 1}.npz", **rows)
            else:
                with h5py.File(folder / f"part_{seed + 1}.hdf5", "w") as file:
                    for name, column in rows.items():
                        file[name] = column
        whole = offbench.load(folder)
        assert whole.steps == 24
        assert np.array_equal(whole.actions, np.concatenate([part(seed).actions for seed in range(3)]))
        assert file_of(whole, whole.digest)
        assert shards.title(folder).startswith("a folder of 3 files, each a")
        assert isinstance(lint_file(folder), list)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "many", ["x-000.offbench", "x-001.offbench", "x-004.offbench"])
    with pytest.raises(DataError, match=r"many holds 3 numbered files and lacks x-002.offbench and 1 more; fetch"):
        offbench.load(folder)
    (folder / "x-000.offbench").unlink()
    with pytest.raises(DataError, match=r"lacks x-002\.offbench"):
        offbench.load(folder)
    counted = folder_of(tmp_path / "counted", ["d-00001-of-00003.offbench", "d-00002-of-00003.offbench"])
    with pytest.raises(DataError, match=r"lacks d-00003-of-00003\.offbench;"):
        offbench.load(counted)
    twice = folder_of(tmp_path / "twice", ["x-0.offbench", "x-00.offbench"])
    with pytest.raises(DataError, match="two files of the number 0"):
        offbench.load(twice)


@pytest.mark.parametrize(
    "names",
    [
        ["hopper-v0.offbench", "hopper-v1.offbench"],  # versions
        ["a-0.offbench", "b-1.offbench"],  # two datasets
        ["a-0-1.offbench", "a-1-2.offbench"],  # two numbers that vary
        ["20250101.offbench", "20250102.offbench"],  # dates
        ["hopper.offbench"],
        ["hopper-v0.offbench"],
    ],
)
def test_files_that_are_no_numbered_sequence_are_not_joined(tmp_path: Path, names: list[str]) -> None:
    folder = folder_of(tmp_path / "several", names)
    assert shards.files_of(folder) == []
    with pytest.raises(DataError, match="is a folder with files of data"):
        offbench.load(folder)


def test_what_is_beside_them_is_no_part(tmp_path: Path) -> None:
    names = ["x-v0-000.offbench", "x-v0-001.offbench", "x-v0-000-val.offbench", "x-v0-000.offbench.offbench"]
    folder = folder_of(tmp_path / "many", names)
    (folder / "README.md").write_text("of which 2 are read")
    (folder / ".x-v0-002.offbench").write_text("hidden")
    assert [path.name for path in shards.files_of(folder)] == names[:2]
    notes = offbench.load(folder).provenance.notes
    assert "2 files are joined; 1 of validation are left out" in notes
    (folder / names[1]).unlink()
    assert len(offbench.load(folder)) == 2  # the first of a sequence, by itself


def test_files_that_are_not_alike_are_refused_by_name(tmp_path: Path) -> None:
    def refused(second: Trajectories, words: str) -> None:
        folder = folder_of(tmp_path / "many", ["x-0.offbench"])
        save(second, folder / "x-1.offbench")
        with pytest.raises(DataError, match=words):
            offbench.load(folder)

    one = part()
    refused(
        part(size=4), r"observations of \S*x-1.offbench have rows of shape \(4,\) and type float32, and those of \S*x-0"
    )
    refused(replace(one, rewards=one.rewards.astype(np.float64)), r"rewards of \S*x-1.offbench have .* float64")
    refused(one.without("rewards"), r"x-1.offbench lacks the column rewards, unlike \S*x-0.offbench")
    refused(replace(one, extras={**one.extras, "more": one.rewards}), r"x-1.offbench has a column extras/more")
    wider = (np.full(2, -2, np.float32), np.full(2, 2, np.float32))
    refused(replace(one, action_range=wider), r"x-1.offbench declares another range of actions")


def test_a_broken_file_is_named_and_those_before_it_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for seed in range(2):
        t = part(seed)
        rows = {"observations": t.observations[t.sources], "actions": t.actions, "terminals": t.truncations}
        np.savez(folder / f"x-{seed}.npz", **rows, rewards=t.rewards)
    whole = (folder / "x-1.npz").read_bytes()
    (folder / "x-1.npz").write_bytes(whole[: len(whole) // 2])  # noticed before any is read
    with pytest.raises(DataError, match=r"x-1\.npz is "):
        offbench.load(folder)
    (folder / "x-1.npz").write_bytes(whole.replace(part(1).actions[0].tobytes(), part(2).actions[0].tobytes()))
    with pytest.raises(DataError, match=r"x-1\.npz is "):
        offbench.load(folder)
    (folder / "x-1.npz").write_bytes(whole)
    read, reading = [], table.Format.read
    monkeypatch.setattr(table.Format, "read", lambda self, path, **known: read.append(path.name) or reading(self, path))
    assert offbench.load(folder).steps == 16
    assert read == ["x-1.npz"]


def test_where_no_cache_can_be_written_files_are_joined_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path / "many", ["x-0.offbench", "x-1.offbench"])
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "file"))
    whole = offbench.load(folder)
    assert whole.digest == offbench.concatenate([part(0), part(1)]).digest
    assert any("no cache file could be written" in note for note in whole.provenance.notes)
    monkeypatch.setattr(shards, "free_memory", lambda: 4000)
    with pytest.raises(OffbenchError, match=r"2 files of \S*many cannot be joined .* too large for memory"):
        offbench.load(folder)


def test_a_large_file_is_read_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "LARGE", 1)
    monkeypatch.setattr("offbench.formats.native.LARGE", 1)
    path = tmp_path / "x.offbench"
    save(part(), path)
    assert known.known_digest(path) == part().digest  # what wrote it knows it

    (copy := tmp_path / "copy.offbench").write_bytes(path.read_bytes())
    assert known.known_digest(copy) == ""
    assert offbench.load(copy).digest == part().digest
    digest = part().digest
    assert known.known_digest(copy) == digest
    with monkeypatch.context() as patched:
        patched.setattr("offbench.data.trajectories.check", None)
        patched.setattr("offbench.data.trajectories.digest_of", None)
        again = offbench.load(copy)
        assert (again.digest, again.noted("x").digest) == (digest, digest)
    assert again[:1].digest == part()[:1].digest  # a part of it has a digest of its own

    damaged = bytearray(copy.read_bytes())
    damaged[-20] ^= 1
    copy.write_bytes(damaged)
    with pytest.raises(DataError, match="does not have the recorded digest"):
        offbench.load(copy)
