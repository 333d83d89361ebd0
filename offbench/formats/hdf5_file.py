"""Opening a foreign HDF5 file: nothing outside it is read, and no memory is taken for what it only declares.

Links, external storage and virtual datasets, through which a file could have others read, are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.errors import DataError
from offbench.formats.foreign import check_memory, check_readable
from offbench.formats.hdf5_chunks import can_unpack, unpack

# By name, because h5py carries no types: mypy takes a module that is imported so as it is.
h5py = import_module("h5py")

# Deflate cannot shrink data more than 1,032 times, so a file that declares more than that holds nothing real.
MOST_COMPRESSED = 1100
ALWAYS_ALLOWED = 16 * 2**20  # bytes, of all columns of a file together

# Filters that not every HDF5 has, by their registered numbers.
_FILTERS = {4: "SZIP", 32000: "LZF", 32001: "Blosc", 32004: "LZ4", 32008: "Bitshuffle", 32013: "ZFP"}
_FILTERS |= {32015: "Zstandard", 32026: "Blosc2"}


@contextmanager
def open_hdf5(path: Path, kind: str) -> Iterator[Any]:
    """The open file; whatever goes wrong with it inside the block is a DataError that names the file.

    Args:
        path: the file.
        kind: what kind of file would be right, with its article, for messages.
    """
    check_readable(path, kind)
    if not h5py.is_hdf5(path):
        raise DataError(f"{path} is not an HDF5 file; give the path of {kind}")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{path} does not fit into memory") from error
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError) as error:
        # What h5py raises depends on where the file is broken; its documentation rules none of these out.
        raise DataError(f"{path} {_trouble(path, error)}") from error


def _trouble(path: Path, error: Exception) -> str:
    """What is wrong with a file, and what to do, to follow its path in a sentence."""
    reason = " ".join(str(error).split())
    if isinstance(error, BlockingIOError):
        return f"is locked by a program that writes to it; wait until that has closed it, or stop it ({reason})"
    if "already open for" in reason:
        return (
            "was not closed by the program that writes to it; wait until it has, or, if that program is gone, "
            f"run h5clear -s {path.name}"
        )
    return f"is truncated or damaged, so fetch or write it anew ({reason})"


def items(path: Path, group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Members of a group by name; raises at links, through which a file could have others read."""
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise DataError(f"{prefix + name!r} of {path} is a link; only data that the file itself holds are read")
        yield name, group[name]


def below(path: Path, group: Any, prefix: str, seen: set[int]) -> dict[str, Any]:
    """All datasets below a group by path; ``seen`` holds addresses of groups, because groups can contain themselves."""
    address = h5py.h5o.get_info(group.id).addr
    if address in seen:
        raise DataError(f"group {prefix!r} of {path} is contained in itself or twice; each group once would be right")
    seen.add(address)
    found: dict[str, Any] = {}
    for name, item in items(path, group, prefix):
        found |= below(path, item, f"{prefix}{name}/", seen) if isinstance(item, h5py.Group) else {prefix + name: item}
    return found


def check_sizes(path: Path, datasets: dict[str, Any]) -> int:
    """Bytes of all datasets; raises unless each is plain numbers that the file itself holds and all fit into memory.

    What all of them together declare is held against what the file is long enough for.
    """
    total = sum(_declared_bytes(path, name, dataset) for name, dataset in datasets.items())
    size = path.stat().st_size
    if total > size * MOST_COMPRESSED + ALWAYS_ALLOWED:
        raise DataError(f"{path} declares {total:,} bytes of data but has {size:,} for them; fetch or write it anew")
    check_memory(path, total)
    return total


def is_column(item: Any) -> bool:
    """Whether it is an array of numbers or bools, wherever it has its data; `check_sizes` refuses those outside."""
    if not isinstance(item, h5py.Dataset) or not item.shape:
        return False
    return item.dtype.kind in "fiub" and item.dtype.itemsize <= 8


def values(dataset: Any) -> Array:
    """All of a dataset, in the machine's byte order."""
    try:
        column: Array = unpack(dataset) if can_unpack(dataset) else dataset[...]
    except OSError as error:
        # Looked for only now, because chunks that were stored without an optional filter can be read all the same.
        if lacking := _lacking_filters(dataset):
            raise DataError(
                f"{dataset.name!r} of {dataset.file.filename} is packed with {lacking}, which HDF5 lacks here; pack it "
                f"with gzip where it is installed: h5repack -f GZIP=4 {Path(dataset.file.filename).name} NEW.hdf5"
            ) from error
        raise
    if column.dtype == bool and column.size and column.view(np.uint8).max() > 1:
        raise ValueError(f"{dataset.name} is bool but holds a byte that is neither 0 nor 1")
    return column.astype(column.dtype.newbyteorder("="), copy=False)


def _lacking_filters(dataset: Any) -> str:
    """Filters that a dataset is packed with and that are not installed, empty if all are."""
    packing = dataset.id.get_create_plist()
    codes = [packing.get_filter(number)[0] for number in range(packing.get_nfilters())]
    return " and ".join(f"filter {c} ({_FILTERS.get(c, 'unknown')})" for c in codes if not h5py.h5z.filter_avail(c))


def _declared_bytes(path: Path, name: str, dataset: Any) -> int:
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"{name!r} of {path} is not a dataset; one array with a row a step would be right")
    if dataset.is_virtual or dataset.external:
        raise DataError(
            f"{name!r} of {path} has its data in other files; only data that the file itself holds are read"
        )
    if dataset.dtype.kind not in "fiub" or dataset.dtype.itemsize > 8:
        raise DataError(
            f"{name!r} of {path} has dtype {dataset.dtype}; numbers or bools of up to 8 bytes would be right"
        )
    if not dataset.shape:
        raise DataError(f"{name!r} of {path} is a single value; an array with a row a step would be right")
    declared: int = math.prod(dataset.shape) * dataset.dtype.itemsize
    needed = max(declared, math.prod(dataset.chunks or ()) * dataset.dtype.itemsize)
    stored: int = min(dataset.id.get_storage_size(), path.stat().st_size)
    if dataset.id.get_create_plist().get_nfilters():
        stored *= MOST_COMPRESSED
    if needed > stored + ALWAYS_ALLOWED:
        raise DataError(
            f"{name!r} of {path} declares shape {dataset.shape}, {needed:,} bytes, but the file holds only "
            f"{dataset.id.get_storage_size():,} for it"
        )
    return declared
