"""Dataset cards: what a dataset is called, what it holds and how it comes about.

Cards are data: TOML files under ``datasets/<family>/``, which a person edits. A change that alters the data needs a
new revision, and results on different revisions are not mixed.
"""

from __future__ import annotations

import hashlib
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from offbench.data.resources import resources
from offbench.errors import OffbenchError, UnknownNameError


class Recipe(BaseModel):
    """How a dataset is generated.

    Attributes:
        name: a function of `offbench.catalog.recipes`.
        seed: the same seed gives the same data.
        episodes: how many are recorded.
        arguments: what else the function takes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    seed: int = Field(ge=0)
    episodes: int = Field(gt=0)
    arguments: dict[str, Any] = {}

    @property
    def digest(self) -> str:
        """SHA-256 of all fields: equal recipes, equal digest."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class Card(BaseModel):
    """One dataset.

    Attributes:
        id: ``offbench/pointmaze/stitch-v0``.
        revision: counts changes of the data, from 1.
        task: name of the task in which a policy trained on it is scored.
        steps: number of steps of all episodes together.
        description: one sentence.
        recipe: how it is generated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)+$")
    revision: int = Field(gt=0)
    task: str
    steps: int = Field(gt=0)
    description: str
    recipe: Recipe


def read_card(path: Path) -> Card:
    """The card in a TOML file.

    Raises:
        OffbenchError: the file is no TOML, or a field is missing, unknown or wrong; file and field are named.
    """
    try:
        return Card.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OffbenchError(f"the card {path} cannot be read: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
        raise OffbenchError(f"the card {path} is wrong: {wrong}") from error


@cache
def cards() -> dict[str, Card]:
    """All cards by id, sorted.

    Raises:
        OffbenchError: a card cannot be read, or two have the same id.
    """
    found: dict[str, Card] = {}
    for path in sorted(resources().glob("*/*.toml")):
        card = read_card(path)
        if card.id in found:
            raise OffbenchError(f"the card {path} has the id {card.id}, which another card has already")
        found[card.id] = card
    return dict(sorted(found.items()))


def card(dataset: str) -> Card:
    """The card of a dataset id.

    Raises:
        UnknownNameError: no dataset has that id; the message lists the nearest ones.
    """
    if dataset not in cards():
        raise UnknownNameError("dataset", dataset, cards(), hint="offbench data list shows all")
    return cards()[dataset]
