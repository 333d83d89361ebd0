"""Files of named arrays: written a block at a time, and what the library itself reads."""

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from offbench.basis import tensors
from offbench.basis.tensors import map_tensors, write_tensors
from offbench.errors import DataError

METADATA = {"format": "test", "version": "1", "note": 'ä "quoted"'}


def columns() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "flags": rng.random(7) < 0.5,
        "wide": rng.standard_normal((7, 3)),
        "big": np.arange(7, dtype=">i4"),
        "turned": rng.standard_normal((3, 7)).astype(np.float32).T,
        "none": np.zeros((0, 4), np.float32),
        "flat": np.zeros((7, 0), np.float16),
        "one": np.array(3.5),
        "bytes": np.arange(5, dtype=np.uint8),
    }


@pytest.mark.parametrize("block", [1, 30, 2**24])
def test_the_library_reads_what_is_written_in_blocks(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensors, "_BLOCK", block)
    path = tmp_path / "x.safetensors"
    write_tensors(path, columns(), METADATA)
    read = load_file(path)
    assert read.keys() == columns().keys()
    for name, column in columns().items():
        assert np.array_equal(read[name], column), name
        assert read[name].shape == column.shape
    with safe_open(path, framework="numpy") as file:
        assert file.metadata() == METADATA
    mapped, metadata = map_tensors(path, "test", "1", "tests")
    assert metadata == METADATA
    assert all(column.ctypes.data % column.dtype.itemsize == 0 for column in mapped.values() if column.size)


def test_pieces_are_one_column(tmp_path: Path) -> None:
    whole, path = np.arange(24).reshape(8, 3), tmp_path / "x.safetensors"
    write_tensors(path, {"x": [whole[:5], whole[5:5], whole[5:]]}, METADATA)
    write_tensors(tmp_path / "y.safetensors", {"x": whole}, METADATA)
    assert path.read_bytes() == (tmp_path / "y.safetensors").read_bytes()


def test_a_type_that_the_format_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="x has dtype complex128, which a native file cannot hold"):
        write_tensors(tmp_path / "x", {"x": np.zeros(2, complex)}, METADATA)
    assert not list(tmp_path.iterdir())
