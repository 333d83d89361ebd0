"""Dataset cards: what a dataset is called, what it holds and how it comes about.

Cards are data: TOML files under ``datasets/<family>/``, which a person edits. A file is one card, or a family of them::

    licence = "CC-BY-4.0"                     # what stands here holds for every dataset of the file ...
    address = "http://host/folder/"           # ... and relative addresses of files are completed with this
    mirrors = ["https://other/folder/"]       # second hosts of those files that have a checksum, each in one folder
    known_defects = ["holds for all"]         # each dataset's own defects are added to these

    [[dataset]]
    id = "d4rl/hopper-medium-v2"
    files = [{ url = "hopper_medium-v2.hdf5", size = 152756557, sha256 = "..." }]

A change that alters the data needs a new revision, and results on different revisions are not mixed.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urljoin, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from offbench.basis.resources import resources
from offbench.errors import OffbenchError, UnknownNameError
from offbench.formats import table as formats
from offbench.generation.recipe import Recipe


def _reader(name: str) -> str:
    """The name of a format whose files are datasets by themselves."""
    single = [each.name for each in formats.FORMATS if each.content == "trajectories" and each.alone]
    if name not in single:
        raise ValueError(f"{name!r} is no format of single files of trajectories; {', '.join(single)} are")
    return name


Reader = Annotated[str, AfterValidator(_reader)]

_SCHEMES = ("http", "https", "file", "hf")
# A branch moves, a commit does not; only the latter makes a card mean the same data for ever.
_PINNED = re.compile(r"^hf://datasets/[^/@]+/[^/@]+@[0-9a-f]{40}/.+$")
_FILE_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.+=-]*$")


class File(BaseModel):
    """A published file.

    Attributes:
        url: http, https, file, or ``hf://datasets/OWNER/NAME@COMMIT/PATH`` with the 40 digits of a commit.
        mirrors: further addresses of the same bytes.
        size: in bytes, where published.
        sha256: where published; otherwise that of the first download is recorded and checked from then on.
        md5: where the publisher gives that instead.
        name: what it is called in the cache; by default the last part of the address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    mirrors: tuple[str, ...] = ()
    size: int | None = Field(default=None, gt=0)
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    md5: str | None = Field(default=None, pattern="^[0-9a-f]{32}$")
    name: str = ""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, table: Any) -> Any:
        if isinstance(table, dict) and isinstance(table.get("url"), str) and "name" not in table:
            return {**table, "name": unquote(urlsplit(table["url"]).path).rpartition("/")[2]}
        return table

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not _FILE_NAME.match(name):
            raise ValueError(f"{name!r} is no plain file name; give one of letters, digits and _ . + = -")
        return name

    @model_validator(mode="after")
    def _addresses(self) -> File:
        for url in self.urls:
            scheme = urlsplit(url).scheme
            if scheme not in _SCHEMES:
                raise ValueError(f"{url} is no address of the kinds {', '.join(_SCHEMES)}")
            if scheme == "hf" and not _PINNED.match(url):
                raise ValueError(f"{url} has no pinned revision; hf://datasets/OWNER/NAME@COMMIT/PATH would be right")
        return self

    @property
    def urls(self) -> tuple[str, ...]:
        """Address and mirrors, in the order in which they are tried."""
        return (self.url, *self.mirrors)


