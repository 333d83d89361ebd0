"""Loading a dataset by id or a file by path: one line, one type."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from offbench.basis.files import cache_folder
from offbench.catalog import store
from offbench.catalog.cards import Card, File, card, cards, read_cards
from offbench.catalog.identify import identify
from offbench.catalog.progress import Progress, shown
from offbench.catalog.single_tasks import single_task_of, with_task
from offbench.data.concatenation import concatenate
from offbench.data.trajectories import Provenance, Trajectories
from offbench.environments.task import task
from offbench.errors import DataError, OffbenchError
from offbench.formats import native, shards, table
from offbench.formats.caching import cached

_MINARI = "minari/"


def load(source: str | Path | Sequence[str | Path], *, cache: Path | None = None) -> Trajectories | Any:
    """A dataset by id, downloaded or generated on first use and cached; or the trajectories of a file.

    Args:
        source: a dataset id (``d4rl/hopper-medium-v2``, ``minari/mujoco/hopper/expert-v0``), or the path of a file or
            folder of a format in `offbench.formats.table`, of a folder of numbered files of one (or several paths, see
            `offbench.formats.shards`), or of a TOML file with one card. After a ``?`` may stand a
            split that hides actions or rewards, ``d4rl/hopper-medium-v2?actions=10%-low``: see
            `offbench.data.supervision`; or ``?labels=FILE``, comparisons in the place of rewards: see
            `offbench.formats.labels`.
        cache: folder for downloads and generated datasets; by default ``$OFFBENCH_CACHE``, else the system's folder
            for caches.

    Returns:
        Trajectories; `SemiSupervised` if a split leaves some episodes their actions, `PreferenceData` where
        comparisons stand in the place of rewards. (Any in the signature spares
        those who ask for no split a check of the type.)

    Raises:
        UnknownNameError: no dataset has that id; the message lists the nearest ones.
        DataError: the file does not exist or cannot be read as trajectories.
        OffbenchError: a download failed, or the cache folder cannot be written to.
    """
    if not isinstance(source, str | Path):
        return _load_several([Path(each).expanduser() for each in source])
    if isinstance(source, str) and is_split(source):
        # Imported here because few loads split.
        from offbench.data.supervision import apply_split
        from offbench.formats import labels

        whole, _, query = source.partition("?")
        if query.startswith(labels.KEY):
            return labels.labelled(_load(whole, cache), query.removeprefix(labels.KEY))
        return apply_split(_load(whole, cache), query)
    return _load(source, cache)


def is_split(source: str) -> bool:
    """Whether a source names a split of a dataset."""
    return "?" in source and not Path(source).exists()


def _load(source: str | Path, cache: Path | None) -> Trajectories:
    if minari := _local_minari(source):
        from offbench.catalog.minari_remote import load_minari

        return load_minari(minari, (cache or cache_folder()) / source)
    if isinstance(source, str) and (variant := single_task_of(source)):
        whole, number = variant
        return with_task(load_card(whole, cache), whole, source, number)
    found = find(source)
    return load_card(found, cache) if isinstance(found, Card) else _load_path(found)


def _load_path(path: Path) -> Trajectories:
    """The trajectories of a file or folder, with what its card says where it is a card's by content or by name."""
    found = identify(path)
    if found is None:
        return _load_several(path)
    card, same = found
    if same:
        limit = task(card.task).episode_limit if card.task else None
        told = f"read from {path.name}, which by its checksum is the file of {card.id}"
        return _described(table.load(path, episode_limit=limit), card).noted(told)
    told = f"its name is that of a file of {card.id}, and its content is another"
    return table.load(path).noted(told, like=card.id)


def _load_several(paths: Path | list[Path]) -> Trajectories:
    """The trajectories of a file, of a folder, which may be of many files, or of several of these."""
    for path in paths if isinstance(paths, list) else []:
        if not path.exists():
            raise DataError(f"there is no file {path}; give the paths of existing files")
    if isinstance(paths, Path) and not paths.is_dir():
        return table.load(paths)
    name = paths.name if isinstance(paths, Path) else f"{len(paths)} files"
    with shown(name, "files") as tell:
        return shards.load(paths, tell)


def find(source: str | Path) -> Card | Path:
    """What a source names: a card by its id or its TOML file, or else the path of a file or folder that exists.

    An id of one of OGBench's single tasks names the card of the dataset that it is made of.

    A dataset that has no card and that Minari has on this machine is the folder where Minari keeps it.

    Raises:
        UnknownNameError: no dataset has that id.
        DataError: it looks like a path, and nothing is there.
    """
    if isinstance(source, str) and source in cards():
        return card(source)
    if isinstance(source, str) and (variant := single_task_of(source)):
        return variant[0]
    path = Path(source).expanduser()
    if path.exists():
        return card_of(path) if path.suffix == ".toml" and path.is_file() else path
    if isinstance(source, Path) or _looks_like_path(source):
        raise DataError(f"there is no file {path}; give the path of an existing file or the id of a dataset")
    if minari := _local_minari(source):
        from offbench.catalog.minari_remote import local_folder

        return local_folder(minari)
    return card(source)


