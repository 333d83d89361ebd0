"""Errors that a user can act on: one sentence saying what is wrong, where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OffbenchError(ValueError):
    """Anything a user did or was given that offbench cannot work with; the command line shows it without traceback."""


class DataError(OffbenchError):
    """Data that cannot be used as it is."""


class UnknownNameError(OffbenchError):
    """A name that is not registered; the message lists the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name.lower(), [k.lower() for k in known], n=3, cutoff=0.4)
        nearest = [k for k in known if k.lower() in near] or known[:8]
        listed = f"; nearest: {', '.join(nearest)}" if nearest else ""
        super().__init__(f"there is no {kind} named {name!r}{listed}{'; ' + hint if hint else ''}")
