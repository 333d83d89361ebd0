"""The episodes of a Minari dataset as its files hold them: columns by path, such as ``observations/desired_goal``.

Two layouts (https://minari.farama.org/content/dataset_standards/ and the files that minari 0.4 to 0.5 writes)::

    HDF5             main_data.hdf5: one group episode_I with one dataset a column
    Arrow, Parquet   a folder I with part files: one row a step, and a last row that holds the final observation,
                     while its action, reward and flags are padding

They are read here without minari, whose Arrow reader cuts episodes of more than 131,072 steps short, and whose loader
makes whatever environment a dataset without spaces names.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.errors import DataError, OffbenchError
from offbench.formats.foreign import check_memory
from offbench.formats.hdf5_file import below, check_sizes, h5py, open_hdf5, values

_KIND = "the main_data.hdf5 of a Minari dataset"
_PADDED = ("actions", "rewards", "terminations", "truncations")


def episodes(folder: Path, storage: str, numbers: Sequence[int], unread: set[str]) -> Iterator[dict[str, Array]]:
    """The columns of the episodes of these numbers, but for those in ``unread``, to which infos that are none go.

    Raises:
        DataError: a file is missing or damaged, or holds something other than numbers where they are needed.
        OffbenchError: an Arrow or Parquet dataset, and pyarrow is not installed.
    """
    if storage == "hdf5":
        return _hdf5(folder / "main_data.hdf5", numbers, unread)
    if storage in ("arrow", "parquet"):
        return _arrow(folder, storage, numbers, unread)
    raise DataError(f"{folder} has the data format {storage!r}; hdf5, arrow and parquet are read")


# -------------------------------------------------------------------- HDF5


def _hdf5(path: Path, numbers: Sequence[int], unread: set[str]) -> Iterator[dict[str, Array]]:
    total = 0
    with open_hdf5(path, _KIND) as file:
        for number in numbers:
            name = f"episode_{number}"
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                raise DataError(f"{path} has no group {name}, which the metadata promise")
            group = file[name]
            if not isinstance(group, h5py.Group):
                raise DataError(f"{name} of {path} is no group; one with a dataset a column would be right")
            found = below(path, group, "", set())
            infos = {name for name, item in found.items() if name.startswith("infos/") and not _numbers(item)}
            others = infos | (unread & found.keys())
            unread |= infos
            found = {name: item for name, item in found.items() if name not in others}
            total += check_sizes(path, found)
            check_memory(path, total)
            yield {name: values(dataset) for name, dataset in found.items()}


def _numbers(item: Any) -> bool:
    return bool(
        isinstance(item, h5py.Dataset) and item.shape and item.dtype.kind in "fiub" and item.dtype.itemsize <= 8
    )


# -------------------------------------------------------------------- Arrow and Parquet


def _arrow(folder: Path, storage: str, numbers: Sequence[int], unread: set[str]) -> Iterator[dict[str, Array]]:
    try:
        arrow = import_module("pyarrow")
        ipc, parquet = import_module("pyarrow.ipc"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise OffbenchError(f"{folder} holds {storage} files; install pyarrow to read them") from error
    total = 0
    for number in numbers:
        parts = sorted((folder / str(number)).glob(f"part-*.{storage}"), key=lambda path: (len(path.name), path.name))
        if not parts:
            raise DataError(f"{folder} has no part files of episode {number}, which the metadata promise")
        found: list[dict[str, Array]] = []
        for path in parts:
            try:
                total += path.stat().st_size if storage == "arrow" else _parquet_bytes(parquet.read_metadata(path))
                check_memory(path, total)
                table, sizes = _read_arrow(arrow, ipc, path) if storage == "arrow" else _read_parquet(parquet, path)
                table.validate(full=True)
                _check_order(path, sizes)
                found.append(_columns(arrow, path, table, unread))
            except DataError:
                raise
            except (arrow.ArrowException, OSError, ValueError, TypeError, LookupError, MemoryError) as error:
                reason = " ".join(str(error).split())[:200]
                raise DataError(f"{path} is truncated or damaged, so fetch or write it anew ({reason})") from error
        yield _join(folder, number, found)


def _read_arrow(arrow: Any, ipc: Any, path: Path) -> tuple[Any, list[int]]:
    """(the table, rows of each of its batches)."""
    with arrow.memory_map(str(path)) as source:
        batches = ipc.open_file(source)
        read = [batches.get_batch(number) for number in range(batches.num_record_batches)]
        return arrow.Table.from_batches(read, schema=batches.schema), [batch.num_rows for batch in read]


def _read_parquet(parquet: Any, path: Path) -> tuple[Any, list[int]]:
    """(the table, rows of each of its row groups)."""
    file = parquet.ParquetFile(path)
    sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
    return file.read(), sizes


def _parquet_bytes(metadata: Any) -> int:
    return sum(int(metadata.row_group(group).total_byte_size) for group in range(metadata.num_row_groups))


def _check_order(path: Path, sizes: list[int]) -> None:
    """Raise if a short batch comes before a full one.

    Minari 0.5 writes episodes of more than 32,768 rows in batches, whose order its writer (pyarrow's ``write_dataset``
    with several threads) does not keep: about every other such file has steps of the episode interchanged.
    """
    if any(size != sizes[0] for size in sizes[:-1]) or (sizes and sizes[-1] > sizes[0]):
        raise DataError(
            f"the rows of {path} are out of order (batches of {', '.join(map(str, sizes[:8]))} rows), as Minari's "
            "writer leaves long episodes; record the dataset as HDF5"
        )


def _join(folder: Path, number: int, parts: list[dict[str, Array]]) -> dict[str, Array]:
    """The columns of an episode, without the padding of its last row."""
    names = parts[0].keys()
    if any(part.keys() != names for part in parts):
        raise DataError(f"the part files of episode {number} of {folder} differ in their columns")
    joined = {name: np.concatenate([part[name] for part in parts]) for name in names}
    return {name: column[:-1] if name in _PADDED else column for name, column in joined.items()}


def _columns(arrow: Any, path: Path, table: Any, unread: set[str]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for field in table.schema:
        column = table.column(field.name).combine_chunks()
        if isinstance(column, arrow.ChunkedArray):
            column = column.chunk(0) if column.num_chunks else arrow.array([], type=field.type)
        _flatten(arrow, path, field.name, field, column, unread, found)
    return found


def _flatten(
    arrow: Any, path: Path, name: str, field: Any, column: Any, unread: set[str], found: dict[str, Array]
) -> None:
    """Add the numbers of a column and those below it to ``found``."""
    if arrow.types.is_struct(field.type):
        for place, part in enumerate(field.type):
            _flatten(arrow, path, f"{name}/{part.name}", part, column.field(place), unread, found)
        return
    shape: tuple[int, ...] = ()
    is_list = arrow.types.is_fixed_size_list(field.type)
    if is_list:
        shape = (field.type.list_size,)
        if field.metadata and b"shape" in field.metadata:  # how minari writes infos of more axes
            shape = tuple(int(length) for length in field.metadata[b"shape"].split(b",") if length)
        if math.prod(shape) != field.type.list_size:
            raise DataError(f"{name} of {path} has shape {shape} but {field.type.list_size} numbers a row")
    rows = len(column)
    flat = column.flatten() if is_list else column
    plain = arrow.types.is_floating(flat.type) or arrow.types.is_integer(flat.type) or arrow.types.is_boolean(flat.type)
    if not plain or column.null_count or flat.null_count:
        if not name.startswith("infos/") and name not in unread:
            raise DataError(f"{name} of {path} has type {field.type} or empty cells; numbers would be right")
        unread.add(name)
        return
    found[name] = np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(rows, *shape)
