"""A dataset in many files: the numbered ones of a folder, or those of a list, read as one.

They become one native file in the cache folder, whose columns are mapped as those of any other. Columns that stay in a
hundred files would need no second copy of what is native already, but every reader of a column would have to know of
pieces: tensors over mapped memory, compiled updates, digests, worker processes. What the field publishes is packed
(``.npz``, HDF5) and has to be unpacked to a file in any case. So each file is read and checked by itself, which takes
the memory of one, and then column after column is copied into the whole. While that is done the disk holds the data
twice; afterwards the cache holds them once. Their digest is that of the same data in one file.

Files are numbered where their names are the same but for one number: ``x-000.npz``, ``part2.hdf5``,
``d-00001-of-00100.offbench``, beginning with 0 or 1. A number behind a v is a version, and no part. OGBench's files of
100 million steps are called ``cube-double-play-v0-000.npz`` to ``-099.npz``, with ``-000-val.npz`` beside them, which
are for validation and left out. (Those who published them draw from one file at a time, and take the next after some
updates; here every batch is drawn from all.)
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from offbench.basis.memory import free_memory
from offbench.basis.shapes import Array
from offbench.basis.tensors import Pieces
from offbench.data.concatenation import concatenate
from offbench.data.provenance import Provenance, mixed
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, OffbenchError
from offbench.formats import native, table
from offbench.formats.caching import cached, kept, place_of
from offbench.formats.source import Source

_VERSION = 1
_VALIDATION = "-val"
_NUMBER = re.compile(r"(\d+)")
_UNPACKED = 4  # times what files take on the disk, their data may take in memory
_NAMED = 3  # files whose names are spelt out
_MOST_FILES = 100_000  # larger numbers are dates and the like
Progress = Callable[[int, int], None]  # files done, all


def load(source: Path | Sequence[Path], progress: Progress = lambda done, count: None, **known: Any) -> Trajectories:
    """The trajectories of a file or folder of any format, of a folder of numbered files, or of several files.

    Args:
        source: the path, or the paths, whose episodes follow one another in this order.
        progress: hears how many of several files were read.
        known: values of options of readers, see `offbench.formats.table.Format.read`.

    Raises:
        DataError: what it holds cannot be read, is not alike in all files, or a file is missing among numbered ones.
        OffbenchError: many files can be joined neither in the cache folder nor in memory.
    """
    if not isinstance(source, Path):
        return _joined(list(source), "", "", progress, known)
    files = files_of(source)
    if not files:
        return table.load(source, **known)
    validation = sum(1 for each in source.iterdir() if each.stem.endswith(_VALIDATION))
    left_out = f"; {validation} of validation are left out" if validation else ""
    return _joined(files, str(source), left_out, progress, known)


def title(path: Path) -> str:
    """What a path holds, for sentences: the title of its format, or of that of the files of a folder."""
    files = files_of(path)
    return (
        f"a folder of {len(files)} files, each {table.recognise(files[0]).title}"
        if files
        else table.recognise(path).title
    )


# -------------------------------------------------------------------- which files


def files_of(folder: Path) -> list[Path]:
    """The numbered files of a folder in the order of their numbers; none where it is no folder of such.

    Raises:
        DataError: a number is missing, or stands twice.
    """
    if not folder.is_dir() or table.recognised(folder) is not None:
        return []
    names = [name for name in Source(folder).names if name.endswith(table.suffixes())]
    # A cache of x.hdf5 is no dataset beside it.
    names = [name for name in names if name.rpartition(".")[0] not in names and (folder / name).is_file()]
    names = [name for name in names if not Path(name).stem.endswith(_VALIDATION)]
    split = [_NUMBER.split(name) for name in names]
    varying = _varying(split)
    if varying is None:
        return []
    numbers = [int(parts[varying]) for parts in split]
    if max(numbers) > _MOST_FILES:
        return []
    _check_whole(folder, split, varying, numbers)
    return [folder / names[place] for place in np.argsort(numbers)]


def _varying(split: Sequence[Sequence[str]]) -> int | None:
    """Which part of the names, of which every second is a number, is that of the file; None if they are no sequence."""
    if not split or len({len(parts) for parts in split}) > 1:
        return None
    unlike = [place for place in range(len(split[0])) if len({parts[place] for parts in split}) > 1]
    if len(split) == 1:  # of a sequence that begins with 0 there may be one
        unlike = [
            place
            for place in range(1, len(split[0]), 2)
            if int(split[0][place]) == 0 and not _of_version(split[0], place)
        ]
    if len(unlike) != 1 or unlike[0] % 2 == 0 or _of_version(split[0], unlike[0]):
        return None
    return unlike[0]


def _of_version(parts: Sequence[str], place: int) -> bool:
    """Whether the number is that of a version: hopper-v2."""
    return re.search(r"(^|[^a-zA-Z])[vV]$", parts[place - 1]) is not None


def _check_whole(folder: Path, split: Sequence[Sequence[str]], varying: int, numbers: list[int]) -> None:
    """Refuse a sequence that lacks a number, or has one twice."""
    parts, first = split[0], 0 if 0 in numbers else 1
    last = max(numbers)
    if parts[varying + 1] == "-of-":
        last = first + int(parts[varying + 2]) - 1
    missing = sorted(set(range(first, last + 1)) - set(numbers))
    if missing:
        width = len(parts[varying])
        name = "".join([*parts[:varying], f"{missing[0]:0{width}d}", *parts[varying + 1 :]])
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(
            f"{folder} holds {len(numbers)} numbered files and lacks {name}{more}; fetch what is missing, or name the "
            "files that are meant: offbench.load([file, ...])"
        )
    if len(set(numbers)) < len(numbers):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        raise DataError(f"{folder} holds two files of the number {twice}; remove one of them")


# -------------------------------------------------------------------- joining them


def _joined(files: list[Path], name: str, more: str, progress: Progress, known: Mapping[str, Any]) -> Trajectories:
    """The episodes of all files, mapped from one native file in the cache; ``name`` is that of the folder, if any."""
    if not files:
        raise DataError("there is no file to load; name at least one")
    formats = [table.recognise(file) for file in files]
    options = f"shards {_VERSION}, {', '.join(dict.fromkeys(each.stamp(**known) for each in formats))}"
    told = [f"{len(files)} files are joined{more}"]

    def build(place: Path, entries: dict[str, str]) -> str:
        scratch = place.with_suffix(".parts")
        parts = _parts(files, scratch, progress, known)
        digest = native.write_columns(_columns(parts), _origin(files, parts, name, told), place, entries)
        shutil.rmtree(scratch, ignore_errors=True)
        return digest

    try:
        return kept(files, build, options)
    except DataError:
        raise
    except (OffbenchError, OSError) as error:
        if sum(file.stat().st_size for file in files if file.is_file()) > free_memory() / _UNPACKED:
            raise OffbenchError(
                f"the {len(files)} files of {name or files[0].parent} cannot be joined in the cache folder and are too "
                f"large for memory ({error}); make room there, or set OFFBENCH_CACHE to another folder"
            ) from error
        whole = in_memory(files, name, told, progress, known)
        return whole.noted(f"no cache file could be written ({error}), so that every load reads all files")


def in_memory(
    files: Sequence[Path],
    name: str = "",
    notes: Sequence[str] = (),
    progress: Progress = lambda done, count: None,
    known: Mapping[str, Any] = MappingProxyType({}),
) -> Trajectories:
    """The episodes of all files, read without writing anything; they and a copy must fit into memory.

    Args:
        files: in their order.
        name: of the whole; by default those of the files.
        notes: what there is to remark on it.
        progress, known: as of `load`.

    Raises:
        DataError: as `load` does.
    """
    parts = _parts(files, None, progress, known)
    return concatenate(parts).told(_origin(files, parts, name, notes))


def _parts(
    files: Sequence[Path], scratch: Path | None, progress: Progress, known: Mapping[str, Any]
) -> list[Trajectories]:
    """What each file holds, alike in all: mapped from the file itself, or from what was made of it in ``scratch``."""
    parts: list[Trajectories] = []
    for count, file in enumerate(files):
        progress(count, len(files))
        parts.append(_part(file, scratch, known))
        _check_alike(files[0], parts[0], file, parts[-1])
    progress(len(files), len(files))
    return parts


def _part(file: Path, scratch: Path | None, known: Mapping[str, Any]) -> Trajectories:
    found = table.recognise(file)
    if not found.cached or scratch is None:
        return found.read(file, **known)
    # Where an earlier attempt was cut short, those files that it had read are not read again.
    read = cached(file, lambda path: found.read(path, **known), scratch, found.stamp(**known))
    place = place_of(file, scratch)
    if not place.is_file():
        raise OffbenchError(read.provenance.notes[-1])
    return native.load(place)


def _check_alike(first: Path, one: Trajectories, file: Path, two: Trajectories) -> None:
    """Refuse a file whose columns are not those of the first."""
    ours, theirs = one.columns(), two.columns()
    if ours.keys() != theirs.keys():
        lacking, more = sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
        what = f"lacks the column {lacking[0]}" if lacking else f"has a column {more[0]}"
        raise DataError(f"{file} {what}, unlike {first}; the files of one dataset have the same columns")
    for name, column in ours.items():
        if (column.shape[1:], column.dtype) != (theirs[name].shape[1:], theirs[name].dtype):
            raise DataError(
                f"{name} of {file} have rows of {_row(theirs[name])}, and those of {first} {_row(column)}; the "
                "files of one dataset agree in that"
            )
    kept, other = (
        np.zeros(0) if each is None else np.concatenate(each) for each in (one.action_range, two.action_range)
    )
    if not np.array_equal(kept, other):
        raise DataError(
            f"{file} declares another range of actions than {first}; the files of one dataset agree in that"
        )


def _row(column: Array) -> str:
    return f"shape {column.shape[1:]} and type {column.dtype}"


def _columns(parts: Sequence[Trajectories]) -> dict[str, Array | Pieces]:
    """The columns of the whole, each in the pieces that the parts have of it."""
    columns: dict[str, Array | Pieces] = {name: [part.columns()[name] for part in parts] for name in parts[0].columns()}
    for name in parts[0].extras:  # one row a step in some and T+1 rows an episode in others cannot be joined
        if len({len(part.extras[name]) == part.steps for part in parts}) > 1:
            columns[f"extras/{name}"] = [part.extra(name) for part in parts]
    before = np.cumsum([0, *(part.steps for part in parts)])
    starts = [part.offsets[:-1] + shift for part, shift in zip(parts, before[:-1], strict=True)]
    columns["offsets"] = np.concatenate([*starts, before[-1:]]).astype(np.int64)
    if parts[0].action_range is not None:
        columns["action_low"], columns["action_high"] = parts[0].action_range
    return columns


def _origin(files: Sequence[Path], parts: Sequence[Trajectories], name: str, notes: Sequence[str]) -> Provenance:
    """Where the whole comes from: the folder called ``name``, or the files by their names."""
    own = [part.provenance for part in parts]
    origin = mixed([replace(each, dataset=str(path)) for each, path in zip(own, files, strict=True)], notes)
    return replace(origin, dataset=name or " + ".join(_some([path.name for path in files])))


def _some(names: list[str]) -> list[str]:
    return names if len(names) <= _NAMED + 1 else [*names[:_NAMED], f"{len(names) - _NAMED} more"]
