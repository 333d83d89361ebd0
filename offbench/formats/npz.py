"""Reading ``.npz`` files: NeoRL-2's, and flat ones with the names of D4RL.

Such a file is a zip of arrays, N rows that hold one episode after the other. NeoRL-2 (Gao et al. 2025, "NeoRL-2: Near
Real-World Benchmarks for Offline Reinforcement Learning with Extended Realistic Scenarios",
https://arxiv.org/abs/2503.19267, and the published files themselves)::

    obs, next_obs (N, observation)    action (N, action)    reward (N,)    done, truncated (N,) 0 or 1

Flat files call these ``observations``, ``next_observations``, ``actions``, ``rewards``, ``terminals`` or
``terminations``, ``timeouts`` or ``truncations``; any further array of N rows is an extra. Only numbers and bools are
read: arrays of objects are pickles, which can run code.
"""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.formats.foreign import check_memory, check_readable
from offbench.formats.row_names import by_role, described, lacking, role
from offbench.formats.rows import from_rows, not_read, usable_infos
from offbench.formats.source import Source

# Deflate cannot shrink data more than 1,032 times; the other methods that a zip may use can, and numpy uses none.
_MOST_COMPRESSED = 1100
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LONGEST_HEADER = 10_000  # characters
_MOST_ARRAYS = 1000
# What zipfile, zlib and numpy raise depends on where the file is broken.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError),
    *(RuntimeError, ValueError, TypeError, LookupError, ArithmeticError),
)
_BLOCK = 2**20  # bytes read at a time
_KIND = "an .npz file with observations, actions and rewards"
_NEORL2 = {"obs", "next_obs", "action", "reward", "done", "truncated"}


def recognises(source: Source) -> bool:
    """Whether a zip holds arrays."""
    return any(name.endswith(".npy") for name in source.names)


def recognises_neorl2(source: Source) -> bool:
    """Whether a zip holds the arrays of NeoRL-2."""
    return {f"{name}.npy" for name in _NEORL2} <= set(source.names)


def read_npz(
    path: Path | str, action_range: tuple[Array, Array] | None = None, episode_limit: int | None = None
) -> Trajectories:
    """The trajectories of a NeoRL-2 or flat ``.npz`` file; ``provenance.notes`` say what it lacks.

    How rows become episodes is said at ``offbench.formats.rows.from_rows``.

    Args:
        path: the file.
        action_range: (low, high), each (action,), that the actions are declared to keep.
        episode_limit: steps after which the task's clock truncates, for files without time-outs.

    Raises:
        DataError: the file is missing, no ``.npz``, damaged, larger than memory once unpacked, names a column twice,
            or holds columns that are missing, of unequal length, not numeric or not finite.
    """
    path = Path(path)
    arrays = read_arrays(path, _KIND)
    columns, names = by_role(path, arrays)
    arrays = {name: array for name, array in arrays.items() if role(name) is None}
    rows = len(columns.get("observations", ()))
    notes = lacking(columns) + ([] if {*names.values()} >= _NEORL2 else described(names))
    unread: list[str] = []
    extras = usable_infos({name.removeprefix("infos/"): array for name, array in arrays.items()}, rows, unread)
    notes += not_read(unread)
    return from_rows(path, columns, extras, notes, names, action_range, episode_limit)


def raw_rows(path: Path) -> tuple[dict[str, Array], dict[str, Array]]:
    """(columns, infos) as they lie in the file, of whatever lengths and values; raises as `read_arrays` does."""
    arrays = read_arrays(path, _KIND)
    columns, _ = by_role(path, arrays)
    rows = len(columns.get("observations", ()))
    others = {name.removeprefix("infos/"): array for name, array in arrays.items() if role(name) is None}
    return columns, {name: array for name, array in others.items() if len(array) == rows}


