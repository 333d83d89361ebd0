"""What files call the columns of rows, and the flags that say where episodes end: one table for HDF5 and ``.npz``.

A flag means one of these, each (rows,) of 0 and 1:

    terminals   the task ended in this step: the bootstrap stops
    timeouts    the clock ended the episode after this step
    done        either of the two, or a termination only; the other flags of the file say which
    ends        the episode ends after this step, for whatever reason
    masks       1 - terminals; where they are not, terminals are ends of episodes (OGBench's single tasks)
    valids      0 in the last row of an episode, as is_last 1 (OGBench's compact layout)
    is_first    the first row of an episode
    is_last     the last row of an episode, which holds its final observation and no action (RLDS), unless the file has
                next observations
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from offbench.basis.shapes import Array
from offbench.errors import DataError

NAMES: dict[str, tuple[str, ...]] = {
    "observations": ("observations", "observation", "obs"),
    "next_observations": ("next_observations", "next_observation", "next_obs"),
    "actions": ("actions", "action"),
    "rewards": ("rewards", "reward"),
    "terminals": ("terminals", "terminal", "terminations", "termination", "terminated", "is_terminal"),
    "timeouts": ("timeouts", "timeout", "truncations", "truncation", "truncated"),
    "done": ("done", "dones"),
    "ends": ("episode_terminals", "episode_ends", "dones_float"),
    "masks": ("masks",),
    "valids": ("valids",),
    "is_first": ("is_first",),
    "is_last": ("is_last",),
}
FLAGS = ("terminals", "timeouts", "done", "ends", "masks", "valids", "is_first", "is_last")
_ROLES = {alias: role for role, aliases in NAMES.items() for alias in aliases}

# A column of 0 and 1 whose name has one of these words would be taken for an end by a reader of the name.
_LIKE_AN_END = re.compile(
    r"(?<![a-z])(dones?|terminals?|terminat\w*|truncat\w*|time_?outs?|time_limit\w*|ends?|ended|last|first|final|"
    r"resets?|episode_start\w*|absorbing)(?![a-z])",
    re.IGNORECASE,
)


def role(name: str) -> str | None:
    """What a column of that name is, by the names of `NAMES`; None if it is none of them."""
    return _ROLES.get(name)


def by_role(path: Path, arrays: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, str]]:
    """(columns by role, what the file calls each).

    Args:
        path: the file, for messages.
        arrays: by the file's names; those that have no role are left out.

    Raises:
        DataError: two columns of one role that differ.
    """
    columns: dict[str, Array] = {}
    names: dict[str, str] = {}
    for name, array in arrays.items():
        found = role(name)
        if found is None:
            continue
        if found in columns and not np.array_equal(columns[found].reshape(-1), array.reshape(-1)):
            both = sorted((names[found], name))
            raise DataError(
                f"{path} has both {both[0]} and {both[1]}, which differ; one column of {found} would be right"
            )
        if found not in columns:
            columns[found], names[found] = array, name
    return columns, names


def check_unread(path: Path, others: Mapping[str, Array], rows: int) -> None:
    """Raise DataError if a column that is not read as a flag looks like one: 0 and 1 a row, and named like an end.

    Args:
        path: the file, for messages.
        others: the columns without a role, by name.
        rows: of the file.
    """
    for name, array in others.items():
        if array.size != rows or array.dtype.kind not in "fiub" or not _LIKE_AN_END.search(name):
            continue
        flat = array.reshape(-1)
        if ((flat == 0) | (flat == 1)).all() and flat.any():
            raise DataError(
                f"{path} has a column {name!r} of 0 and 1 that is named like an end of episodes and not known; call it "
                "terminals (the task ended), timeouts (the clock did) or episode_ends (either), or leave it out"
            )


def lacking(present: Collection[str], *groups: str) -> list[str]:
    """A note on what a file has not, of the columns that D4RL's files have and of further groups.

    Args:
        present: roles, and groups, that it has.
        groups: names of further groups.
    """
    said = {"terminals": {"done", "masks", "ends", "is_last"}, "timeouts": {"ends", "is_first", "is_last", "valids"}}
    wanted = ("observations", "actions", "rewards", "terminals", "timeouts", "next_observations", *groups)
    absent = [name for name in wanted if name not in present and not said.get(name, set()) & set(present)]
    return [f"the file has no {', '.join(absent)}"] if absent else []


def described(names: Mapping[str, str]) -> list[str]:
    """A note on columns, named by role, that the file calls otherwise."""
    other = [f"{name} as {found}" for found, name in names.items() if name != found]
    return [f"read {', '.join(other)}"] if other else []
