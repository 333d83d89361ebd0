"""Errors that a user can act on: one sentence saying what is wrong, where, and what would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from itertools import groupby


class OffbenchError(ValueError):
    """Anything a user did or was given that offbench cannot work with; the command line shows it without traceback."""


class DataError(OffbenchError):
    """Data that cannot be used as it is."""


class UnwritableError(OffbenchError):
    """A file that cannot be written, as the disk is full or the folder may not be written to; nothing else changed."""


class UnknownNameError(OffbenchError):
    """A name that is not registered; the message lists the nearest ones, of several versions the newest first."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        nearest = _nearest(name, known) or known[:8]
        listed = f"; nearest: {', '.join(nearest)}" if nearest else ""
        super().__init__(f"there is no {kind} named {name!r}{listed}{'; ' + hint if hint else ''}")


_VERSION = re.compile(r"-?v(\d+)$")
_FAR = 0.4  # likeness below which a name is none of the nearest


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    """The three names most like this one; those that hold all its words come before those that are only spelt alike.

    Of several versions of a name the newest stands for all, with that which was asked for, unless that alone is wrong.
    """
    wanted, asked = _versioned(name.lower())
    words = [word for word in _WORDS.split(wanted) if word]
    found = []
    for each in known:
        stem, version = _versioned(each.lower())
        likeness = difflib.SequenceMatcher(None, wanted, stem).ratio()
        named = bool(words) and set(words) <= set(_WORDS.split(stem))
        if named or likeness >= _FAR:
            # Names in small letters are offbench's own; others may be aliases of them.
            found.append((-named - likeness, stem, -version, each != each.lower(), each))
    found.sort()
    same = [each for _, stem, *_, each in found if stem == wanted]
    if same:
        return same[:3]
    best: list[str] = []
    for _, group in groupby(found, key=lambda one: one[:2]):
        versions = list(group)
        best += dict.fromkeys([versions[0][-1], *(each for *_, version, _, each in versions if -version == asked)])
    return best[:3]


_WORDS = re.compile(r"[^a-z0-9]+")


def _versioned(name: str) -> tuple[str, int]:
    """A name without its version, and that; -1 if it has none."""
    match = _VERSION.search(name)
    return (name[: match.start()], int(match[1])) if match else (name, -1)
