"""Reading published preference labels.

- IPL ``.npz`` (Hejna and Sadigh 2023, "Inverse Preference Learning", https://arxiv.org/abs/2305.15363): whole segments,
  ``obs_1, obs_2`` (pairs, length, observation), ``action_1, action_2`` (pairs, length, action), ``label`` (pairs,),
  1 where the second is preferred, 0.5 where they are equal.
- PreferenceTransformer folders (Kim et al. 2023, https://arxiv.org/abs/2303.00957): pickles ``label_human``,
  ``indices_num*`` and ``indices_2_num*``, segments of 100 steps (Robosuite 50).
- Uni-RLHF folders (Yuan et al. 2024, https://arxiv.org/abs/2402.02423): pickles ``human_label_X`` or ``fake_label_X``
  with ``indices_1_X`` and ``indices_2_X``, where X ends in ``len_LENGTH_HASH.pkl``; each X has its own order of pairs.

Labels in the pickles: 0 the first, 1 the second, -1 equal, or two columns of shares. Indices are rows of D4RL's
transition arrays, see ``d4rl_rows``. Row k of both files of indices belongs to label k; they may have more rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.preferences import Preferences
from offbench.data.segments import Segments, crosses
from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import DataError
from offbench.formats.d4rl_rows import qlearning_rows
from offbench.formats.npz import read_arrays
from offbench.formats.pickled_arrays import read_pickled_array
from offbench.formats.source import Source

Labeller = Literal["human", "scripted"]
_IPL = ("obs_1", "obs_2", "action_1", "action_2", "label")
_PREFIXES = {"human": "human_label", "scripted": "fake_label"}

# A few published pairs in a thousand cross an episode's end; many mean that the labels were made for other data.
_MOST_CROSSING = 0.05


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Labels of pairs of segments that are known by their rows in D4RL's transition arrays.

    Attributes:
        first, second: (pairs,) int64, the first row of each segment.
        labels: (pairs,) float32, the share by which the second is preferred.
        length: steps of a segment.
        source: the file of labels.
    """

    first: Array
    second: Array
    labels: Array
    length: int
    source: Path

    def join(self, other: LabelledRows) -> tuple[Array, Array]:
        """Row numbers (here, there), each (common pairs,), of the pairs that both label, in the order here."""
        places = {pair: row for row, pair in enumerate(zip(other.first.tolist(), other.second.tolist(), strict=True))}
        pairs = enumerate(zip(self.first.tolist(), self.second.tolist(), strict=True))
        found = [(row, places[pair]) for row, pair in pairs if pair in places]
        here, there = np.array(found, dtype=np.int64).reshape(-1, 2).T
        return here, there


def recognises(source: Source) -> bool:
    """Whether a zip holds the arrays of an IPL file of preferences."""
    return {f"{name}.npy" for name in _IPL} <= set(source.names)


def read_ipl(path: Path | str) -> Preferences:
    """The preferences of an IPL file; numbers become float32.

    Raises:
        DataError: the file is missing, damaged, lacks a column, or holds other labels than 0, 1/2 and 1.
    """
    path = Path(path)
    arrays = read_arrays(path, "an .npz file of preferences")
    missing = [name for name in _IPL if name not in arrays]
    if missing:
        raise DataError(f"{path} has no {', '.join(missing)}; an IPL file of preferences has {', '.join(_IPL)}")
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, which Preferences refuses
        first, second, *actions, labels = (arrays[name].astype(np.float32) for name in _IPL)
    if labels.size != len(labels) or not np.isin(labels, (0.0, 0.5, 1.0)).all():
        raise DataError(f"labels of {path} must be one number a pair, 0, 0.5 or 1")
    notes = [f"{arrays['obs_1'].dtype} in the file and float32 here"] if arrays["obs_1"].dtype != np.float32 else []
    unread = sorted(arrays.keys() - set(_IPL))
    notes += [f"not read: {', '.join(map(repr, unread[:8]))}"] if unread else []
    notes.append("the steps that its segments were cut from are unknown")
    return Preferences(
        Segments(first, actions[0]),
        Segments(second, actions[1]),
        labels.reshape(len(labels)),
        Provenance(dataset=str(path), notes=tuple(notes)),
    )


def read_rows(source: Path | str, labeller: Labeller = "human", length: int | None = None) -> LabelledRows:
    """The labels of a PreferenceTransformer or Uni-RLHF folder, or of one file of labels beside its indices.

    Args:
        source: the folder, or its file of labels.
        labeller: whose labels, where a folder has both.
        length: steps of a segment; by default that in the name of the file, else 100.

    Raises:
        DataError: files that are missing, ambiguous, no pickles of numbers, or contradict each other.
    """
    labels_path = _find_labels(Path(source), labeller)
    first_path, second_path = _find_indices(labels_path)
    named = re.search(r"_len_(\d{1,6})_", labels_path.name)
    if named and length is not None and int(named[1]) != length:
        raise DataError(f"{labels_path} has segments of {named[1]} steps by its name, not {length}")
    length = length or (int(named[1]) if named else 100)
    labels = _shares(labels_path, read_pickled_array(labels_path))
    first, second = (_indices(path, len(labels)) for path in (first_path, second_path))
    return LabelledRows(first, second, labels, length, labels_path)


