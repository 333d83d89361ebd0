"""Which file the data of a name of D4RL come from: one that was chosen for it, or the published one."""

from __future__ import annotations

import os
import sys
import tomllib
from functools import cache
from pathlib import Path

from offbench.basis.files import cache_folder
from offbench.catalog import elsewhere
from offbench.catalog.cards import Card, File, cards
from offbench.catalog.content import Content
from offbench.catalog.loading import fetch_shown, load
from offbench.d4rl.registry import card_of
from offbench.errors import DataError, OffbenchError
from offbench.formats.hdf5_file import h5py, open_hdf5
from offbench.formats.writers import write_d4rl

_chosen: dict[str, Path] = {}


def use_file(name: str, source: str | Path) -> Path:
    """Read the data of a name from somewhere else from now on, in this process.

    Once they are asked for, it is printed where they come from and that results are unverified.

    Args:
        name: D4RL's name, ``hopper-medium-v2``.
        source: a file in D4RL's layout, which is read as it is; or any other file or id that `offbench.load` takes,
            which is written in D4RL's layout into the cache.

    Returns:
        The file that is read.

    Raises:
        UnknownNameError: D4RL has no such dataset.
        OffbenchError: there is no such file, or it is no dataset with actions and rewards.
    """
    card_of(name)
    path = Path(source).expanduser()
    if not _has_layout(path):
        path = _converted(str(source))
    _chosen[name] = path.resolve()
    return _chosen[name]


def read_mapping(path: Path) -> dict[str, str]:
    """Names and files of a TOML file with lines ``"hopper-medium-v2" = "FILE"``; relative paths are its neighbours.

    Raises:
        OffbenchError: it cannot be read, or has anything else.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise OffbenchError(f"the mapping {path} cannot be read: {error}") from error
    if not found or not all(isinstance(value, str) for value in found.values()):
        raise OffbenchError(f'the mapping {path} is wrong; lines like "hopper-medium-v2" = "FILE" would be right')
    near = {name: path.parent / Path(value).expanduser() for name, value in found.items()}
    return {name: str(near[name]) if near[name].exists() else value for name, value in found.items()}


def dataset_file(card: Card) -> Path:
    """The file of a card: the one chosen by `use_file`, else from D4RL_DATASET_DIR if it is there, else fetched.

    Raises:
        OffbenchError: the file in that folder is another one than was published, or it cannot be fetched.
    """
    if found := chosen(card):
        return found
    if os.environ.get(elsewhere.D4RL_VARIABLE) and (there := elsewhere.find(card, card.files[0])):
        return there
    return fetch_shown(card, card.files[0])


def chosen(card: Card) -> Path | None:
    """The file that was chosen for a card's name; the first time it is asked for, it is printed what it is."""
    found = _chosen.get(card.id.partition("/")[2])
    if found:
        _tell(card.id.partition("/")[2], found, card.files[0])
    return found


@cache
def _tell(name: str, path: Path, published: File) -> None:
    content = Content(published.size, published.sha256, published.md5)
    same = content.is_certain and not content.wrong(path)
    verdict = "which is the published file" if same else "which is not the published file: results are unverified"
    print(f"offbench.d4rl: {name} is read from {path}, {verdict}", file=sys.stderr)


def file_of_url(url: str) -> tuple[Card, Path] | None:
    """Card and file of the name that has this address, or an address of this last part; None where no name has."""
    last = url.rpartition("/")[2]
    cards_of_url = [each for each in cards().values() if each.id.startswith("d4rl/") and each.files[0].name == last]
    for card in cards_of_url:
        if found := chosen(card):
            return card, found
    return (cards_of_url[0], folder() / last) if cards_of_url else None


def folder() -> Path:
    """The folder that D4RL calls DATASET_PATH."""
    return Path(os.environ.get(elsewhere.D4RL_VARIABLE) or "~/.d4rl/datasets").expanduser()


def set_dataset_path(path: str | Path) -> None:
    """Look for D4RL's files in this folder first; as the variable D4RL_DATASET_DIR does."""
    os.environ[elsewhere.D4RL_VARIABLE] = str(path)


def _has_layout(path: Path) -> bool:
    if not (path.is_file() and h5py.is_hdf5(path)):
        return False
    with open_hdf5(path, "a D4RL HDF5 file") as file:
        return all(isinstance(file.get(name), h5py.Dataset) for name in ("observations", "actions", "rewards"))


def _converted(source: str) -> Path:
    """The data of a source in D4RL's layout, kept in the cache under what identifies them."""
    data = load(source)
    if not hasattr(data, "offsets"):
        raise DataError(f"{source} gives no trajectories; a script of D4RL needs observations, actions and rewards")
    place = cache_folder() / "d4rl-layout" / f"{data.digest[:32]}.hdf5"
    if not place.is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        write_d4rl(data, place)
    return place
