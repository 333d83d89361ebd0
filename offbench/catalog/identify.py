"""Which card a file on disk belongs to: by its content, or, where that is another, by its published name."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path

from offbench.catalog.cards import Card, File, cards
from offbench.catalog.content import Content


def identify(path: Path) -> tuple[Card, bool] | None:
    """(card, whether the content is that of the card's file) of a file; None where neither content nor name is known.

    The checksum is computed only where a card has a file of this very size.
    """
    if not path.is_file():
        return None
    state = path.stat()
    for card, file in _single_files():
        known = Content(file.size, file.sha256, file.md5)
        if (
            file.size == state.st_size
            and known.is_certain
            and _holds(path, known, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        ):
            return card, True
    return next(((card, False) for card, file in _single_files() if file.name == path.name), None)


def published(source: str) -> str:
    """The dataset whose published settings a source takes (`Provenance.like`), an id or a path; empty for none."""
    name = source.partition("?")[0]
    if name in cards():
        return cards()[name].like or name
    found = identify(Path(name).expanduser())
    return "" if found is None else found[0].like or found[0].id


@cache
def _single_files() -> tuple[tuple[Card, File], ...]:
    """The cards that are one file, each with it: several are no dataset one by one."""
    return tuple((card, card.files[0]) for card in cards().values() if len(card.files) == 1)


@lru_cache(maxsize=64)
def _holds(path: Path, known: Content, *state: int) -> bool:
    """Whether a file has this content; ``state`` (both times, inode) tells a changed file from the one seen before."""
    return not known.wrong(path)
