"""Where the cache keeps what belongs to a card: downloaded files, recorded checksums, native files.

Below the cache folder, ``<id>-r<revision>/`` holds the files of a card under their own names, with the native file that
was made of each beside it. A checksum that nobody published is recorded as ``<name>.sha256`` once the file was read.
Cards that are no part of offbench have a folder of their own, ``own/<digest of the card>/``: whatever their ids are,
they share no file with another card.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from offbench.basis.files import atomic, cache_folder
from offbench.catalog import elsewhere
from offbench.catalog.cards import Card, File
from offbench.catalog.content import Content, digest
from offbench.catalog.download import fetch
from offbench.catalog.progress import Progress
from offbench.errors import OffbenchError
from offbench.formats import native

_RECORD = ".sha256"


def folder(card: Card, cache: Path | None = None) -> Path:
    """The card's own folder in the cache."""
    return _root(card, cache) / f"{card.id}-r{card.revision}"


def _root(card: Card, cache: Path | None) -> Path:
    root = cache or cache_folder()
    return root / "own" / card.own_digest if card.own else root


def generated_path(card: Card, cache: Path | None = None) -> Path:
    """Where a generated dataset is kept; the name changes with its revision and its recipe."""
    assert card.recipe is not None
    name = f"{Path(card.id).name}-r{card.revision}-{card.recipe.digest[:12]}{native.SUFFIX}"
    return _root(card, cache) / Path(card.id).parent / name


def source_paths(card: Card, cache: Path | None = None) -> list[Path]:
    """Where the downloaded files of a card are, or will be."""
    return [folder(card, cache) / file.name for file in card.files]


def is_cached(card: Card, cache: Path | None = None) -> bool:
    """Whether loading needs neither a download nor a recipe."""
    if card.recipe is not None:
        return generated_path(card, cache).is_file()
    if card.minari is not None:
        return any(folder(card, cache).glob(f"*{native.SUFFIX}"))
    return all(path.is_file() for path in source_paths(card, cache))


def fetch_file(
    card: Card,
    file: File,
    cache: Path | None = None,
    progress: Progress = lambda done, size: None,
    verify: bool = False,
) -> Path:
    """A file of a card in the cache, downloaded unless it is there or where another library keeps it.

    Args:
        card: whose file it is.
        file: which.
        cache: cache folder, the usual one if None.
        progress: hears of bytes done and all.
        verify: whether to check a file that is there; one that is damaged is downloaded anew.

    Raises:
        OffbenchError: it cannot be downloaded, or is not what it should be (both checksums are named); the message ends
            with what else can be done.
    """
    path = folder(card, cache) / file.name
    recorded = recorded_checksum(path)
    content = Content(file.size, file.sha256 or recorded, file.md5)
    if verify and path.is_file() and content.wrong(path):
        path.unlink()
    if not path.is_file() and (found := elsewhere.find(card, file)):
        _refer(path, found)
    try:
        return fetch(file.urls, path, content, progress)
    except OffbenchError as error:
        raise OffbenchError(f"{error}; {elsewhere.ways_out(card, file, path)}") from error


def _refer(path: Path, found: Path) -> None:
    """Make a file that lies elsewhere one of the cache, without a second copy of its bytes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # of a file that was there once
        path.symlink_to(found)
    except OSError:
        with atomic(path) as temporary:
            shutil.copyfile(found, temporary)


def record_checksum(card: Card, file: File, cache: Path | None = None) -> None:
    """Record the checksum of a file whose publisher gives none, to be called once it was read: it counts from then on.

    One that is recorded already stays.
    """
    path = folder(card, cache) / file.name
    if file.sha256 is None and recorded_checksum(path) is None:
        with atomic(_record(path)) as temporary:
            temporary.write_text(f"{digest(path)}  {file.name}\n")


def recorded_checksum(path: Path) -> str | None:
    """The sha256 that a file had when it was first downloaded, in hexadecimal digits."""
    try:
        words = _record(path).read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return None
    return words[0] if words and len(words[0]) == 64 else None


def remove(card: Card, cache: Path | None = None) -> list[Path]:
    """Delete what the cache holds of a card, all revisions included, and say what that was.

    Recorded checksums stay, so that a later download is compared with the first. Nothing outside the cache is touched;
    Minari keeps its own files.
    """
    parent = folder(card, cache).parent
    stem = Path(card.id).name
    removed: list[Path] = []
    for entry in sorted(parent.glob(f"{stem}-r*")):
        revision = entry.name.removeprefix(f"{stem}-r").partition("-")[0].partition(".")[0]
        if not revision.isdigit():
            continue  # another dataset whose name begins alike
        if entry.is_symlink() or entry.is_file():
            entry.unlink()
            removed.append(entry)
            continue
        for inner in sorted(entry.iterdir()):
            if inner.name.endswith(_RECORD):
                continue
            if inner.is_dir() and not inner.is_symlink():
                shutil.rmtree(inner)
            else:
                inner.unlink()
            removed.append(inner)
        if not any(entry.iterdir()):
            entry.rmdir()
    return removed


def _record(path: Path) -> Path:
    return path.with_name(path.name + _RECORD)
