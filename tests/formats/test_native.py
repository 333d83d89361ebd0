"""The native file: exact round trips, mapped without a copy, damage found."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

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

    def full(file: Any, piece: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensors, "_write_piece", full)
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