def read_arrays(path: Path, kind: str, only: Sequence[str] = ()) -> dict[str, Array]:
    """The arrays of an ``.npz`` file by name, each with at least one axis.

    Args:
        path: the file.
        kind: what kind of file would be right, with its article, for messages.
        only: names of those that are read; all if empty.

    Raises:
        DataError: the file is missing, no zip, damaged, or holds anything but plain numbers that fit into memory.
    """
    check_readable(path, kind)
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(path, archive)
            chosen = {name: member for name, member in members.items() if not only or name in only}
            return {name: _read(path, archive, name, member) for name, member in chosen.items()}
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{path} does not fit into memory") from error
    except _DAMAGE as error:
        if not zipfile.is_zipfile(path):
            raise DataError(f"{path} is not a zip of arrays, or a truncated one; give the path of {kind}") from error
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is truncated or damaged, so fetch or write it anew ({reason})") from error


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Members of a zip by name, none of which declares more than it can hold."""
    listed = archive.infolist()
    if len(listed) > _MOST_ARRAYS:
        raise DataError(f"{path} holds {len(listed)} files; at most {_MOST_ARRAYS} arrays are read")
    members = {info.filename.removesuffix(".npy"): info for info in listed}
    if len(members) < len(listed):
        raise DataError(f"{path} holds two arrays of one name; one of each would be right")
    packed = sum(info.compress_size for info in listed)
    if packed > path.stat().st_size:
        raise DataError(f"{path} declares {packed:,} bytes of packed data, more than the file has")
    for name, info in members.items():
        if not info.filename.endswith(".npy"):
            raise DataError(f"{info.filename!r} in {path} is not an array; an .npz file holds .npy files only")
        if info.compress_type not in _METHODS:
            raise DataError(f"{name!r} of {path} is packed by a method that numpy does not use; stored or deflated is")
        if info.file_size > max(info.compress_size, 1) * _MOST_COMPRESSED:
            raise DataError(
                f"{name!r} of {path} declares {info.file_size:,} bytes, but the file holds only "
                f"{info.compress_size:,} for it"
            )
    check_memory(path, sum(info.file_size for info in listed))
    return members


def _read(path: Path, archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> Array:
    with archive.open(info) as file:
        shape, fortran, dtype = _header(path, name, file)
        if dtype.hasobject:
            raise DataError(
                f"{name!r} of {path} holds Python objects, which can run code; plain numbers would be right"
            )
        if dtype.kind not in "fiub" or dtype.itemsize > 8:
            raise DataError(f"{name!r} of {path} has dtype {dtype}; numbers or bools of up to 8 bytes would be right")
        # Compared before any memory is taken: the header comes before the zip's own size of the member has been met.
        needed = math.prod(shape) * dtype.itemsize
        if needed > info.file_size:
            raise DataError(
                f"{name!r} of {path} declares shape {shape}, {needed:,} bytes, but the file holds only "
                f"{info.file_size:,} for it"
            )
        data = np.empty(needed, dtype=np.uint8)
        view, filled = data.data, 0
        while block := file.read(_BLOCK):  # to the end, where the zip's checksum is compared
            if filled + len(block) > needed:
                raise DataError(f"{name!r} of {path} holds more data than its shape {shape}; write it anew")
            view[filled : filled + len(block)] = block
            filled += len(block)
        if filled < needed:
            raise DataError(f"{name!r} of {path} ends after {filled:,} of {needed:,} bytes; fetch or write it anew")
    array = data.view(dtype).reshape(shape[::-1]).T if fortran else data.view(dtype).reshape(shape)
    if dtype.kind == "b" and data.size and data.max() > 1:
        raise DataError(f"{name!r} of {path} is bool but holds a byte that is neither 0 nor 1")
    return np.atleast_1d(np.ascontiguousarray(array, dtype=dtype.newbyteorder("=")))


def _header(path: Path, name: str, file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, whether in Fortran order, dtype) of an array; numpy takes the header for a literal, never for code."""
    try:
        version = npy.read_magic(file)
        if version == (1, 0):
            return npy.read_array_header_1_0(file, _LONGEST_HEADER)
        if version == (2, 0):
            return npy.read_array_header_2_0(file, _LONGEST_HEADER)
    except (*_DAMAGE, SyntaxError, tokenize.TokenError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{name!r} of {path} is no array, or a damaged one ({reason}); write it anew") from error
    raise DataError(f"{name!r} of {path} has version {version} of numpy's format; arrays of numbers have 1 or 2")
