"""Reading ``.npz``: NeoRL-2's and flat files, and every way in which one can be broken or lie."""

from __future__ import annotations

import io
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trajectory_strategies import Episode, episode_lists, pack

from offbench.errors import DataError
from offbench.formats.npz import read_arrays, read_npz


def rows(**changes: Any) -> dict[str, Any]:
    """Two episodes of three steps in NeoRL-2's names; None leaves a column out."""
    obs = np.arange(12, dtype=np.float32).reshape(6, 2)
    columns = {
        "obs": obs,
        "next_obs": obs + 2,
        "action": np.full((6, 1), 0.5, np.float32),
        "reward": np.arange(6, dtype=np.float32),
        "done": np.array([0, 0, 1, 0, 0, 0], np.float32),
        "truncated": np.array([0, 0, 0, 0, 0, 1], np.float32),
    } | changes
    return {name: column for name, column in columns.items() if column is not None}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.npz"


def write(path: Path, **columns: Any) -> Path:
    np.savez_compressed(path, **columns)
    return path


# -------------------------------------------------------------------- sound files


def test_neorl2_names(path: Path) -> None:
    trajectories = read_npz(write(path, **rows()))
    assert trajectories.lengths.tolist() == [3, 3]
    assert trajectories.terminations.tolist() == [0, 0, 1, 0, 0, 0]
    assert trajectories.truncations.tolist() == [0, 0, 0, 0, 0, 1]
    assert trajectories.observations[:, 0].tolist() == [0, 2, 4, 6, 6, 8, 10, 12]
    assert trajectories.returns.tolist() == [3, 12]
    assert trajectories.provenance.notes == ()


