"""Every way in which a file of rows may say where its episodes end, made of Trajectories in plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np

from offbench.data.trajectories import Trajectories
from offbench.formats.row_names import NAMES

Columns = dict[str, Any]


def rows(t: Trajectories, following: bool = True) -> Columns:
    """The columns without flags, one row a step."""
    columns = {"observations": t.observations[t.sources], "actions": t.actions, "rewards": t.rewards}
    return columns | ({"next_observations": t.observations[t.sources + 1]} if following else {})


def state_rows(t: Trajectories) -> Columns:
    """The columns with T+1 rows an episode; what the last row of an action or reward holds means nothing."""
    columns: Columns = {"observations": t.observations}
    for name in ("actions", "rewards"):
        column = getattr(t, name)
        columns[name] = np.insert(column, t.offsets[1:], 7, axis=0)
    return columns


def ends(t: Trajectories) -> np.ndarray:
    last = np.zeros(t.steps, dtype=bool)
    last[t.offsets[1:] - 1] = True
    return last


def states_last(t: Trajectories) -> np.ndarray:
    last = np.zeros(len(t.observations), dtype=bool)
    last[t.offsets[1:] + np.arange(len(t))] = True
    return last


def of_states(t: Trajectories, flags: np.ndarray) -> np.ndarray:
    """Flags of steps at the states that they lead to."""
    found = np.zeros(len(t.observations), dtype=bool)
    found[t.sources[np.flatnonzero(flags)] + 1] = True
    return found


def first_rows(t: Trajectories) -> np.ndarray:
    first = np.zeros(t.steps, dtype=bool)
    first[t.offsets[:-1]] = True
    return first


# How flags say it: the columns by role. All episodes are whole, so that each says the same.
WAYS = {
    "terminals and timeouts": lambda t: rows(t) | {"terminals": t.terminations, "timeouts": t.truncations},
    "terminals and ends": lambda t: rows(t) | {"terminals": t.terminations, "ends": ends(t)},
    "done, which is either, and timeouts": lambda t: rows(t) | {"done": ends(t), "timeouts": t.truncations},
    "done, which is a termination, and timeouts": lambda t: (
        rows(t) | {"done": t.terminations, "timeouts": t.truncations}
    ),
    "done, which is either, and terminals": lambda t: rows(t) | {"done": ends(t), "terminals": t.terminations},
    "masks and ends": lambda t: rows(t) | {"masks": ~t.terminations, "ends": ends(t)},
    "masks, and terminals that are ends": lambda t: rows(t) | {"masks": ~t.terminations, "terminals": ends(t)},
    "is_last beside next observations": lambda t: rows(t) | {"terminals": t.terminations, "is_last": ends(t)},
    "rows of states": lambda t: state_rows(t) | {"is_last": states_last(t), "terminals": of_states(t, t.terminations)},
    "valids and masks": lambda t: (
        state_rows(t)
        | {"valids": ~states_last(t), "terminals": states_last(t)}
        | {"masks": np.insert(~t.terminations, t.offsets[1:], True)}
    ),
}


def named(columns: Columns, choose: Any) -> Columns:
    """The columns under names that the role may have; ``choose`` picks one of several."""
    return {choose(NAMES[role]): column for role, column in columns.items()}
