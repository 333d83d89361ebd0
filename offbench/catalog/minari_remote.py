"""Minari datasets by id, through the minari library, which downloads them and keeps them in its own folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import minari
from minari.storage.datasets_root_dir import get_dataset_path

from offbench.basis.locks import locked
from offbench.catalog.download import is_offline
from offbench.data.trajectories import Trajectories
from offbench.errors import OffbenchError
from offbench.formats.caching import cached
from offbench.formats.minari_format import read_minari
from offbench.formats.table import named


def is_local(name: str) -> bool:
    """Whether Minari has a dataset of that id on this machine."""
    return (local_folder(name) / "data").is_dir()


def local_folder(name: str) -> Path:
    """Where Minari keeps a dataset of that id (below MINARI_DATASETS_PATH, else ~/.minari), there or not."""
    return Path(get_dataset_path(name))


def load_minari(name: str, folder: Path, observation: tuple[str, ...] = ()) -> Trajectories:
    """A Minari dataset, downloaded by the minari library unless it is there, and cached as a native file.

    Args:
        name: Minari's id, ``mujoco/hopper/expert-v0``.
        folder: where the native file goes.
        observation: entries of a dictionary of observations that are joined; see `read_minari`.

    Raises:
        OffbenchError: it cannot be downloaded, or OFFBENCH_OFFLINE is set.
        DataError: its files contradict their metadata.
    """
    if not is_local(name):
        _download(name, folder)
    data = local_folder(name) / "data"
    options = named("minari").stamp(observation=observation)
    return cached(data, lambda path: read_minari(path, observation), folder, options)


def _download(name: str, folder: Path) -> None:
    if is_offline():
        raise OffbenchError(f"the Minari dataset {name} is not there and OFFBENCH_OFFLINE is set; unset it to download")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / "minari.lock"):
            if not is_local(name):
                download: Any = minari.download_dataset
                download(name)
    except Exception as error:  # the library lets through whatever its many remotes raise
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise OffbenchError(f"the minari library could not download {name}: {reason}") from error