def _local_minari(source: str | Path) -> str:
    """The id in Minari of a source that has no card and is on this machine, empty for all other sources."""
    if not isinstance(source, str) or not source.startswith(_MINARI) or source in cards() or Path(source).exists():
        return ""
    from offbench.catalog.minari_remote import is_local

    name = source.removeprefix(_MINARI)
    return name if is_local(name) else ""


def load_card(card: Card, cache: Path | None = None, progress: Progress | None = None) -> Trajectories:
    """The dataset of a card, from the cache or fetched into it.

    Args:
        card: which dataset.
        cache: cache folder, the usual one if None.
        progress: hears of (episodes done, all) of a recipe and of (bytes done, all) of a download, which otherwise
            shows its own progress.
    """
    if card.recipe is not None:
        trajectories = _load_generated(card, cache, progress)
    elif card.minari is not None:
        from offbench.catalog.minari_remote import load_minari

        trajectories = load_minari(card.minari, store.folder(card, cache), card.observation)
    else:
        parts = [_load_part(card, file, cache, progress) for file in card.files]
        trajectories = parts[0] if len(parts) == 1 else concatenate(parts)
    return _described(trajectories, card)


def card_of(path: Path) -> Card:
    """The only card of a TOML file, which shares no cached file with any other card.

    Raises:
        OffbenchError: the file is wrong, or holds several cards.
    """
    found = read_cards(path)
    if len(found) != 1:
        raise OffbenchError(f"{path} holds {len(found)} cards; a card that is loaded by its path stands alone")
    return found[0].model_copy(update={"own": True})


def _described(trajectories: Trajectories, card: Card) -> Trajectories:
    """With the card's id, revision, task and known defects as provenance."""
    if card.steps is not None and trajectories.steps != card.steps:
        raise DataError(f"{card.id} has {trajectories.steps} steps; its card says {card.steps}")
    unsure = [file.name for file in card.files if file.sha256 is None and file.md5 is None]
    remarks = [f"no checksum of {name} was published; that of the first download counts" for name in unsure]
    notes = dict.fromkeys([*trajectories.provenance.notes, *card.known_defects, *remarks])
    provenance = Provenance(card.id, card.revision, card.task, tuple(notes), card.like or card.id)
    return trajectories.told(provenance)


def _load_generated(card: Card, cache: Path | None, progress: Progress | None) -> Trajectories:
    path = store.generated_path(card, cache)
    if path.is_file():
        try:
            return native.load(path)
        except DataError:
            pass  # a damaged cache file is generated anew
    # Imported here because it pulls in the simulators, which a cached dataset does not need.
    from offbench.catalog.generated import generate

    # Two processes that generate at once write the same bytes, and the last rename wins: no lock is needed.
    native.save(generate(card, progress), path)
    return native.load(path)


def _load_part(card: Card, file: File, cache: Path | None, progress: Progress | None) -> Trajectories:
    """The trajectories of one file of a card: mapped if it was read before, else fetched, verified and read."""
    assert card.reader is not None
    path, reader = fetch_shown(card, file, cache, progress), table.named(card.reader)
    limit = task(card.task).episode_limit if card.task else None

    def verified(path: Path) -> Trajectories:
        fetch_shown(card, file, cache, progress, verify=True)
        read = reader.read(path, episode_limit=limit, verify=True)
        store.record_checksum(card, file, cache)
        return read

    if reader.cached:
        return cached(path, verified, options=reader.stamp(episode_limit=limit))
    try:
        read = reader.read(path, episode_limit=limit)
    except DataError:
        return verified(path)
    store.record_checksum(card, file, cache)
    return read


def fetch_shown(
    card: Card, file: File, cache: Path | None = None, progress: Progress | None = None, verify: bool = False
) -> Path:
    """`store.fetch_file`, which shows its progress unless somebody else does."""
    if progress is not None:
        return store.fetch_file(card, file, cache, progress, verify)
    with shown(file.name, "bytes") as tell:
        return store.fetch_file(card, file, cache, tell, verify)


def _looks_like_path(source: str) -> bool:
    marks = (".", "~", os.sep)
    return source.startswith(marks) or "\\" in source or source.endswith((*table.suffixes(), ".toml"))
