"""Loading a dataset by id or a file by path: one line, one type."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from offbench.catalog.cards import Card, card, cards
from offbench.data import native
from offbench.data.hdf5 import read_hdf5
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HDF5_SUFFIXES = (".hdf5", ".h5")


def load(source: str | Path, *, cache: Path | None = None) -> Trajectories:
    """A dataset by id, generated on first use and cached; or the trajectories of a file.

    Args:
        source: a dataset id (``offbench/pointmaze/stitch-v0``), or the path of an HDF5 or native file.
        cache: folder for generated datasets; by default ``$OFFBENCH_CACHE``, else the system's folder for caches.

    Raises:
        UnknownNameError: no dataset has that id; the message lists the nearest ones.
        DataError: the file does not exist or cannot be read as trajectories.
        OffbenchError: the cache folder cannot be written to.
    """
    if isinstance(source, str) and source in cards():
        return load_card(card(source), cache)
    path = Path(source).expanduser()
    if path.is_file():
        return _load_file(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a dataset or one file")
    if isinstance(source, Path) or _looks_like_path(source):
        raise DataError(f"there is no file {path}; give the path of an existing file or the id of a dataset")
    return load_card(card(source), cache)


def load_card(
    card: Card, cache: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> Trajectories:
    """The dataset of a card, from the cache or generated into it; ``progress`` hears of (episodes done, all)."""
    path = cached_path(card, cache)
    if path.is_file():
        try:
            return native.load(path)
        except DataError:
            pass  # a damaged cache file is generated anew
    # Imported here because it pulls in the simulators, which a cached dataset does not need.
    from offbench.catalog.recipes import generate

    # Two processes that generate at once write the same bytes, and the last rename wins: no lock is needed.
    native.save(generate(card, progress), path)
    return native.load(path)


def cached_path(card: Card, cache: Path | None = None) -> Path:
    """Where the generated dataset of a card is kept; the name changes with its revision and its recipe."""
    name = f"{Path(card.id).name}-r{card.revision}-{card.recipe.digest[:12]}{native.SUFFIX}"
    return (cache or native.cache_folder()) / Path(card.id).parent / name


def _load_file(path: Path) -> Trajectories:
    try:
        with path.open("rb") as file:
            signature = file.read(len(_HDF5_SIGNATURE))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if signature == _HDF5_SIGNATURE or path.suffix in _HDF5_SUFFIXES:
        return native.cached(path, read_hdf5)
    return native.load(path)


def _looks_like_path(source: str) -> bool:
    marks = (".", "~", os.sep)
    return source.startswith(marks) or "\\" in source or Path(source).suffix in (*_HDF5_SUFFIXES, native.SUFFIX, ".npz")
