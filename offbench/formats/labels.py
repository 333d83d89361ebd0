"""Trajectories paired with a file of labels: what learners from comparisons are given, ``DATASET?labels=FILE``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from offbench.data.preference_data import PreferenceData
from offbench.data.preferences import Preferences
from offbench.data.segments import Segments
from offbench.data.supervision import hide_rewards
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.formats import table
from offbench.formats.preference_files import read_labels

KEY = "labels="
_WANTED = (
    "a native file of preferences, an IPL .npz, or a folder or file of labels of PreferenceTransformer or Uni-RLHF "
    "would be right"
)


def labelled(trajectories: Trajectories, path: Path | str) -> PreferenceData:
    """The trajectories without their rewards, and the comparisons of a file in their place.

    Where the file says which steps its segments were cut from, these must be the trajectories' own, or else it is told
    in a note that the segments are of other data, and the steps are forgotten.

    Args:
        trajectories: what is learned from.
        path: native preferences, an IPL ``.npz``, or labels whose rows point into the trajectories (a folder or file of
            PreferenceTransformer or Uni-RLHF).

    Raises:
        DataError: nothing is there, it holds no labels, or its segments have other sizes than the trajectories.
    """
    path = Path(path).expanduser()
    found = read(path, trajectories)
    shapes = {"observations": trajectories.observations.shape[1:]}
    shapes |= {} if trajectories.actions is None else {"actions": trajectories.actions.shape[1:]}
    for name, shape in shapes.items():
        given = getattr(found.first, name).shape[2:]
        if given != shape:
            raise DataError(
                f"segments of {path} have {name} of shape {given} and {trajectories.name} of {shape}; "
                "labels of the same task would be right"
            )
    told = []
    if found.first.starts is not None and not _own(trajectories, found):
        told.append(f"the segments of {path.name} were not cut from these trajectories, and are taken as they are")
        found = _changed(found, starts=None)
    if not (found.labels != 0.5).any():
        told.append(f"all {len(found)} labels of {path.name} are ties")
    bare, named = hide_rewards(trajectories), f"{trajectories.provenance.dataset}?{KEY}{path}"
    bare = bare.told(replace(bare.provenance, dataset=named)).noted(f"labels of {path.name}", *told)
    return PreferenceData(bare, _changed(found, rewards=None))


def read(path: Path, trajectories: Trajectories) -> Preferences:
    """The preferences of a path, of whichever format; rows are looked up in the trajectories."""
    if not path.exists():
        raise DataError(f"there is no file of labels {path}; {_WANTED}")
    known = table.recognised(path)
    if known is not None and known.content == "preferences":
        found: Preferences = table.resolve(known.reader)(path)
        return found
    if known is not None:
        raise DataError(f"{path} is {known.title} and holds no labels; {_WANTED}")
    return read_labels(path, trajectories)


def _own(trajectories: Trajectories, found: Preferences) -> bool:
    """Whether the segments are those of their steps in the trajectories."""
    for side in (found.first, found.second):
        assert side.starts is not None
        if len(side.starts) and int(side.starts.max()) + found.length > trajectories.steps:
            return False
        steps = side.starts[:, None] + np.arange(found.length)
        rows = trajectories.sources[steps]
        if not np.array_equal(trajectories.observations[rows], side.observations):
            return False
        if trajectories.actions is not None and not np.array_equal(trajectories.actions[steps], side.actions):
            return False
    return True


def _changed(found: Preferences, **columns: Any) -> Preferences:
    sides: list[Segments] = [replace(side, **columns) for side in (found.first, found.second)]
    return replace(found, first=sides[0], second=sides[1])
