"""Named arrays in one safetensors file, memory-mapped when read: the ground of every native format of offbench."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors import SafetensorError, safe_open

from offbench.basis.files import atomic
from offbench.basis.shapes import Array
from offbench.errors import DataError, UnwritableError

Pieces = Sequence[Array]  # of one column, which follow one another

# The format's names of dtypes; its data are little-endian.
_DTYPES = {
    "BOOL": "|b1", "U8": "|u1", "U16": "<u2", "U32": "<u4", "U64": "<u8", "I8": "|i1", "I16": "<i2", "I32": "<i4",
    "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip


def write_tensors(path: Path, columns: Mapping[str, Array | Pieces], metadata: Mapping[str, str]) -> None:
    """Write one file of columns, each an array or the pieces of one; a block of memory is all that it takes.

    Raises:
        DataError: a column has a dtype that the format lacks.
        UnwritableError: the file cannot be written.
    """
    pieces = {name: [given] if isinstance(given, np.ndarray) else given for name, given in columns.items()}
    for name, parts in pieces.items():
        if parts[0].dtype.newbyteorder("<").str not in _DTYPES.values():
            kinds = "bool, integers of 1 to 8 bytes and floats of 2, 4 and 8"
            raise DataError(f"{name} has dtype {parts[0].dtype}, which a native file cannot hold; it holds {kinds}")
    # As the library orders them, widest first, so that each stands at a multiple of its width.
    order = sorted(pieces, key=lambda name: (-pieces[name][0].dtype.itemsize, name))
    with atomic(path) as temporary:
        try:
            with temporary.open("wb") as file:
                file.write(_header({name: pieces[name] for name in order}, metadata))
                for name in order:
                    for piece in pieces[name]:
                        _write_piece(file, piece)
        except OSError as error:
            raise UnwritableError(f"cannot write {path}: {error}; make room or name another folder") from error


def _header(pieces: Mapping[str, Pieces], metadata: Mapping[str, str]) -> bytes:
    """Length and description of the columns, which follow in this order."""
    names = {kind: name for name, kind in _DTYPES.items()}
    described: dict[str, Any] = {"__metadata__": dict(metadata)}
    start = 0
    for name, parts in pieces.items():
        end = start + sum(part.nbytes for part in parts)
        shape = list(parts[0].shape) if len(parts) == 1 else [sum(map(len, parts)), *parts[0].shape[1:]]
        kind = names[parts[0].dtype.newbyteorder("<").str]
        described[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _write_piece(file: BinaryIO, piece: Array) -> None:
    """The numbers of a piece, little-endian and row by row."""
    piece = np.atleast_1d(piece)
    rows = max(1, _BLOCK * len(piece) // max(1, piece.nbytes))
    for first in range(0, len(piece), rows):
        block = np.ascontiguousarray(piece[first : first + rows], dtype=piece.dtype.newbyteorder("<"))
        file.write(block.reshape(-1).view(np.uint8).data)


_BLOCK = 2**24  # bytes written at a time


def is_native(path: Path) -> bool:
    """Whether a file is one of offbench's native formats, whichever; reads its header alone."""
    try:
        with safe_open(path, framework="numpy") as file:
            return str((file.metadata() or {}).get("format", "")).startswith("offbench-")
    except (SafetensorError, OSError):
        return False


def map_tensors(
    path: Path, kind: str, version: str, content: str, known: bool = False
) -> tuple[dict[str, Array], dict[str, str]]:
    """(columns by name, metadata) of a file whose header, offsets and bools hold. Columns are views of the mapped file.

    Args:
        path: the file.
        kind: what its metadata must name as their format.
        version: the version of that format that is read.
        content: what such a file holds, for messages.
        known: whether the bools were looked at before.

    Raises:
        DataError: the file is missing, not in this format or version, or damaged.
    """
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise DataError(f"{path} {what}; give the path of a native file of offbench")
    try:
        # Checks that header and size of the file agree and that the tensors tile it; reads no data.
        with safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is no safetensors file, or a damaged one ({error}); write it anew") from error
    if metadata.get("format") != kind:
        raise DataError(f"{path} is a safetensors file without {content}; its metadata lack format={kind}")
    if metadata.get("version") != version:
        raise DataError(
            f"{path} has version {metadata.get('version')!r} of the native format; this offbench reads {version!r}"
        )
    try:
        return _views(path, known), metadata
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({error}); write it anew") from error


def _views(path: Path, known: bool) -> dict[str, Array]:
    whole = np.memmap(path, dtype=np.uint8, mode="r")
    size = 8 + int.from_bytes(whole[:8].tobytes(), "little")
    header = json.loads(whole[8:size].tobytes())
    header.pop("__metadata__", None)
    data = np.asarray(whole[size:])  # the base is the mapping; the views are plain arrays
    views = {}
    for name, tensor in header.items():
        if tensor["dtype"] not in _DTYPES:
            raise ValueError(f"{name} has dtype {tensor['dtype']}, which is none of {', '.join(_DTYPES)}")
        start, end = tensor["data_offsets"]
        view = data[start:end].view(_DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
        if view.dtype == bool and view.size and not known and view.view(np.uint8).max() > 1:
            raise ValueError(f"{name} is bool but holds a byte that is neither 0 nor 1")
        views[name] = view
    return views
