"""Columns with one row a step, as other libraries take them: a table of pandas, tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError

if TYPE_CHECKING:
    from torch import Tensor


def to_frame(columns: Mapping[str, Array], lengths: Array) -> Any:
    """A ``pandas.DataFrame``, one row a step: ``episode``, ``step``, then one column a number.

    Args:
        columns: (steps, ...) each, by name; the numbers of a row of several become ``name_0``, ``name_1``, ....
        lengths: (episodes,), steps of each.

    Raises:
        OffbenchError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise OffbenchError('to_pandas needs pandas: pip install "offbench[pandas]"') from error
    first = np.cumsum(lengths) - lengths
    numbers: dict[str, Array] = {
        "episode": np.repeat(np.arange(len(lengths)), lengths),
        "step": np.arange(int(lengths.sum())) - np.repeat(first, lengths),
    }
    for name, column in columns.items():
        rows = column.reshape(len(column), int(np.prod(column.shape[1:]))) if column.ndim > 1 else column
        spread = {name: rows} if rows.ndim == 1 else {f"{name}_{i}": rows[:, i] for i in range(rows.shape[1])}
        if taken := numbers.keys() & spread.keys():
            raise OffbenchError(f"two columns of the table would be called {sorted(taken)[0]}; leave {name} out first")
        numbers |= spread
    return pandas.DataFrame(numbers)


def to_tensors(columns: Mapping[str, Array]) -> dict[str, Tensor]:
    """Tensors by name that share the columns' memory, where torch can read it as it lies there."""
    return {name: shared_tensor(column) for name, column in columns.items()}


def shared_tensor(column: Array) -> Tensor:
    """A tensor over the very same memory, unless torch cannot read it as it lies there. It must not be written to."""
    import torch

    dtype = np.dtype(np.float64) if column.dtype.itemsize > 8 else column.dtype.newbyteorder("=")
    return torch.from_numpy(np.asarray(_Readable(np.require(column, dtype, ["C", "A"]))))


class _Readable:
    """An array for torch, which has no tensors that are only read and warns of arrays that are; nothing writes here."""

    def __init__(self, column: Array) -> None:
        self.column = column  # whose memory it is
        address, _ = column.__array_interface__["data"]
        self.__array_interface__ = column.__array_interface__ | {"data": (address, False)}