class Card(BaseModel):
    """One dataset. It comes from exactly one of ``files``, ``minari`` and ``recipe``.

    Attributes:
        id: ``d4rl/hopper-medium-v2``.
        revision: counts changes of the data, from 1.
        task: name of the task in which a policy trained on it is scored, with its reference scores; absent where no
            reference scores are known.
        environment: Gymnasium id of the environment it was recorded in, where that is no task.
        steps: number of steps of all episodes together, where known from the data.
        mean_return: of the complete episodes, as somebody counted them in the published files.
        description: one sentence.
        files: what is downloaded; the episodes of several files follow one another.
        reader: the format of the files.
        minari: id in Minari, from where the minari library downloads it.
        observation: entries of a dictionary of observations that are joined, for data of Minari; see `read_minari`.
        recipe: how it is generated.
        licence: SPDX name.
        citation: the publication to cite.
        known_defects: what is wrong with the data or unlike what one would expect, one sentence each.
        like: id of the published dataset that it is made after, whose presets it takes.
        own: whether it is somebody's own and no part of offbench; said by where it was found, not by the card.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)+$")
    revision: int = Field(default=1, gt=0)
    task: str | None = None
    environment: str | None = None
    steps: int | None = Field(default=None, gt=0)
    mean_return: float | None = None
    description: str
    files: tuple[File, ...] = ()
    reader: Reader | None = None
    minari: str | None = None
    observation: tuple[str, ...] = ()
    recipe: Recipe | None = None
    licence: str | None = None
    citation: str | None = None
    known_defects: tuple[str, ...] = ()
    like: str | None = None
    own: bool = Field(default=False, exclude=True)

    @property
    def own_digest(self) -> str:
        """What tells the cached files of own cards apart: their content."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    @model_validator(mode="after")
    def _one_origin(self) -> Card:
        given = [name for name in ("files", "minari", "recipe") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"a dataset comes from one of files, minari and recipe, not from {given or 'none'}")
        if bool(self.files) != (self.reader is not None):
            raise ValueError("reader says what format the files have: give it with files and only then")
        if self.observation and not self.minari:
            raise ValueError("observation chooses entries of dictionaries, which only data of Minari have")
        if self.recipe and (self.task is None or (self.recipe.episodes and self.steps is None)):
            raise ValueError("a recipe needs the task in which it is recorded and the steps of its episodes")
        if len({file.name for file in self.files}) < len(self.files):
            raise ValueError("two files have the same name; give them different ones")
        return self


def read_cards(path: Path) -> list[Card]:
    """The cards of a TOML file, in its order.

    Raises:
        OffbenchError: the file is no TOML, or a field is missing, unknown or wrong; file, dataset and field are named.
    """
    try:
        shared = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # a number of too many digits is a ValueError
        raise OffbenchError(f"the card {path} cannot be read: {error}") from error
    tables = shared.pop("dataset", [{}])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise OffbenchError(f"the card {path} is wrong: dataset: every dataset starts with a line [[dataset]]")
    address, hosts = shared.pop("address", ""), shared.pop("mirrors", [])
    if not isinstance(hosts, list) or not all(isinstance(host, str) and host.endswith("/") for host in hosts):
        raise OffbenchError(f"the card {path} is wrong: mirrors: a list of addresses that end in / would be right")
    found = []
    for table in tables:
        if "own" in shared or "own" in table:
            raise OffbenchError(f"the card {path} is wrong: own: cards have no such field")
        merged = _mirrored(_complete({**shared, **table}, shared, table, address), hosts)
        try:
            found.append(Card.model_validate(merged))
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'card'}: {e['msg'].removeprefix('Value error, ')}"
                for e in error.errors(include_url=False)
            )
            where = f" of dataset {table['id']}" if "id" in table and len(tables) > 1 else ""
            raise OffbenchError(f"the card {path} is wrong: {wrong}{where}") from error
    return found


def _complete(merged: dict[str, Any], shared: dict[str, Any], table: dict[str, Any], address: Any) -> dict[str, Any]:
    """A dataset's table with the defects of the whole file and absolute addresses; wrong types stay for the check."""
    defects = [each.get("known_defects", []) for each in (shared, table)]
    if any(defects) and all(isinstance(each, list) for each in defects):
        merged["known_defects"] = defects[0] + defects[1]
    files = merged.get("files")
    if isinstance(address, str) and address and isinstance(files, list):
        merged["files"] = [
            {**file, "url": urljoin(address, file["url"])}
            if isinstance(file, dict) and isinstance(file.get("url"), str)
            else file
            for file in files
        ]
    return merged


def _mirrored(merged: dict[str, Any], hosts: list[str]) -> dict[str, Any]:
    """A dataset's table with further hosts of its files, after those that a file names itself.

    Where no checksum was published nothing tells whether a second host has the same bytes: such files have none.
    """
    files = merged.get("files")
    if hosts and isinstance(files, list):
        merged["files"] = [
            {**file, "mirrors": [*file.get("mirrors", []), *(host + _last_part(file["url"]) for host in hosts)]}
            if isinstance(file, dict) and isinstance(file.get("url"), str) and (file.get("sha256") or file.get("md5"))
            else file
            for file in files
        ]
    return merged


def _last_part(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


@cache
def cards() -> dict[str, Card]:
    """All cards by id, sorted.

    Raises:
        OffbenchError: a card cannot be read, or two have the same id.
    """
    found: dict[str, Card] = {}
    for path in sorted(resources().glob("*/*.toml")):
        for card in read_cards(path):
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
