"""Columns of an HDF5 file that are packed with gzip, unpacked in threads.

HDF5 unpacks one chunk after the other, in one thread. But each chunk is packed on its own
(https://support.hdfgroup.org/documentation/hdf5/latest/_h5_z__u_g.html): it is a zlib stream of all its elements,
before which the shuffle filter, if set, has put all first bytes first, then all second ones, and so on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import islice, product
from typing import Any

import numpy as np

from offbench.basis.cores import usable_cores
from offbench.basis.shapes import Array

# By name, because h5py carries no types: mypy takes a module that is imported so as it is.
h5py = import_module("h5py")
# libdeflate: it needs all of a stream at once, which a chunk is, and is half as fast again as zlib.
deflate = import_module("deflate")

_DEFLATE, _SHUFFLE = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE

# Each thread holds a chunk twice or three times over; together they stay below half a gibibyte.
LARGEST_CHUNK = 2**24  # bytes
MOST_THREADS = 8


def can_unpack(dataset: Any) -> bool:
    """Whether ``unpack`` reads this dataset: plain numbers, all chunks stored, of filters at most shuffle and gzip."""
    filters = _filters(dataset)
    codes = [code for code, _ in filters]
    if dataset.chunks is None or codes not in ([_DEFLATE], [_SHUFFLE, _DEFLATE]):
        return False
    itemsize = dataset.dtype.itemsize
    if codes[0] == _SHUFFLE and filters[0][1] != (itemsize,):
        return False
    if math.prod(dataset.chunks) * itemsize > LARGEST_CHUNK:
        return False
    # The numbers lie in the file as numpy has them, and not in one of the other ways that HDF5 can describe.
    named = h5py.check_enum_dtype(dataset.dtype)
    if named or not dataset.id.get_type().equal(h5py.h5t.py_create(dataset.dtype, logical=True)):
        return False
    # Those that were never written are only known to HDF5, as is what to fill in for them.
    return bool(0 < math.prod(map(len, _grid(dataset))) == dataset.id.get_num_chunks())


def unpack(dataset: Any) -> Array:
    """All of a dataset for which ``can_unpack`` holds, in the byte order of the file.

    Raises:
        ValueError: a chunk is no zlib stream of the declared number of bytes.
        OSError: a chunk is not where the file says.
    """
    column = np.empty(dataset.shape, dataset.dtype)
    threads = min(usable_cores(), MOST_THREADS, dataset.id.get_num_chunks())
    with ThreadPoolExecutor(threads) as pool:
        parts = [islice(product(*_grid(dataset)), first, None, threads) for first in range(threads)]
        for part in [pool.submit(_unpack_chunks, dataset, origins, column) for origins in parts]:
            part.result()
    return column


def _grid(dataset: Any) -> list[range]:
    """Along each axis the indices at which chunks begin."""
    return [range(0, size, step) for size, step in zip(dataset.shape, dataset.chunks, strict=True)]


def _filters(dataset: Any) -> list[tuple[int, tuple[int, ...]]]:
    """(code, parameters) of each filter, in the order in which they were applied."""
    properties = dataset.id.get_create_plist()
    found = (properties.get_filter(number) for number in range(properties.get_nfilters()))
    return [(code, parameters) for code, _, parameters, _ in found]


def _unpack_chunks(dataset: Any, origins: Iterable[tuple[int, ...]], column: Array) -> None:
    """Write the chunks whose first elements have the indices ``origins`` into ``column``."""
    chunks, dtype, shape = dataset.chunks, dataset.dtype, dataset.shape
    codes = [code for code, _ in _filters(dataset)]
    size = math.prod(chunks) * dtype.itemsize
    packed = np.empty(2 * size + 1024, np.uint8)  # more than zlib makes of anything; h5py refuses what is larger
    for origin in origins:
        skipped, content = dataset.id.read_direct_chunk(origin, out=packed)
        applied = {code for number, code in enumerate(codes) if not skipped >> number & 1}
        content = _inflate(content, size) if _DEFLATE in applied else content
        if len(content) != size:
            raise ValueError(f"the chunk at {origin} of {dataset.name} does not hold {size} bytes")
        numbers = np.frombuffer(content, np.uint8)
        if _SHUFFLE in applied:
            numbers = np.ascontiguousarray(numbers.reshape(dtype.itemsize, -1).T).reshape(-1)
        inside = [min(step, end - first) for first, step, end in zip(origin, chunks, shape, strict=True)]
        place = tuple(slice(first, first + count) for first, count in zip(origin, inside, strict=True))
        column[place] = numbers.view(dtype).reshape(chunks)[tuple(map(slice, inside))]


def _inflate(content: Any, size: int) -> bytes:
    """The ``size`` bytes of a zlib stream; none if it is broken, has no end or holds more."""
    try:
        unpacked: bytes = deflate.zlib_decompress(content, size)
    except (deflate.DeflateError, ValueError):
        return b""
    return unpacked
