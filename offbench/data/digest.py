"""The identity of data: equal content, equal digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from offbench.basis.shapes import Array


def digest_of(columns: Mapping[str, Array]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of all columns, little-endian."""
    sha = hashlib.sha256()
    for name in sorted(columns):
        column = columns[name]
        little = column.dtype.newbyteorder("<")
        sha.update(f"{name} {little.str} {column.shape}\n".encode())
        sha.update(np.ascontiguousarray(column, dtype=little).data)
    return sha.hexdigest()
