"""Columns with one row a step, whatever the rows that are stored: the layout of D4RL and of most buffers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.rows import Usable, sources_of
from offbench.errors import UnknownNameError

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

# D4RL's names of two columns.
ALIASES = {"terminals": "terminations", "timeouts": "truncations"}
_NEXT = "next_observations"


def names_of(columns: Mapping[str, Array]) -> list[str]:
    """What has one row a step, by name. ``columns`` are those of `Trajectories.columns`, as everywhere here."""
    flat = [name for name in ("actions", "rewards", "terminations", "truncations") if name in columns]
    extras = [name.removeprefix("extras/") for name in columns if name.startswith("extras/")]
    return list(dict.fromkeys(["observations", _NEXT, *flat, *extras]))


def column_of(columns: Mapping[str, Array], name: str, steps: Int[Array, " chosen"] | None = None) -> Array:
    """The rows of the chosen steps, by default of all: the stored column itself where that has one row a step.

    Raises:
        UnknownNameError: there is no column of that name.
    """
    name = ALIASES.get(name, name) if f"extras/{name}" not in columns else name
    if name not in names_of(columns):
        raise UnknownNameError("column", name, names_of(columns))
    offsets = columns["offsets"]
    count = int(offsets[-1])
    stored = "observations" if name == _NEXT else name
    column = columns[stored] if stored in columns else columns[f"extras/{name}"]
    if len(column) == count and name not in ("observations", _NEXT):
        return column if steps is None else column[steps]
    chosen = np.arange(count) if steps is None else steps
    rows: Array = column[sources_of(offsets, chosen) + (name == _NEXT)]
    return rows


def columns_of(columns: Mapping[str, Array]) -> dict[str, Array]:
    """All of them by name, stored columns as they are."""
    return {name: column_of(columns, name) for name in names_of(columns)}


def usable(columns: Mapping[str, Array]) -> Bool[Array, " steps"]:
    """The steps whose next observation was recorded, or is not needed since they terminate."""
    last = columns["offsets"][1:] - 1
    known = np.ones(int(columns["offsets"][-1]), dtype=bool)
    known[last] = columns["final_observations"] | columns["terminations"][last]
    return known


def sample(columns: Mapping[str, Array], count: int, seed: Any) -> dict[str, Array]:
    """The rows of ``count`` random usable steps, drawn with replacement; none where there is no such step."""
    offsets, last = columns["offsets"], columns["offsets"][1:] - 1
    known = Usable.of(offsets, ~(columns["final_observations"] | columns["terminations"][last]))
    if len(known) == 0:
        return {}
    chosen = known.steps(np.random.default_rng(seed).choice(len(known), size=count))
    return {name: column_of(columns, name, chosen) for name in names_of(columns)}
