"""Reading what d3rlpy's ``ReplayBuffer.dump`` writes: HDF5 with ``observations_0``, ``actions_0`` and so on.

Layout (d3rlpy 2, dataset/io.py, version 2.1): ``columns`` (names), ``num_episodes``, ``version``, and of each episode i
``observations_i`` (T, ...), ``actions_i`` (T, action), ``rewards_i`` (T, 1) and ``terminated_i``, whether its last step
terminated. The final observation is not kept. Observations of several parts are ``observations_i_j``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.formats.episodes import Episode, from_episodes, numbered
from offbench.formats.hdf5_file import check_sizes, h5py, is_column, items, open_hdf5, values
from offbench.formats.source import Source

_KIND = "an HDF5 file of d3rlpy's ReplayBuffer.dump"
_COLUMNS = ("observations", "actions", "rewards")


def recognises(source: Source) -> bool:
    """Whether an HDF5 file has d3rlpy's columns with a number each."""
    names = set(source.names)
    return {"columns", "num_episodes"} <= names and bool(numbered(source.names, "actions_"))


def read_d3rlpy(path: Path | str) -> Trajectories:
    """The trajectories of a file that d3rlpy 2 dumped; an episode that did not terminate was truncated.

    Args:
        path: the file.

    Raises:
        DataError: the file is missing, damaged, holds other numbers of episodes than it says, or observations of
            several parts.
    """
    path = Path(path)
    with open_hdf5(path, _KIND) as file:
        found = dict(items(path, file, ""))
        numbers = [int(name.removeprefix("actions_")) for name in numbered(list(found), "actions_")]
        told = found["num_episodes"]
        count = int(told[()]) if isinstance(told, h5py.Dataset) and told.shape == () else -1
        if numbers != list(range(count)):
            raise DataError(f"{path} has actions of {len(numbers)} episodes and says {count}; dump it anew")
        wanted = {f"{name}_{number}" for number in numbers for name in _COLUMNS}
        absent = sorted(name for name in wanted if not is_column(found.get(name)))
        if absent:
            several = " (observations of several parts are not read)" if f"{absent[0]}_0" in found else ""
            raise DataError(f"{path} has no column {absent[0]}{several}; dump one array of observations")
        check_sizes(path, {name: found[name] for name in wanted})
        episodes = [
            Episode(
                name=f"episode {number}",
                observations=values(found[f"observations_{number}"]),
                final=None,
                steps={name: values(found[f"{name}_{number}"]) for name in _COLUMNS[1:]},
                terminations=_terminations(path, found, number),
            )
            for number in numbers
        ]
    known = {"columns", "num_episodes", "version", *wanted} | {f"terminated_{number}" for number in numbers}
    return from_episodes(path, episodes, [], {repr(name) for name in found.keys() - known})


def _terminations(path: Path, found: dict[str, object], number: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(T,) where the last step terminated."""
    flag, rows = found.get(f"terminated_{number}"), len(found[f"actions_{number}"])  # type: ignore[arg-type]
    if not isinstance(flag, h5py.Dataset) or flag.shape != () or flag[()] not in (0, 1):
        raise DataError(f"{path} does not say by 0 or 1 whether episode {number} terminated; dump it anew")
    terminations = np.zeros(rows, dtype=bool)
    terminations[rows - 1 :] = bool(flag[()])
    return terminations
