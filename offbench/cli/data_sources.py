"""What the commands below ``offbench data`` are given: ids of datasets, and files of data or of cards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from offbench.catalog.cards import Card, card
from offbench.catalog.loading import card_of, load
from offbench.data.trajectories import Trajectories
from offbench.errors import OffbenchError

Ids = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="ID [ID ...]")]
Id = Annotated[str, tyro.conf.Positional]


def card_named(id: str) -> Card:
    """The card of an id, or of a TOML file."""
    return card_of(Path(id)) if id.endswith(".toml") else card(id)


def cards_named(ids: Sequence[str], what: str) -> list[Card]:
    """All cards before any work, so that a misspelt id stops it at once."""
    if not ids:
        raise OffbenchError(f"name at least one dataset to {what}; offbench data list shows all")
    return [card_named(id) for id in ids]


def whole(source: str) -> Trajectories:
    """The trajectories of an id or a path, which must not be split in two."""
    loaded = load(source)
    if not isinstance(loaded, Trajectories):
        raise OffbenchError(f"{source} has two parts, with and without actions; name a dataset of one part")
    return loaded
