"""Columns of rows as a file of either format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def write(path: Path, columns: Mapping[str, Any]) -> Path:
    """Write columns to an .npz or HDF5 file, as its name ends, and give its path."""
    if path.suffix == ".npz":
        np.savez(path, **columns)
        return path
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file[name] = column
    return path
