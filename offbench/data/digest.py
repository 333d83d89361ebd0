"""The identity of data: equal content, equal digest, be it one array a column or several that follow one another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from offbench.basis.shapes import Array

_BLOCK = 2**24  # bytes, of which a copy is made where a column is not contiguous and little-endian


def digest_of(columns: Mapping[str, Array | Sequence[Array]]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of all columns, little-endian.

    A column in pieces, at least one and all of one dtype, counts as what they are when they are joined.
    """
    sha = hashlib.sha256()
    for name in sorted(columns):
        given = columns[name]
        pieces = [given] if isinstance(given, np.ndarray) else given
        little = pieces[0].dtype.newbyteorder("<")
        shape = pieces[0].shape if len(pieces) == 1 else (sum(map(len, pieces)), *pieces[0].shape[1:])
        sha.update(f"{name} {little.str} {shape}\n".encode())
        for piece in pieces:
            if piece.flags.c_contiguous and piece.dtype == little:
                sha.update(piece.data)
                continue
            rows = max(1, _BLOCK * len(piece) // max(1, piece.nbytes))
            for first in range(0, len(piece), rows):
                sha.update(np.ascontiguousarray(piece[first : first + rows], dtype=little).data)
    return sha.hexdigest()
