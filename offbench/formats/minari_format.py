"""Reading Minari datasets (https://minari.farama.org): HDF5, Arrow and Parquet.

A dataset is a folder with ``data/metadata.json`` and the files of its episodes. Observations have T+1 rows an episode,
actions, rewards and flags T, infos T+1 (the first from the reset) or T. Spaces are described in the metadata as JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import DataError
from offbench.formats.minari_episodes import episodes
from offbench.formats.minari_spaces import DECLARED, action_range, discrete_range, entry_shapes, whole
from offbench.formats.rows import flags, to_float32
from offbench.formats.source import Source

if TYPE_CHECKING:
    from minari import MinariDataset


_LONGEST_METADATA = 64 * 2**20  # bytes
_WHOLE = "main_data.hdf5"
_FINAL = "final observation"  # no name that Minari gives
_STEP_COLUMNS = ("actions", "rewards", "terminations", "truncations")


@dataclass(frozen=True)
class _Metadata:
    """What is used of the metadata of a dataset; spaces are None where they are not described."""

    identifier: str
    storage: str
    steps: int
    episodes: int
    observation_space: dict[str, Any] | None
    action_space: dict[str, Any] | None
    environment: str
    jpeg: bool
    declared: bool


def recognises(source: Source) -> bool:
    """Whether a folder, or the file with all episodes in such a folder, is a Minari dataset."""
    return _folder(source.path) is not None


def read_minari(source: Path | str | MinariDataset, observation: Sequence[str] = ()) -> Trajectories:
    """The trajectories of a Minari dataset.

    Entries of a dictionary of observations are flattened and joined, in the order of ``observation``, and the others
    become extras (the rows of the states acted from). By default mazes give (observation, desired_goal), as offbench's
    tasks of mazes do, and other dictionaries all their entries. D4RL's AntMaze has
    ``observation=("achieved_goal", "observation")``, its Maze2D ``observation=("observation",)``.

    Infos are extras: of T+1 rows the first T, which belong to the states acted from. A termination inside an episode
    stops the bootstrap and nothing else; a time-out there cuts it. A step with both flags is a termination.
    Floating-point observations, actions and rewards become float32; what a discrete space describes, whole numbers.

    Args:
        source: the dataset's folder, its main_data.hdf5, or one that minari has loaded (of which only the chosen
            episodes are read).
        observation: entries of a dictionary of observations.

    Raises:
        DataError: the folder is missing, damaged, or holds other numbers of steps or episodes than its metadata say; a
            space is a tuple, a text or an image; ``observation`` names what the dataset lacks.
        OffbenchError: an Arrow or Parquet dataset, and pyarrow is not installed.
    """
    folder, numbers = _locate(source)
    metadata = _read_metadata(folder)
    whole = numbers is None
    if numbers is None:
        numbers = range(metadata.episodes)
    unread: set[str] = set()
    entries = entry_shapes(folder, metadata.observation_space, "observation", metadata.jpeg, unread)
    actions = entry_shapes(folder, metadata.action_space, "action", metadata.jpeg)
    if actions is not None and set(actions) != {""}:
        raise DataError(f"{folder} has a dictionary of actions; one array of numbers would be right")
    found = []
    for number, columns in zip(numbers, episodes(folder, metadata.storage, numbers, unread), strict=True):
        found.append(_checked(folder, number, columns, entries, actions))
    if not found:
        raise DataError(f"{folder} has no episodes; at least one would be right")
    lengths = np.array([len(columns["rewards"]) for columns in found], dtype=np.int64)
    if whole and int(lengths.sum()) != metadata.steps:
        raise DataError(
            f"{folder} has {int(lengths.sum()):,} steps, and its metadata promise {metadata.steps:,}; fetch it anew"
        )
    return _assemble(folder, metadata, found, lengths, observation, unread)


def _locate(source: Path | str | MinariDataset) -> tuple[Path, Sequence[int] | None]:
    """(folder of the data, numbers of the episodes or None for all)."""
    if not isinstance(source, Path | str):
        return Path(source.storage.data_path), [int(number) for number in source.episode_indices]
    folder = _folder(Path(source))
    if folder is None:
        what = "has no data/metadata.json" if Path(source).is_dir() else "is no folder"
        raise DataError(f"{source} {what}; give the folder of a Minari dataset")
    return folder, None


def _folder(path: Path) -> Path | None:
    """Where the metadata lie of a dataset that is given by its folder or by the file with all its episodes."""
    places = (path.parent,) if path.name == _WHOLE and path.is_file() else (path / "data", path)
    return next((place for place in places if (place / "metadata.json").is_file()), None)


def _read_metadata(folder: Path) -> _Metadata:
    path = folder / "metadata.json"
    try:
        if path.stat().st_size > _LONGEST_METADATA:
            raise DataError(f"{path} has {path.stat().st_size:,} bytes; metadata of a dataset are shorter")
        content = json.loads(path.read_bytes())
        spaces = [content.get(f"{kind}_space") for kind in ("observation", "action")]
        described = [json.loads(space) if isinstance(space, str) else None for space in spaces]
        spec = content.get("env_spec")
        spec = json.loads(spec) if isinstance(spec, str) else {}
        # Arguments make another environment of the same id.
        arguments = f" with the arguments {', '.join(spec['kwargs'])}" if spec.get("id") and spec.get("kwargs") else ""
        metadata = _Metadata(
            identifier=str(content.get("dataset_id") or folder),
            storage=content.get("data_format", "hdf5"),
            steps=content["total_steps"],
            episodes=content["total_episodes"],
            observation_space=described[0],
            action_space=described[1],
            environment=f"{spec.get('id') or ''}{arguments}",
            jpeg=bool(content.get("jpeg_encoding", True)),
            declared=content.get(DECLARED) is True,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is no metadata of a Minari dataset, or damaged ({error!r}); fetch it anew") from error
    # Some older datasets hold whole numbers as floats.
    counts = [metadata.steps, metadata.episodes]
    if not all(isinstance(count, int | float) and count == int(count) >= 0 for count in counts):
        raise DataError(f"{path} has total_steps {counts[0]!r} and total_episodes {counts[1]!r}; both must be counts")
    if metadata.episodes > metadata.steps:
        raise DataError(f"{path} has more episodes than steps: {metadata.episodes} and {metadata.steps}")
    return metadata


# -------------------------------------------------------------------- columns


def _checked(
    folder: Path,
    number: int,
    columns: dict[str, Array],
    entries: dict[str, tuple[int, ...]] | None,
    actions: dict[str, tuple[int, ...]] | None,
) -> dict[str, Array]:
    """The columns of an episode in the shapes of its spaces and with the right numbers of rows."""
    missing = [name for name in _STEP_COLUMNS if name not in columns]
    if missing:
        raise DataError(f"episode {number} of {folder} has no {', '.join(missing)}")
    steps = len(columns["rewards"])
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(_STEP_COLUMNS[1:], ())
    if actions is not None:
        shapes["actions"] = actions[""]
    if entries is not None:
        shapes |= {f"observations/{path}".rstrip("/"): shape for path, shape in entries.items()}
    absent = sorted(shapes.keys() - columns.keys())
    if absent:
        raise DataError(f"episode {number} of {folder} has no {', '.join(absent)}, which its spaces promise")
    columns, known = _completed(columns, steps)
    for name, column in columns.items():
        rows = (
            {steps} if name in _STEP_COLUMNS else {steps + 1} if name.startswith("observations") else {steps, steps + 1}
        )
        where = f"{name} of episode {number} of {folder}"
        if len(column) not in rows:
            right = " or ".join(map(str, sorted(rows)))
            raise DataError(f"{where} has {len(column)} rows; {right} would be right for {steps} steps")
        if name in shapes:
            if column.size != math.prod(shapes[name]) * len(column):
                raise DataError(f"{where} has shape {column.shape}; {shapes[name]} a row would be right")
            columns[name] = column.reshape(len(column), *shapes[name])
    checked = {name: column[:steps] if name.startswith("infos/") else column for name, column in columns.items()}
    return checked | {_FINAL: np.array([known])}


def _completed(columns: dict[str, Array], steps: int) -> tuple[dict[str, Array], bool]:
    """(the columns with T+1 rows of observations, whether the last was recorded); a missing one repeats another."""
    observed = {name for name in columns if name.startswith("observations")}
    if not observed or steps == 0 or any(len(columns[name]) != steps for name in observed):
        return columns, True
    return columns | {name: np.concatenate([columns[name], columns[name][-1:]]) for name in observed}, False


def _assemble(
    folder: Path,
    metadata: _Metadata,
    found: list[dict[str, Array]],
    lengths: Array,
    observation: Sequence[str],
    unread: set[str],
) -> Trajectories:
    notes = [f"recorded in {metadata.environment}"] if metadata.environment else []
    columns = _concatenated(folder, found, unread)
    final = columns.pop(_FINAL)
    if not final.all():
        notes.append(f"{int((~final).sum())} episodes have no final observation; their last one repeats the one before")
    if unread:
        listed = sorted(name.removeprefix("infos/") for name in unread)
        notes.append(f"not read, as they are no numbers or not in every episode: {', '.join(listed[:8])}")
    if "observations" in columns:
        columns["observations"] = whole(metadata.observation_space, columns["observations"])
    joined, extras = _observations(folder, columns, observation, lengths, notes)
    actions = whole(metadata.action_space, columns["actions"]).reshape(len(columns["actions"]), -1)
    row = {"observations": joined, "actions": actions, "rewards": columns["rewards"].reshape(-1)}
    to_float32(row, notes)
    extras |= {
        _free(name.removeprefix("infos/"), extras): c for name, c in columns.items() if name.startswith("infos/")
    }
    terminations, truncations = (flags(folder, name, columns[name]) for name in ("terminations", "truncations"))
    both = int((terminations & truncations).sum())
    if both:
        notes.append(f"{both} steps are both terminated and truncated; they count as terminated")
    last = truncations & ~terminations
    last[np.cumsum(lengths) - 1] = True
    ends = np.flatnonzero(last)
    recorded = np.ones(len(last), dtype=bool)
    recorded[np.cumsum(lengths) - 1] = final
    if len(ends) > len(lengths):
        notes.append(f"{len(ends) - len(lengths)} time-outs stand inside an episode, which is cut there")
        sources = np.arange(len(last)) + np.repeat(np.arange(len(lengths)), lengths)
        row["observations"] = row["observations"][np.insert(sources, ends + 1, sources[ends] + 1)]
    declared = discrete_range(metadata.action_space) if metadata.declared else None
    return Trajectories(
        observations=row["observations"],
        offsets=np.concatenate([[0], ends + 1]).astype(np.int64),
        terminations=terminations,
        truncations=truncations & ~terminations,
        actions=row["actions"],
        rewards=row["rewards"],
        extras=extras,
        final_observations=recorded[ends],
        action_range=declared or action_range(folder, metadata.action_space, row["actions"], notes),
        provenance=Provenance(dataset=metadata.identifier, notes=tuple(notes)),
    )


def _concatenated(folder: Path, found: list[dict[str, Array]], unread: set[str]) -> dict[str, Array]:
    """Every column of all episodes; infos that some lack, or hold in another shape, go to ``unread``."""
    names = dict.fromkeys(name for columns in found for name in columns)
    joined = {}
    for name in names:
        parts = [columns[name] for columns in found if name in columns]
        alike = len(parts) == len(found) and all(part.shape[1:] == parts[0].shape[1:] for part in parts)
        if alike:
            joined[name] = np.concatenate(parts)
        elif name.startswith("infos/"):
            unread.add(name)
        else:
            raise DataError(f"the episodes of {folder} differ in {name}; the same shape in each would be right")
    return joined


def _observations(
    folder: Path, columns: dict[str, Array], chosen: Sequence[str], lengths: Array, notes: list[str]
) -> tuple[Array, dict[str, Array]]:
    """(observations (steps + episodes, *observation), other entries by name (steps, ...))."""
    if "observations" in columns:
        if chosen:
            raise DataError(
                f"the observations of {folder} are one array, so that {list(chosen)} cannot be chosen from them"
            )
        whole = columns["observations"]
        return whole.reshape(len(whole), -1) if whole.ndim == 1 else whole, {}
    entries = {n.removeprefix("observations/"): c for n, c in columns.items() if n.startswith("observations/")}
    if not chosen:
        maze = ("observation", "desired_goal")
        chosen = maze if set(maze) <= entries.keys() else tuple(entries)
    if not set(chosen) <= entries.keys() or not chosen:
        raise DataError(f"{folder} has the observation entries {sorted(entries)}, not {list(chosen)}")
    notes.append(f"observations are {', '.join(chosen)}, joined in this order")
    joined = np.concatenate([entries[name].reshape(len(entries[name]), -1) for name in chosen], axis=1)
    acted = np.arange(lengths.sum()) + np.repeat(np.arange(len(lengths)), lengths)  # all but the final ones
    return joined, {name: entry[acted] for name, entry in entries.items() if name not in chosen}


def _free(name: str, taken: dict[str, Array]) -> str:
    return f"infos/{name}" if name in taken else name
