"""What a check is: a function of its subject that returns nothing, or raises what it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class BrokenError(Exception):
    """What an algorithm does wrong, in one sentence."""


class NotCheckedError(Exception):
    """Why a check says nothing here."""


@dataclass(frozen=True)
class Check:
    """A check by name, with the names of those that must pass first."""

    name: str
    run: Callable[[Any], None]
    needs: tuple[str, ...] = ()


def require(right: bool, sentence: str) -> None:
    """Raise `BrokenError` with the sentence unless ``right``."""
    if not right:
        raise BrokenError(sentence)
