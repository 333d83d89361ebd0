"""Unpacking gzip in threads: whatever HDF5 reads is read alike, and broken chunks are refused."""

from __future__ import annotations

import tempfile
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbench.errors import DataError
from offbench.formats.hdf5_chunks import LARGEST_CHUNK, can_unpack, unpack
from offbench.formats.hdf5_file import open_hdf5, values

DTYPES = ["?", "<f4", "<f8", "<f2", ">f4", ">i8", "<i2", "u1", "<u8"]
SIDES = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=3)


@settings(max_examples=150, deadline=None)
@given(
    sides=SIDES,
    dtype=st.sampled_from(DTYPES),
    level=st.sampled_from([None, 0, 1, 9]),
    shuffle=st.booleans(),
    checksum=st.booleans(),
    noise=st.booleans(),
    library=st.sampled_from([None, "latest"]),
    written=st.sampled_from(["all", "first row", "nothing", "then shrunk", "then grown"]),
    seed=st.integers(0, 99),
)
def test_columns_are_read_as_hdf5_reads_them(
    sides: list[tuple[int, int]],
    dtype: str,
    level: int | None,
    shuffle: bool,
    checksum: bool,
    noise: bool,
    library: str | None,
    written: str,
    seed: int,
) -> None:
    shape, chunks = tuple(size for size, _ in sides), tuple(min(size, step) for size, step in sides)
    rng = np.random.default_rng(seed)
    column = np.frombuffer(rng.bytes(8 * int(np.prod(shape))), "<u8").reshape(shape) % (2**64 - 1 if noise else 3)
    column = (column % 2 if dtype == "?" else column % 60_000).astype(dtype)
    with tempfile.TemporaryDirectory() as folder, h5py.File(Path(folder) / "x.hdf5", "w", libver=library) as file:
        dataset = file.create_dataset(
            "x",
            shape,
            dtype,
            chunks=chunks,
            maxshape=(None,) * len(shape),
            compression=None if level is None else "gzip",
            compression_opts=level,
            shuffle=shuffle,
            fletcher32=checksum,
            fillvalue=1,
        )
        if written == "first row":
            dataset[:1] = column[:1]
        elif written != "nothing":
            dataset[...] = column
        if written.startswith("then"):
            dataset.resize((shape[0] // 2 if written == "then shrunk" else shape[0] + 3), axis=0)
        expected = dataset[...]
        got = values(dataset)
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == expected.dtype.newbyteorder("=")
        if level is not None and not checksum and written == "all":
            assert can_unpack(dataset)
        if written == "nothing":
            assert not can_unpack(dataset)


def test_files_with_a_user_block_and_many_chunks_are_unpacked(tmp_path: Path) -> None:
    column = np.random.default_rng(0).random((5000, 3)).astype("f4")
    with h5py.File(tmp_path / "x.hdf5", "w", userblock_size=1024) as file:
        dataset = file.create_dataset("x", data=column, chunks=(7, 2), compression="gzip", shuffle=True)
        assert can_unpack(dataset)
        assert np.array_equal(unpack(dataset), column)


def numbers_of_12_bits() -> Any:
    kind = h5py.h5t.STD_U16LE.copy()
    kind.set_precision(12)
    return kind


def floats_with_another_bias() -> Any:
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_ebias(100)
    return kind


@pytest.mark.parametrize("kind", [numbers_of_12_bits(), floats_with_another_bias()])
def test_numbers_that_numpy_has_not_are_left_to_hdf5(tmp_path: Path, kind: Any) -> None:
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((4,))
        properties.set_deflate(4)
        identity = h5py.h5d.create(file.id, b"x", kind, h5py.h5s.create_simple((8,)), properties)
        dataset = h5py.Dataset(identity)
        dataset[...] = np.arange(8)
        assert not can_unpack(dataset)
        assert values(dataset).tolist() == list(range(8))


def test_large_chunks_are_left_to_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        for rows in (LARGEST_CHUNK, LARGEST_CHUNK + 1):
            dataset = file.create_dataset(str(rows), data=np.ones(rows, "u1"), chunks=(rows,), compression="gzip")
            assert can_unpack(dataset) is (rows == LARGEST_CHUNK)
            assert values(dataset).all()


# -------------------------------------------------------------------- damage

SIZE = 64 * 4
WHOLE = zlib.compress(bytes(SIZE))
DAMAGED = {
    "too long": zlib.compress(bytes(SIZE + 1)),
    "a bomb": zlib.compress(bytes(2**28), 1)[: 2 * SIZE],
    "too short": zlib.compress(bytes(SIZE - 1)),
    "nothing": zlib.compress(b""),
    "no zlib": bytes(100),
    "cut": WHOLE[:-5],
    "another checksum": WHOLE[:-1] + bytes([WHOLE[-1] ^ 1]),
    "larger than any packed chunk": zlib.compress(np.random.default_rng(0).bytes(10 * SIZE), 0),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_chunks_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("x", data=np.ones((256, 1), "f4"), chunks=(64, 1), compression="gzip")
        dataset.id.write_direct_chunk((128, 0), DAMAGED[name])
        assert can_unpack(dataset)
    sentence = r"x.hdf5 is truncated or damaged, so fetch or write it anew \(.*\)"
    with pytest.raises(DataError, match=sentence), open_hdf5(path, "a file") as file:
        values(file["x"])


def test_a_chunk_that_unpacks_to_more_than_it_should_takes_no_memory(tmp_path: Path) -> None:
    rows = 2**20
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        dataset = file.create_dataset("x", (rows,), "u1", chunks=(rows,), compression="gzip")
        dataset.id.write_direct_chunk((0,), zlib.compress(bytes(2**28), 9))
        tracemalloc.start()
        with pytest.raises(ValueError, match=r"the chunk at \(0,\) of /x does not hold 1048576 bytes"):
            values(dataset)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8 * rows


def test_chunks_to_which_a_filter_was_not_applied_are_read(tmp_path: Path) -> None:
    column = np.arange(6, dtype="<u4")
    shuffled = column.view(np.uint8).reshape(6, 4).T.tobytes()
    contents = [
        (0, zlib.compress(shuffled)),
        (1, zlib.compress(column.tobytes())),
        (2, shuffled),
        (3, column.tobytes()),
    ]
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        dataset = file.create_dataset("x", (24,), "<u4", chunks=(6,), compression="gzip", shuffle=True)
        for number, (skipped, content) in enumerate(contents):
            dataset.id.write_direct_chunk((6 * number,), content, skipped)
        assert dataset[...].tolist() == column.tolist() * 4
        assert can_unpack(dataset)
        assert unpack(dataset).tolist() == column.tolist() * 4


def test_bools_that_are_neither_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("x", (4,), "?", chunks=(4,), compression="gzip")
        dataset.id.write_direct_chunk((0,), zlib.compress(bytes([0, 1, 2, 1])))
    with pytest.raises(DataError, match="x is bool but holds a byte"), open_hdf5(path, "a file") as file:
        values(file["x"])
