"""Whole episodes chosen out of the columns of trajectories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.rows import ranges, read_only

if TYPE_CHECKING:
    from jaxtyping import Int


def numbers_of(episodes: Any, count: int) -> Int[Array, " chosen"]:
    """The numbers of the episodes, of which there are ``count``, that an index chooses.

    Raises:
        IndexError: there is no episode of that number, or the index chooses no row of them.
    """
    if isinstance(episodes, tuple):
        episodes = list(episodes)
    chosen = np.atleast_1d(np.arange(count)[episodes])
    if chosen.ndim != 1:
        raise IndexError(f"episodes are chosen by one row of numbers or flags, not by shape {chosen.shape}")
    return chosen


def episodes_of(columns: Mapping[str, Array], chosen: Int[Array, " chosen"]) -> dict[str, Any]:
    """The columns of the chosen episodes, by the attributes of `Trajectories`: views where they follow one another.

    Args:
        columns: those of `Trajectories.columns`.
        chosen: numbers of episodes, in the order in which they shall stand.
    """
    offsets = columns["offsets"]
    first, last = offsets[chosen], offsets[chosen + 1]
    rows = {
        int(offsets[-1]): ranges(first, last),
        len(columns["observations"]): ranges(first + chosen, last + chosen + 1),
    }
    found: dict[str, Any] = {
        "offsets": np.concatenate([[0], np.cumsum(last - first)]).astype(np.int64),
        "final_observations": columns["final_observations"][chosen],
        "extras": {},
    }
    for name, column in columns.items():
        if name.startswith("extras/"):
            found["extras"][name.removeprefix("extras/")] = read_only(column[rows[len(column)]])
        elif name not in found:
            found[name] = column[rows[len(column)]]
    return found
