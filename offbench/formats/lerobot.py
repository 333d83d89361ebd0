"""Reading LeRobot's folders of Parquet, versions 2 and 3; films are told as not read.

Layout (https://huggingface.co/docs/lerobot, LeRobotDataset): ``meta/info.json``, and below ``data/`` tables of frames
with ``episode_index``, ``frame_index``, ``action``, ``observation.*`` and, where recorded, ``next.reward``,
``next.done`` and ``next.success``. Version 2 has one file an episode, version 3 many episodes in one.
"""

from __future__ import annotations

import json
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, OffbenchError
from offbench.formats.episodes import Episode, from_episodes, joined_entries
from offbench.formats.foreign import check_memory
from offbench.formats.source import Source

_INDEX = ("episode_index", "frame_index")
_PLAIN = ("index", "timestamp", "task_index")  # counters, which say nothing that the order does not
_LONGEST_INFO = 10_000_000  # bytes


def recognises(source: Source) -> bool:
    """Whether a folder is a dataset of LeRobot."""
    return {"meta", "data"} <= set(source.names) and (source.path / "meta" / "info.json").is_file()


def read_lerobot(path: Path | str) -> Trajectories:
    """The trajectories of a LeRobot folder.

    Observations are the entries ``observation.*`` that are vectors, joined by name. An episode ends where
    ``episode_index`` changes. ``next.success`` in a last frame is a termination; so is ``next.done`` where it is set in
    some last frames and not in others, while a flag that every episode ends with only says that it ended. All other
    ends are truncations. The final observation is not kept. Without ``next.reward`` the data have no rewards.

    Args:
        path: the folder.

    Raises:
        DataError: no frames, frames out of order, columns that are missing or not numbers.
        OffbenchError: pyarrow is not installed.
    """
    path = Path(path)
    info = _info(path)
    columns, unread = _frames(path)
    films = {name for name, each in info.items() if isinstance(each, dict) and each.get("dtype") == "video"}
    unread |= {f"the film {name!r}" for name in films}
    absent = [name for name in (*_INDEX, "action") if name not in columns]
    if absent:
        raise DataError(f"{path} has no column {absent[0]}, which LeRobot's tables have")
    bounds = _bounds(path, columns)
    entries = {n.removeprefix("observation."): columns[n] for n in columns if n.startswith("observation.")}
    observations, used = joined_entries(entries, unread)
    if not used:
        raise DataError(f"{path} has no observation of numbers; one such as observation.state would be right")
    notes = [f"observations are {', '.join(used)}, joined in this order"]
    done = _done(columns, bounds, notes)
    others = {n: c for n, c in columns.items() if not n.startswith("observation.") and n not in (*_INDEX, *_PLAIN)}
    steps = {"actions": others.pop("action")}
    if "next.reward" in others:
        steps["rewards"] = others.pop("next.reward").astype(np.float32)
    others.pop("next.done", None)
    episodes = [
        Episode(
            name=f"episode {number}",
            observations=observations[rows],
            final=None,
            steps={name: column[rows] for name, column in steps.items()},
            terminations=done[rows],
            extras={name: column[rows] for name, column in others.items()},
        )
        for number, rows in enumerate(slice(first, last) for first, last in pairwise(bounds.tolist()))
    ]
    return from_episodes(path, episodes, notes, unread)


def _info(path: Path) -> dict[str, Any]:
    """The features of a dataset by name."""
    file = path / "meta" / "info.json"
    try:
        if file.stat().st_size > _LONGEST_INFO:
            raise DataError(f"{file} has {file.stat().st_size:,} bytes; that of a dataset is shorter")
        features = json.loads(file.read_bytes())["features"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{file} is no description of a LeRobot dataset ({error!r}); fetch it anew") from error
    return features if isinstance(features, dict) else {}


def _frames(path: Path) -> tuple[dict[str, Array], set[str]]:
    """(columns of numbers by name, (frames, ...) each; names of the others)."""
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise OffbenchError(f"{path} holds Parquet files; install pyarrow to read them") from error
    files = sorted((path / "data").rglob("*.parquet"))
    if not files:
        raise DataError(f"{path} has no Parquet file below data; fetch the whole dataset")
    parts: list[dict[str, Array]] = []
    unread: set[str] = set()
    total = 0
    for file in files:
        try:
            metadata = parquet.read_metadata(file)
            total += sum(int(metadata.row_group(n).total_byte_size) for n in range(metadata.num_row_groups))
            check_memory(path, total)
            table = parquet.read_table(file)
        except DataError:
            raise
        except Exception as error:  # pyarrow raises what it met
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{file} is truncated or damaged, so fetch it anew ({reason})") from error
        found = {name: _numbers(table.column(name)) for name in table.column_names}
        unread |= {repr(name) for name, column in found.items() if column is None}
        parts.append({name: column for name, column in found.items() if column is not None})
    names = [name for name in parts[0] if all(name in part for part in parts)]
    unread |= {repr(name) for part in parts for name in part if name not in names}
    try:
        return {name: np.concatenate([part[name] for part in parts]) for name in names}, unread
    except ValueError as error:
        raise DataError(f"the files of {path} differ in the shapes of their columns; fetch it anew") from error


def _numbers(column: Any) -> Array | None:
    """A column of numbers or of lists of them, all of one length; None for any other."""
    if column.null_count:
        return None
    try:
        found = np.array(column.to_pylist()) if "list" in str(column.type) else column.to_numpy()
    except ValueError:  # lists of several lengths
        return None
    return found if found.dtype.kind in "fiub" else None


def _bounds(path: Path, columns: dict[str, Array]) -> Array:
    """(episodes + 1,) the first frame of each episode and the number of frames."""
    episode, frame = columns["episode_index"].reshape(-1), columns["frame_index"].reshape(-1)
    begins = np.append(True, episode[1:] != episode[:-1])
    starts = np.flatnonzero(begins)
    expected = np.arange(len(episode)) - np.repeat(starts, np.diff(starts, append=len(episode)))
    if (np.diff(episode) < 0).any() or (frame != expected).any():
        raise DataError(f"the frames of {path} are out of order; each episode's should follow one another from 0")
    return np.append(starts, len(episode))


def _done(columns: dict[str, Array], bounds: Array, notes: list[str]) -> Array:
    """(frames,) bool, where the task ended."""
    last = np.zeros(int(bounds[-1]), dtype=bool)
    last[bounds[1:] - 1] = True
    done, success = (columns.get(f"next.{name}") for name in ("done", "success"))
    if success is not None:
        notes.append("next.success in a last frame is a termination, and all other ends are truncations")
        return np.asarray(last & (success.reshape(-1) != 0))
    if done is not None and not (done.reshape(-1)[bounds[1:] - 1] != 0).all():
        notes.append("next.done is a termination, and episodes without one are truncated")
        return np.asarray(last & (done.reshape(-1) != 0))
    notes.append("nothing says why episodes end, so that all are truncated")
    return np.zeros(len(last), dtype=bool)
