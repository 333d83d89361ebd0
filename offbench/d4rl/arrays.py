"""D4RL's flat arrays, and its two loaders, row for row.

A dataset is a dictionary of arrays, N rows that hold one episode after the other::

    observations (N, observation)   actions (N, action)   rewards (N,)   terminals, timeouts (N,)   infos/* (N, ...)

The loaders do what those of https://github.com/Farama-Foundation/D4RL (d4rl/__init__.py) do, oddities included, so that
numbers made with them can be compared: `offbench.load` is what new code should use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, OffbenchError
from offbench.formats.hdf5_file import below, check_sizes, h5py, open_hdf5, values

_NEEDED = ("observations", "actions", "rewards", "terminals")


def read_arrays(path: Path | str) -> dict[str, Any]:
    """Every array and single value of a D4RL file by its path in it, in the dtype of the file.

    As in D4RL, rewards and terminals of shape (N, 1) become (N,). Texts are bytes.

    Raises:
        DataError: the file is missing, no HDF5, damaged, reaches outside itself, or lacks one of observations,
            actions, rewards and terminals.
    """
    path = Path(path)
    with open_hdf5(path, "a D4RL HDF5 file") as file:
        found = below(path, file, "", set())
        single = {name: item for name, item in found.items() if isinstance(item, h5py.Dataset) and item.shape == ()}
        check_sizes(path, {name: item for name, item in found.items() if name not in single})
        arrays = {
            name: item[()] if name in single else values(item)
            for name, item in found.items()
            if not (name in single and (item.is_virtual or item.external))
        }
    absent = [name for name in _NEEDED if name not in arrays]
    if absent:
        raise DataError(f"{path} has no {', '.join(absent)}; a D4RL file has {', '.join(_NEEDED)}")
    rows = np.shape(arrays["observations"])[:1]
    for name in ("rewards", "terminals"):
        if np.shape(arrays[name]) == (*rows, 1):
            arrays[name] = arrays[name][:, 0]
        if np.shape(arrays[name]) != rows:
            raise DataError(f"{name} of {path} has shape {np.shape(arrays[name])}; {rows} would be right")
    for name in {"actions", "timeouts"} & arrays.keys():
        if np.shape(arrays[name])[:1] != rows or not rows:
            raise DataError(f"{name} of {path} has shape {np.shape(arrays[name])}; it should begin with {rows}")
    return arrays


def as_arrays(trajectories: Trajectories) -> dict[str, Array]:
    """Trajectories in D4RL's layout, the reverse of `offbench.formats.hdf5.read_hdf5`.

    The arrays of a file that was read come back as they are in it, apart from what reading changed and noted: floats of
    another size than float32, and a time-out on a terminal row. ``next_observations`` are there if every episode's last
    one is known.

    Raises:
        DataError: no actions or no rewards, which the layout cannot leave out.
    """
    t = trajectories
    assert t.final_observations is not None
    if t.actions is None or t.rewards is None:
        raise DataError("D4RL's layout has actions and rewards; this dataset lacks one of them")
    before = t.sources
    arrays: dict[str, Array] = {
        "observations": t.observations[before],
        "actions": t.actions,
        "rewards": t.rewards,
        "terminals": t.terminations,
        "timeouts": t.truncations,
    }
    if t.final_observations.all():
        arrays["next_observations"] = t.observations[before + 1]
    return arrays | {f"infos/{name}": t.extra(name) for name in t.extras}


def qlearning_dataset(
    env: Any, dataset: Mapping[str, Any] | None = None, terminate_on_end: bool = False, **kwargs: Any
) -> dict[str, Array]:
    """Transitions as D4RL makes them of its rows.

    Row i gives (observations[i], actions[i], rewards[i], observations[i + 1], terminals[i]) for i = 0 .. N - 2: the
    last row is always lost, and a stored ``next_observations`` is not looked at. Rows with a time-out are left out,
    also terminal ones. The next observation of a terminal row is the next episode's first, which a learner masks.
    Without a key ``timeouts`` a clock of ``env._max_episode_steps`` decides. That clock starts at 0 after a row that
    was left out, and at 1 after a terminal one, as D4RL's does.

    Args:
        env: what ``get_dataset`` and ``_max_episode_steps`` are asked of.
        dataset: the arrays; ``env.get_dataset(**kwargs)`` if None.
        terminate_on_end: keep the rows with a time-out. Their next observation is the next episode's first and their
            terminal stays as recorded: D4RL's own description promises a terminal there, its code sets none.
        kwargs: for ``get_dataset``.

    Returns:
        observations, actions, next_observations, rewards float32, terminals bool; all of the same length.
    """
    data = env.get_dataset(**kwargs) if dataset is None else dataset
    rows = max(0, len(data["rewards"]) - 1)
    terminals = np.asarray(data["terminals"]).reshape(len(data["terminals"]), -1)[:rows, 0].astype(bool)
    if terminate_on_end:
        kept = np.arange(rows)
    elif "timeouts" in data:
        kept = np.flatnonzero(~np.asarray(data["timeouts"]).reshape(-1)[:rows].astype(bool))
    else:
        ends = _clock_ends(terminals, _limit(env), after_clock=0)
        kept = np.setdiff1d(np.arange(rows), ends)
    observations = np.asarray(data["observations"])
    return {
        "observations": observations[kept].astype(np.float32),
        "actions": np.asarray(data["actions"])[kept].astype(np.float32),
        "next_observations": observations[kept + 1].astype(np.float32),
        "rewards": np.asarray(data["rewards"])[kept].astype(np.float32),
        "terminals": terminals[kept],
    }


def sequence_dataset(env: Any, dataset: Mapping[str, Any] | None = None, **kwargs: Any) -> Iterator[dict[str, Array]]:
    """Episodes as D4RL cuts them: every row is kept, an unfinished tail is dropped.

    An episode ends at a terminal or a time-out. Without a key ``timeouts`` a clock of ``env._max_episode_steps``
    decides, which starts at 0 for the first episode and at 1 for every later one, as D4RL's does.

    Args:
        env: what ``get_dataset`` and ``_max_episode_steps`` are asked of.
        dataset: the arrays; ``env.get_dataset(**kwargs)`` if None.
        kwargs: for ``get_dataset``.

    Yields:
        The rows of one episode for every key of the dataset but those of metadata.
    """
    data = env.get_dataset(**kwargs) if dataset is None else dataset
    terminals = np.asarray(data["terminals"]).reshape(len(data["terminals"]), -1)[:, 0].astype(bool)
    if "timeouts" in data:
        ends = np.flatnonzero(terminals | np.asarray(data["timeouts"]).reshape(-1).astype(bool))
    else:
        clock = _clock_ends(terminals, _limit(env), after_clock=1)
        ends = np.union1d(np.flatnonzero(terminals), clock)
    start = 0
    for end in ends.tolist():
        yield {name: np.asarray(column[start : end + 1]) for name, column in data.items() if "metadata" not in name}
        start = end + 1


def _clock_ends(terminals: Array, limit: int, after_clock: int) -> Array:
    """Rows at which a clock reaches ``limit`` steps; it shows 1 after a terminal and ``after_clock`` after an end."""
    reached = []
    row, elapsed = 0, 0
    terminal_rows = np.flatnonzero(terminals)
    while row < len(terminals):
        following = np.searchsorted(terminal_rows, row)
        terminal = int(terminal_rows[following]) if following < len(terminal_rows) else len(terminals)
        # A clock that shows more than the limit never comes back to it: then only a terminal sets it again.
        end = row + limit - 1 - elapsed if elapsed < limit else len(terminals)
        if end <= terminal and end < len(terminals):
            reached.append(end)
            row, elapsed = end + 1, after_clock
        else:
            row, elapsed = terminal + 1, 1
    return np.array(reached, dtype=np.int64)


def _limit(env: Any) -> int:
    limit = getattr(env, "_max_episode_steps", None)
    if limit is None:
        raise OffbenchError(
            "the dataset has no timeouts and the environment no _max_episode_steps; one of them is needed"
        )
    return int(limit)