@given(
    episode_lists(least=1, d4rl=True),
    st.booleans(),
    st.sampled_from([("terminals", "timeouts"), ("terminations", "truncations")]),
)
@settings(max_examples=60, deadline=None)
def test_flat_files_give_back_their_rows(
    given: tuple[list[Episode], Episode], packed: bool, ends: tuple[str, str]
) -> None:
    trajectories = pack(*given)
    before = np.arange(trajectories.steps) + np.repeat(np.arange(len(trajectories)), trajectories.lengths)
    columns = {
        "observations": trajectories.observations[before],
        "next_observations": trajectories.observations[before + 1],
        "actions": trajectories.actions,
        "rewards": trajectories.rewards,
        ends[0]: trajectories.terminations,
        ends[1]: trajectories.truncations,
    } | {f"infos/{name}": column for name, column in trajectories.extras.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npz"
        save = np.savez_compressed if packed else np.savez
        save(path, **{name: column for name, column in columns.items() if column is not None})
        assert read_npz(path).digest == trajectories.digest


def test_fortran_order_byte_order_and_single_values(path: Path) -> None:
    obs = np.asfortranarray(rows()["obs"].astype(">f4"))
    plain = rows(obs=obs, reward=np.arange(6.0)[:, None], version=np.array(3), cost=np.arange(6))
    trajectories = read_npz(write(path, **plain))
    expected = read_npz(write(path.with_name("y.npz"), **rows(cost=np.arange(6))))
    assert trajectories.digest == expected.digest
    assert trajectories.provenance.notes == (
        "not read: 'version' (1 rows)",
        "rewards are float64 in the file and float32 here",
    )


# -------------------------------------------------------------------- wrong content


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"obs": None}, "x.npz has no observations"),
        (
            {"observations": np.zeros((6, 2))},
            "has both obs and observations, which differ; one column of observations would be right",
        ),
        ({"action": np.zeros((5, 1))}, "action of .*x.npz has 5 rows; 6 would be right, as in obs"),
        ({"reward": np.zeros((6, 2))}, r"reward of .*x.npz has shape \(6, 2\); one number a row would be right"),
        ({"done": np.full(6, 2.0)}, "done of .*x.npz is 2.0 in row 0; only 0 and 1 are flags"),
        ({"next_obs": np.zeros((6, 3))}, r"next_obs of .*x.npz has shape \(6, 3\); \(6, 2\) would be right"),
        ({"obs": np.full((6, 2), np.nan, np.float32)}, "observations of .*x.npz has NaN or infinite values"),
        ({"action": np.array(["left"] * 6)}, "'action' of .*x.npz has dtype <U4; numbers or bools"),
        ({"action": np.zeros((6, 1), np.complex64)}, "'action' of .*x.npz has dtype complex64; numbers or bools"),
        ({"action": np.zeros((6, 1), np.longdouble)}, "'action' of .*x.npz has dtype float128; numbers or bools"),
        ({"action": np.zeros(6, dtype=[("a", "f4")])}, "'action' of .*x.npz has dtype .*; numbers or bools"),
    ],
)
def test_wrong_columns_are_named(path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_npz(write(path, **rows(**changes)))


class Bomb:
    """An object whose unpickling would be noticed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exit, (3,)


def test_objects_are_refused_and_not_unpickled(path: Path) -> None:
    objects = np.array([Bomb()] * 6, dtype=object)
    np.savez(path, **rows(action=objects))
    with pytest.raises(DataError, match=r"'action' of .*x.npz holds Python objects, which can run code; plain numbers"):
        read_npz(path)


# -------------------------------------------------------------------- damage and lies


def test_what_is_no_npz_is_refused(tmp_path: Path, path: Path) -> None:
    with pytest.raises(DataError, match=r"does not exist; give the path of an .npz file"):
        read_npz(path)
    with pytest.raises(DataError, match=r"is not a file"):
        read_npz(tmp_path)
    for content in (b"", b"PK", bytes(1000), b"\x93NUMPY" + bytes(200)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"is not a zip of arrays, or a truncated one"):
            read_npz(path)


def test_truncation_anywhere_is_found(path: Path) -> None:
    whole = write(path, **rows()).read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"is not a zip of arrays, or a truncated one|damaged"):
            read_npz(path)


def member(path: Path, content: bytes, name: str = "obs.npy", method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, content)
    return path


def header(text: str, version: tuple[int, int] = (1, 0)) -> bytes:
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text.encode()


def described(shape: str, dtype: str = "'<f4'", order: str = "False") -> bytes:
    return header(f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}}}")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "'obs' of .* is no array, or a damaged one"),
        (b"\x93NUMPY\x01\x00\xff\xff", "'obs' of .* is no array, or a damaged one"),
        (header("exit(3)"), "'obs' of .* is no array, or a damaged one"),
        (header("(" * 9000), "'obs' of .* is no array, or a damaged one"),
        (header("{" * 60000), "'obs' of .* is no array, or a damaged one"),
        (header("{}", (2, 0)), "'obs' of .* is no array, or a damaged one"),
        (header("{}", (3, 0)), "'obs' of .* has version .3, 0. of numpy's format"),
        (described("(10**9,)"), "'obs' of .* is no array, or a damaged one"),
        (described("(1000000000,)"), r"'obs' of .* declares shape \(1000000000,\), 4,000,000,000 bytes, but the file"),
        (described("(9999999999999999999999,)"), "'obs' of .* declares shape"),
        (described("(0, 9999999999999999999999)"), "is truncated or damaged"),
        (described("(-1,)") + bytes(4), "is truncated or damaged|holds more data than its shape"),
        (described("(-1, -2)") + bytes(8), "is truncated or damaged|holds more data than its shape"),
        (described("(2,)") + bytes(4), "'obs' of .* ends after 4 of 8 bytes"),
        (described("(2,)") + bytes(12), r"'obs' of .* holds more data than its shape \(2,\)"),
        (described("(2,)", "'|O'") + bytes(16), "'obs' of .* holds Python objects"),
        (described("(2,)", "'|b1'") + b"\x00\x02", "'obs' of .* is bool but holds a byte that is neither 0 nor 1"),
        (described("(2,)", "'<f4'", "3") + bytes(8), "'obs' of .* is no array, or a damaged one"),
    ],
)
def test_arrays_that_lie_are_refused(path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_npz(member(path, content))


def test_zip_bombs_are_refused_before_they_are_unpacked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = described("(50000000,)", "'|u1'") + bytes(50_000_000)  # deflated to a thousandth: as far as deflate goes
    member(path, bomb)
    assert path.stat().st_size < 60_000
    monkeypatch.setattr("offbench.formats.foreign.available_memory", lambda: 2**24)
    with pytest.raises(
        DataError, match=r"holds 50,000,.* bytes of data, more than the 16,777,216 bytes of memory free here"
    ):
        read_npz(path)
    monkeypatch.undo()
    whole = bytearray(path.read_bytes())
    place = whole.rindex(b"PK\x01\x02")
    struct.pack_into("<I", whole, place + 24, 2_000_000_000)  # the size that the directory declares
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"'obs' of .* declares 2,000,000,000 bytes, but the file holds only"):
        read_npz(path)
    member(path, bomb, method=zipfile.ZIP_BZIP2)
    with pytest.raises(DataError, match=r"'obs' of .* is packed by a method that numpy does not use"):
        read_npz(path)


def test_a_wrong_checksum_is_found(path: Path) -> None:
    np.savez(path, **rows())
    whole = bytearray(path.read_bytes())
    place = whole.index(np.arange(6, dtype=np.float32).tobytes())
    whole[place + 4] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"damaged.* .Bad CRC-32"):
        read_npz(path)


def test_names_that_are_no_arrays_or_come_twice_are_refused(path: Path) -> None:
    member(path, b"x", "readme.txt")
    with pytest.raises(DataError, match=r"'readme.txt' in .* is not an array"):
        read_npz(path)
    content = io.BytesIO()
    np.save(content, np.zeros(3))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("obs.npy", content.getvalue())
        with pytest.warns(UserWarning, match=r"Duplicate name"):
            archive.writestr("obs.npy", content.getvalue())
    with pytest.raises(DataError, match=r"holds two arrays of one name"):
        read_npz(path)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(1001):
            archive.writestr(f"{number}.npy", content.getvalue())
    with pytest.raises(DataError, match=r"holds 1001 files; at most 1000 arrays are read"):
        read_arrays(path, "an .npz file")
