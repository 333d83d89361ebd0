"""Reading robomimic's HDF5 files: ``data/demo_0``, ``data/demo_1`` and so on, one group a demonstration.

Layout (https://robomimic.github.io/docs/datasets/overview.html): in each group ``actions`` (T, action), ``rewards``
(T,), ``dones`` (T,), ``states`` (T, state), and below ``obs`` and ``next_obs`` one dataset (T, ...) an entry of the
observation. Files that were not post-processed have no ``obs``; robomimic's dataset_states_to_obs.py makes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.formats.episodes import Episode, from_episodes, joined_entries, numbered
from offbench.formats.hdf5_file import below, check_sizes, h5py, is_column, open_hdf5, values
from offbench.formats.rows import flags
from offbench.formats.source import Source

_KIND = "an HDF5 file of robomimic"
_STEPS = ("actions", "rewards")


def recognises(source: Source) -> bool:
    """Whether an HDF5 file has demonstrations in a group ``data``."""
    if "data" not in source.names:
        return False
    with open_hdf5(source.path, _KIND) as file:
        return isinstance(file["data"], h5py.Group) and bool(numbered(list(file["data"]), "demo_"))


def read_robomimic(path: Path | str) -> Trajectories:
    """The trajectories of a robomimic file.

    Observations are the entries of ``obs`` that are vectors, joined by name; pictures are left out. ``dones`` are
    terminations, as robomimic's own learners take them; a demonstration that ends without one was truncated. Further
    columns, the simulator's ``states`` among them, are extras.

    Args:
        path: the file.

    Raises:
        DataError: the file is missing, damaged, has no observations, or columns of unequal length.
    """
    path = Path(path)
    unread: set[str] = set()
    with open_hdf5(path, _KIND) as file:
        names = numbered(list(file["data"]), "demo_")
        unread |= {repr(name) for name in file if name != "data"}
        notes = ["dones are taken for terminations, as robomimic takes them"]
        episodes = [_episode(path, name, file["data"][name], unread, notes) for name in names]
    return from_episodes(path, episodes, list(dict.fromkeys(notes)), unread)


def _episode(path: Path, name: str, group: Any, unread: set[str], notes: list[str]) -> Episode:
    found = below(path, group, "", set())
    columns = {key: item for key, item in found.items() if is_column(item)}
    unread |= {repr(key) for key in found.keys() - columns.keys()}
    check_sizes(path, columns)
    arrays = {key: values(item) for key, item in columns.items()}
    entries = {key.removeprefix("obs/"): arrays.pop(key) for key in list(arrays) if key.startswith("obs/")}
    following = {key.removeprefix("next_obs/"): arrays.pop(key) for key in list(arrays) if key.startswith("next_obs/")}
    if not entries or "actions" not in arrays:
        raise DataError(
            f"{name} of {path} has no {'actions' if entries else 'obs'}; robomimic's dataset_states_to_obs.py adds "
            "observations to a file of states"
        )
    observations, used = joined_entries(entries, unread)
    if not used:
        raise DataError(f"the observations of {name} of {path} are pictures alone; one entry of numbers would be right")
    notes.append(f"observations are {', '.join(used)}, joined in this order")
    final = None
    if all(entry in following and len(following[entry]) == len(observations) for entry in used):
        final = joined_entries({entry: following[entry] for entry in used}, set())[0][-1]
    steps = {key: arrays.pop(key) for key in _STEPS if key in arrays}
    dones: Array = arrays.pop("dones", np.zeros(len(observations), dtype=bool)).reshape(-1)
    return Episode(name, observations, final, steps, flags(path, f"dones of {name}", dones), extras=arrays)