def read_labels(
    source: Path | str, trajectories: Trajectories, labeller: Labeller = "human", length: int | None = None
) -> Preferences:
    """Published labels with the segments that they compare, cut from the trajectories that they were made for.

    Pairs of which a segment crosses the end of an episode are left out, and a note counts them. A termination after
    which the ant walks on (AntMaze) is no such end.

    Args:
        source: a PreferenceTransformer or Uni-RLHF folder, or one file of labels beside its indices.
        trajectories: the D4RL dataset that the indices point into, read from the published file.
        labeller: whose labels, where a folder has both.
        length: steps of a segment; by default that in the name of the file, else 100.

    Raises:
        DataError: as ``read_rows`` does, or where the indices do not fit the trajectories.
    """
    found = read_rows(source, labeller, length)
    rows = qlearning_rows(trajectories)
    highest = max(int(found.first.max()), int(found.second.max())) + found.length
    if highest > len(rows):
        raise DataError(
            f"{found.source} points at row {highest - 1}, and {trajectories.name} has {len(rows)} rows without its "
            "time-outs; give the dataset that the labels were made for"
        )
    offsets, reach = _offsets(trajectories), found.length - 1
    first, second = rows[found.first], rows[found.second]
    inside = np.ones(len(found.labels), dtype=bool)
    for at, starts in ((found.first, first), (found.second, second)):
        # A time-out inside leaves a gap between the rows, even where it would itself complete the segment.
        inside &= (rows[at + reach] == starts + reach) & ~crosses(offsets, starts, found.length)
    crossing = int((~inside).sum())
    if crossing > _MOST_CROSSING * len(inside):
        raise DataError(
            f"{crossing} of {len(inside)} pairs of {found.source} cross the end of an episode of {trajectories.name}; "
            "give the dataset that the labels were made for"
        )
    notes = [f"labels of {found.source.name}, segments of {found.length} steps"]
    notes += [f"{crossing} of {len(inside)} pairs cross the end of an episode and are left out"] if crossing else []
    return Preferences(
        Segments.cut(trajectories, first[inside], found.length, offsets),
        Segments.cut(trajectories, second[inside], found.length, offsets),
        found.labels[inside],
        replace(trajectories.provenance, notes=(*trajectories.provenance.notes, *notes)),
    )


def _offsets(t: Trajectories) -> Array:
    """(ends + 1,) int64, the offsets of the trajectories without terminations after which they go on.

    D4RL's AntMaze marks steps at the goal as terminal, and its ants walk on; such segments were shown to people. In
    files that record the final observation a reset is told from that; in AntMaze's, which do not, only time-outs part.
    """
    assert t.final_observations is not None
    last, starts = t.offsets[1:-1] - 1, t.offsets[1:-1] + np.arange(1, len(t))
    moved = t.observations[starts - 1] != t.observations[starts]  # the final observation and the next episode's first
    reset = moved.reshape(len(moved), -1).any(axis=1) & t.final_observations[:-1]
    parts = reset | ~t.terminations[last]
    offsets: Array = np.concatenate([[0], t.offsets[1:-1][parts], t.offsets[-1:]])
    return offsets


def _find_labels(source: Path, labeller: Labeller) -> Path:
    if labeller not in _PREFIXES:
        raise DataError(f"the labeller must be one of {', '.join(_PREFIXES)}, not {labeller!r}")
    if source.is_file():
        return source
    if not source.is_dir():
        raise DataError(f"there is no folder {source}; give one with label_human or human_label_*.pkl in it")
    found = [path for path in sorted(source.iterdir()) if path.name.startswith(_PREFIXES[labeller])]
    if labeller == "human" and (source / "label_human").is_file():
        found.append(source / "label_human")
    if len(found) != 1:
        listed = ", ".join(path.name for path in found) or "none"
        raise DataError(f"{source} has {len(found)} files of {labeller} labels ({listed}); name the one to read")
    return found[0]


def _find_indices(labels: Path) -> tuple[Path, Path]:
    """The files of first and second indices that belong to a file of labels."""
    prefix = next((prefix for prefix in _PREFIXES.values() if labels.name.startswith(f"{prefix}_")), None)
    patterns = ["indices_num", "indices_2_num"]
    if prefix is not None:
        patterns = [labels.name.replace(prefix, f"indices_{side}", 1) for side in (1, 2)]
    found = [[p for p in sorted(labels.parent.iterdir()) if p.name.startswith(pattern)] for pattern in patterns]
    for pattern, paths in zip(patterns, found, strict=True):
        if len(paths) != 1:
            raise DataError(
                f"{labels.parent} has {len(paths)} files {pattern}*, which {labels.name} needs; one is right"
            )
    return found[0][0], found[1][0]


def _shares(path: Path, labels: Array) -> Array:
    """(pairs,) float32 from 0, 1 and -1, or from two columns of shares."""
    if len(labels) == 0:
        raise DataError(f"{path} has no labels; at least one would be right")
    if labels.ndim == 2 and labels.shape[1] == 2:
        if not np.isin(labels, (0, 0.5, 1)).all() or not (labels.sum(axis=1) == 1).all():
            raise DataError(f"{path} has shares that are not 0, 0.5 or 1 with the sum 1")
        return labels[:, 1].astype(np.float32)
    if labels.ndim != 1 or not np.isin(labels, (-1, 0, 1)).all():
        raise DataError(f"labels of {path} must be one number a pair, 0, 1 or -1, or two shares")
    return np.where(labels == -1, 0.5, labels).astype(np.float32)


def _indices(path: Path, count: int) -> Array:
    indices = read_pickled_array(path)
    if indices.ndim != 1 or indices.dtype.kind not in "iu" or len(indices) < count:
        raise DataError(f"{path} must hold at least {count} indices, one a label; it has shape {indices.shape}")
    if indices[:count].min() < 0 or indices[:count].max() >= 2**40:
        raise DataError(f"{path} has an index that is no row: {indices[:count].min()} to {indices[:count].max()}")
    return indices[:count].astype(np.int64)
