"""Writing trajectories: D4RL's HDF5 layout and Minari datasets; and what `offbench data export` writes.

What a format cannot hold is refused, or left out and returned as a note; nothing is lost in silence.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from offbench.basis.files import atomic
from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, OffbenchError
from offbench.formats import native
from offbench.formats.hdf5_file import h5py
from offbench.formats.minari_spaces import DECLARED


def export_native(trajectories: Trajectories, target: str, environment: str | None) -> tuple[Path, tuple[str, ...]]:
    """Write a new native file of that name, as `offbench.formats.table.Format.write` says."""
    native.save(trajectories, _new(target))
    return Path(target), ()


def export_d4rl(trajectories: Trajectories, target: str, environment: str | None) -> tuple[Path, tuple[str, ...]]:
    """Write a new D4RL file of that name, as `offbench.formats.table.Format.write` says."""
    return Path(target), write_d4rl(trajectories, _new(target))


def export_minari(trajectories: Trajectories, target: str, environment: str | None) -> tuple[Path, tuple[str, ...]]:
    """Write a new Minari dataset of that id, as `offbench.formats.table.Format.write` says."""
    return write_minari(trajectories, target, environment)


def _new(target: str) -> Path:
    """The path of a file that is not there yet."""
    if os.path.lexists(target):
        raise OffbenchError(f"{target} exists; name another file, or remove it")
    return Path(target)


def write_d4rl(
    trajectories: Trajectories, path: Path | str, metadata: Mapping[str, Array | str | int] | None = None
) -> tuple[str, ...]:
    """Write one HDF5 file in D4RL's layout and return notes on what it cannot hold.

    Columns: observations, next_observations, actions, rewards, terminals, timeouts, infos/*, and as metadata the range
    of actions and the offsets of episodes. Where a final observation is unknown, no next_observations are written.

    Args:
        trajectories: episodes with actions and rewards.
        path: the file.
        metadata: what else goes below ``metadata``, by path; texts become ones of fixed length.

    Raises:
        DataError: no episodes, no actions or no rewards; final observations of which only some are known; an episode
            but the last that was cut off, whose end the layout has no flag for.
        OffbenchError: the file cannot be written.
    """
    t = trajectories
    _check_complete(t, "a D4RL file")
    notes = []
    assert t.final_observations is not None
    if t.final_observations.any() != t.final_observations.all():
        known = int(t.final_observations.sum())
        raise DataError(
            f"{known} of {len(t)} episodes of {t.name} know their final observation; a D4RL file needs all or none"
        )
    ends = t.offsets[1:] - 1
    open_ends = np.flatnonzero(~(t.terminations | t.truncations)[ends])
    if len(open_ends) and open_ends[0] != len(t) - 1:
        raise DataError(
            f"episode {open_ends[0]} of {t.name} was cut off without a flag, which a D4RL file holds only of the last; "
            "mark it as truncated, or leave it out"
        )
    if not t.final_observations.all():
        notes.append("final observations are unknown, so that next_observations are left out")
    inside = len(t.inner_terminations)
    if inside:
        notes.append(
            f"{inside} steps terminate inside episodes; metadata/offsets say where these end, and who does not "
            "look there ends one at each"
        )
    if any(len(column) != t.steps for column in t.extras.values()):
        notes.append("of extras with T+1 rows an episode the last ones are left out")
    with atomic(Path(path)) as temporary:
        try:
            with h5py.File(temporary, "w") as file:
                for name, column in _d4rl_columns(t):
                    file.create_dataset(name, data=column, **({"compression": "gzip"} if column.ndim else {}))
                for name, value in (metadata or {}).items():
                    file[f"metadata/{name}"] = _fixed(value) if isinstance(value, str) else value
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise OffbenchError(f"cannot write {path}: {error}; make room or name another folder") from error
    return tuple(notes)


def _fixed(text: str) -> Array:
    """A text of fixed length, which readers need no heap for."""
    content = text.encode()
    return np.array(content, dtype=h5py.string_dtype("utf-8", max(1, len(content))))


def _d4rl_columns(t: Trajectories) -> Iterator[tuple[str, Array]]:
    """Columns by path."""
    assert t.final_observations is not None
    before = t.sources
    yield "observations", t.observations[before]
    if t.final_observations.all():
        yield "next_observations", t.observations[before + 1]
    named = {"actions": t.actions, "rewards": t.rewards, "terminals": t.terminations, "timeouts": t.truncations}
    yield from ((name, column) for name, column in named.items() if column is not None)
    yield from ((f"infos/{name}", t.extra(name)) for name in t.extras)
    yield "metadata/offsets", t.offsets
    if t.action_range is not None:
        yield from (
            (f"metadata/action_{side}", bound) for side, bound in zip(("low", "high"), t.action_range, strict=True)
        )


def write_minari(
    trajectories: Trajectories, dataset_id: str, environment: str | None = None, **metadata: Any
) -> tuple[Path, tuple[str, ...]]:
    """Write a Minari dataset that ``minari.load_dataset(dataset_id)`` opens.

    Returns (its folder, notes on what it cannot hold). The folder lies among minari's datasets (MINARI_DATASETS_PATH,
    else ~/.minari/datasets) and holds HDF5. Whole numbers in one column get a discrete space: that of the range of
    actions or of the environment, where one of them is known, else the numbers from the lowest to the highest.

    Args:
        trajectories: observations of any shape, actions in one row a step.
        dataset_id: ``namespace/name-vVERSION``, as Minari names datasets.
        environment: id of the Gymnasium environment, which Minari then offers to make.
        metadata: further entries such as author, author_email, algorithm_name, code_permalink, description,
            ref_min_score and ref_max_score.

    Raises:
        DataError: no episodes, no actions or rewards, final observations that are unknown, a dtype or a name that
            Minari cannot hold, or an id that is malformed or taken.
        OffbenchError: minari is not installed, knows no such environment, or the dataset cannot be written.
    """
    t = trajectories
    _check_complete(t, "a Minari dataset")
    _check_final(t)
    try:
        storages, namespaces = import_module("minari.dataset.minari_storage"), import_module("minari.namespace")
        roots, version = import_module("minari.storage.datasets_root_dir"), import_module("minari").__version__
    except ImportError as error:
        raise OffbenchError("to write Minari datasets, install minari") from error
    namespace = _check_id(dataset_id)
    folder = Path(roots.get_dataset_path(dataset_id))
    if folder.exists():
        raise DataError(f"{folder} exists; choose another id or version, or delete it: minari delete {dataset_id}")
    spec = _spec(environment)
    spaces = _spaces(t, spec)
    entries = {"dataset_id": dataset_id, "minari_version": version} | _sets(metadata)
    if _is_discrete(spaces["action_space"]) and t.action_range is not None:
        entries[DECLARED] = True
    temporary = None
    try:
        if namespace and namespace not in namespaces.list_local_namespaces():
            namespaces.create_namespace(namespace)
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Hidden, so that minari does not list it, and renamed when whole.
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
        storage = storages.MinariStorage.new(
            temporary / "data", env_spec=spec, data_format="hdf5", jpeg_encoding=False, **spaces
        )
        storage.update_metadata(entries)
        storage.update_episodes(_buffers(t, spaces))
        temporary.chmod(0o755)
        os.rename(temporary, folder)
    except (OSError, ValueError, TypeError, AssertionError, RuntimeError) as error:
        raise OffbenchError(f"cannot write the Minari dataset {dataset_id!r} to {folder}: {error}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder, tuple(_losses(t))


def _spaces(t: Trajectories, spec: Any) -> dict[str, Any]:
    """Minari's spaces of observations and actions, discrete where they count something."""
    known = _spaces_of(spec) if _countable(t.observations) or _countable(t.actions) else (None, None)
    return {
        "observation_space": _discrete(t.observations, None, known[0]) or _box(t.observations, None),
        "action_space": _discrete(t.actions, t.action_range, known[1]) or _box(t.actions, t.action_range),
    }


def _check_final(t: Trajectories) -> None:
    """Raise DataError unless all final observations are known."""
    assert t.final_observations is not None
    unknown = np.flatnonzero(~t.final_observations)
    if len(unknown):
        raise DataError(
            f"the final observation of episode {unknown[0]} of {t.name} is unknown, which Minari has no mark for; "
            "leave such episodes out, or write a D4RL file"
        )


def _losses(t: Trajectories) -> Iterator[str]:
    """What a Minari dataset cannot hold of the trajectories, and what others may take it for."""
    inside = len(t.inner_terminations)
    if inside:
        yield f"{inside} steps terminate inside episodes, which a reader that ends an episode there would cut"
    open_ends = int((~(t.terminations | t.truncations)[t.offsets[1:] - 1]).sum())
    if open_ends:
        yield f"{open_ends} episodes were cut off without a flag and have none in the dataset either"
    if t.action_range is None and _discrete(t.actions, None, None) is None:
        yield "no range of actions is declared, so that the action space has no bounds"


def _check_complete(t: Trajectories, kind: str) -> None:
    absent = [name for name in ("actions", "rewards") if getattr(t, name) is None]
    if absent:
        raise DataError(f"{t.name} has no {' and no '.join(absent)}, which {kind} needs; native files hold such data")
    if len(t) == 0:
        raise DataError(f"{t.name} has no episodes; {kind} needs at least one")


def _check_id(dataset_id: str) -> str:
    """The namespace of an id, empty where it has none."""
    match = re.fullmatch(r"(?:([-\w]+(?:/[-\w]+)*)/)?[-\w]+-v\d+", dataset_id, re.ASCII)
    if match is None or len(match[1] or "") == 1:  # minari takes no namespace of one letter
        raise DataError(f"{dataset_id!r} is no id of a Minari dataset; like hopper/medium-v0 would be right")
    return match[1] or ""


def _sets(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Authors as sets, which is how minari wants them."""
    names = {"author", "author_email"} & {name for name, value in metadata.items() if isinstance(value, str)}
    return dict(metadata) | {name: {metadata[name]} for name in names}


def _spec(environment: str | None) -> Any:
    if environment is None:
        return None
    gymnasium = import_module("gymnasium")
    with suppress(ImportError):
        gymnasium.register_envs(import_module("gymnasium_robotics"))
    try:
        return gymnasium.spec(environment)
    except gymnasium.error.Error as error:
        raise OffbenchError(f"gymnasium knows no environment {environment!r}: {error}") from error


def _box(column: Array | None, bounds: tuple[Array, Array] | None) -> Any:
    """The space of a column's rows; without bounds, of all numbers of its dtype."""
    assert column is not None  # checked before
    box = import_module("gymnasium").spaces.Box
    if bounds is not None:
        return box(bounds[0].astype(column.dtype), bounds[1].astype(column.dtype), dtype=column.dtype.type)
    low, high = (-np.inf, np.inf) if column.dtype.kind == "f" else (0, 1)
    if column.dtype.kind in "iu":
        low, high = np.iinfo(column.dtype).min, np.iinfo(column.dtype).max
    return box(low, high, shape=column.shape[1:], dtype=column.dtype.type)


def _spaces_of(spec: Any) -> tuple[Any, Any]:
    """(observation space, action space) of an environment, None each where there is none or it cannot be made here."""
    if spec is None:
        return None, None
    with suppress(Exception), warnings.catch_warnings():  # whatever it raises whose simulator is not installed
        warnings.simplefilter("ignore")
        environment = import_module("gymnasium").make(spec)
        try:
            return environment.observation_space, environment.action_space
        finally:
            environment.close()
    return None, None


def _countable(column: Array | None) -> bool:
    """Whether a column has one whole number or truth value a row, as a discrete space gives."""
    return column is not None and column.shape[1:] == (1,) and column.dtype.kind in "iub"


def _discrete(column: Array | None, bounds: tuple[Array, Array] | None, known: Any) -> Any:
    """The discrete space of a column of whole numbers; None for any other column, and where their count is too large.

    Args:
        column: (rows, 1) or anything else.
        bounds: the range that is declared, if any; whole numbers make the space.
        known: the environment's space, if any; it counts where it is discrete and holds the column.
    """
    if not _countable(column):
        return None
    assert column is not None
    low, high = int(column.min()), int(column.max())
    if bounds is not None:
        ends = [float(bound.reshape(-1)[0]) for bound in bounds]
        if not all(end.is_integer() for end in ends):
            return None
        low, high = int(ends[0]), int(ends[1])
    elif _is_discrete(known) and known.start <= low and high < known.start + known.n:
        low, high = int(known.start), int(known.start + known.n - 1)
    limit = np.iinfo(np.int64).max
    if low < -limit or max(high, high - low) >= limit:
        return None
    return import_module("gymnasium").spaces.Discrete(high - low + 1, start=low)


def _is_discrete(space: Any) -> bool:
    return isinstance(space, import_module("gymnasium").spaces.Discrete)


def _buffers(t: Trajectories, spaces: Mapping[str, Any]) -> Iterator[Any]:
    """One episode at a time, so that data larger than memory can be written; one number a row in discrete spaces."""
    flat = {name: _is_discrete(space) for name, space in spaces.items()}
    buffer = import_module("minari.data_collector.episode_buffer").EpisodeBuffer
    assert t.actions is not None  # checked before
    assert t.rewards is not None
    for number in range(len(t)):
        steps = slice(int(t.offsets[number]), int(t.offsets[number + 1]))
        rows = slice(steps.start + number, steps.stop + number + 1)
        yield buffer(
            id=number,
            observations=t.observations[rows, 0] if flat["observation_space"] else t.observations[rows],
            actions=t.actions[steps, 0] if flat["action_space"] else t.actions[steps],
            rewards=t.rewards[steps],
            terminations=t.terminations[steps],
            truncations=t.truncations[steps],
            infos={name: column[steps if len(column) == t.steps else rows] for name, column in t.extras.items()},
        )
