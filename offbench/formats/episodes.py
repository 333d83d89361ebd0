"""Episodes read one by one become Trajectories: what the readers of formats share that keep episodes apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import DataError
from offbench.formats.rows import not_read, to_float32


@dataclass
class Episode:
    """One episode of T steps as its file has it.

    Attributes:
        name: what messages call it.
        observations: (T, ...) those that the steps act from.
        final: (...,) the one behind the last step, None where the file has none.
        steps: actions (T, ...) and, where the file has them, rewards (T,).
        terminations: (T,) bool.
        truncated: whether the clock ended it; a last step that terminated counts as that.
        extras: further columns, (T, ...) each.
    """

    name: str
    observations: Array
    final: Array | None
    steps: dict[str, Array]
    terminations: Array
    truncated: bool = True
    extras: dict[str, Array] = field(default_factory=dict)


def numbered(names: Sequence[str], prefix: str) -> list[str]:
    """Those of the names that are the prefix and a number, by number."""
    found = [name for name in names if name.startswith(prefix) and name[len(prefix) :].isascii()]
    found = [name for name in found if name[len(prefix) :].isdecimal()]
    return sorted(found, key=lambda name: int(name[len(prefix) :]))


def from_episodes(path: Path, episodes: Sequence[Episode], notes: list[str], unread: set[str]) -> Trajectories:
    """Trajectories of episodes.

    Args:
        path: the file or folder, for messages and provenance.
        episodes: in order.
        notes: what the reader has to remark; remarks on the columns are added to it.
        unread: names of what was left out; extras that not all episodes have alike are added to it.

    Raises:
        DataError: none, one without a step, columns of unequal length or shape, or values that are not finite.
    """
    _check_rows(path, episodes)
    known = np.array([each.final is not None for each in episodes])
    if not known.all():
        notes.append("final observations were not recorded; the last one of an episode repeats the one before")
    columns = _columns(path, episodes)
    to_float32(columns, notes)
    extras = _common(episodes, unread)
    notes += not_read(sorted(unread))
    offsets = np.cumsum([0, *(len(each.observations) for each in episodes)], dtype=np.int64)
    terminations = np.concatenate([each.terminations.astype(bool) for each in episodes])
    truncations = np.zeros(len(terminations), dtype=bool)
    truncations[offsets[1:] - 1] = [each.truncated for each in episodes]
    return Trajectories(
        observations=columns["observations"],
        offsets=offsets,
        terminations=terminations,
        truncations=truncations & ~terminations,
        actions=columns["actions"],
        rewards=columns.get("rewards"),
        extras=extras,
        final_observations=known,
        provenance=Provenance(dataset=str(path), notes=tuple(notes)),
    )


def _check_rows(path: Path, episodes: Sequence[Episode]) -> None:
    if not episodes:
        raise DataError(f"{path} has no episodes; at least one would be right")
    for each in episodes:
        rows = len(each.observations)
        for name, column in ({"terminations": each.terminations} | each.steps | each.extras).items():
            if len(column) != rows:
                raise DataError(f"{name} of {each.name} of {path} has {len(column)} rows; {rows} would be right")
        if rows == 0:
            raise DataError(f"{each.name} of {path} has no step; at least one would be right")


def _columns(path: Path, episodes: Sequence[Episode]) -> dict[str, Array]:
    """Observations, T+1 rows an episode, actions as vectors and, where there are some, rewards."""
    observations = []
    for each in episodes:
        final = each.observations[-1] if each.final is None else each.final
        observations += [each.observations, np.asarray(final)[None]]
    columns = {"observations": _joined(path, "observations", observations)}
    for name in episodes[0].steps:
        parts = [each.steps[name] for each in episodes if name in each.steps]
        if len(parts) < len(episodes):
            raise DataError(
                f"{len(parts)} of {len(episodes)} episodes of {path} have {name}; all or none would be right"
            )
        columns[name] = _joined(path, name, parts)
    for name in ("observations", "actions"):
        columns[name] = columns[name].reshape(len(columns[name]), -1) if columns[name].ndim == 1 else columns[name]
    if "rewards" in columns:
        columns["rewards"] = columns["rewards"].reshape(-1)
    return columns


def joined_entries(entries: Mapping[str, Array], unread: set[str]) -> tuple[Array, list[str]]:
    """(rows, sum of sizes) of the vectors among the entries of an observation, by name, and their names.

    Pictures and whatever else is no vector of numbers go to ``unread``.
    """
    vectors = {name: column for name, column in sorted(entries.items()) if _is_vector(column)}
    unread |= {f"observation {name!r}" for name in entries.keys() - vectors.keys()}
    parts = [column.reshape(len(column), -1) for column in vectors.values()]
    return (np.concatenate(parts, axis=1) if parts else np.zeros((0, 0))), list(vectors)


def _is_vector(column: Array) -> bool:
    return column.dtype.kind in "fiub" and column.ndim <= 2 and column.dtype != np.uint8


def _joined(path: Path, name: str, parts: Sequence[Array]) -> Array:
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        raise DataError(f"{name} of the episodes of {path} have the shapes {sorted(shapes)} a row; one would be right")
    return np.concatenate(parts)


def _common(episodes: Sequence[Episode], unread: set[str]) -> dict[str, Array]:
    """The extras that all episodes have alike and that are finite; the others go to ``unread``."""
    extras: dict[str, Array] = {}
    for name in dict.fromkeys(name for each in episodes for name in each.extras):
        parts = [each.extras[name] for each in episodes if name in each.extras]
        alike = len(parts) == len(episodes) and len({part.shape[1:] for part in parts}) == 1
        if alike and all(part.dtype.kind in "iub" or np.isfinite(part).all() for part in parts):
            extras[name] = np.concatenate(parts)
        else:
            unread.add(repr(name))
    return extras
