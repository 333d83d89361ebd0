"""Several datasets as one: their episodes one after the other, in the columns that all of them have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.describing import bounds_text
from offbench.data.provenance import mixed, short
from offbench.data.trajectories import Trajectories
from offbench.data.validation import ACTION_TOLERANCE
from offbench.errors import DataError

Range = tuple[Array, Array]

# What a learner reads: never left out without being asked for.
_LEARNT_FROM = ("observations", "actions", "rewards")
_SAME_BOUND = 1e-5  # relative: 0.4 in float32 and in float64 are one bound


def concatenate(
    *parts: Trajectories | Iterable[Trajectories], action_range: tuple[Any, Any] | None = None
) -> Trajectories:
    """All episodes of all parts, in order: ``offbench.concatenate([a, b])``, which ``a + b`` is short for.

    Extras that not all parts have, or have in another shape, are left out; those that some hold with one row a step
    have one row a step. Notes in the provenance say what was left out, and the name is those of the parts.

    A part that declares no range of actions takes that of the others, where its actions keep it.

    Args:
        parts: datasets, or lists of them.
        action_range: (low, high), numbers or one number a component: the range of the actions of all parts, where they
            declare different ones but are in the same units.

    Raises:
        DataError: no part, or parts that differ in the size of observations or actions, in having actions or rewards,
            or in the range of actions.
    """
    given_parts: list[Any] = [
        part for given in parts for part in ([given] if isinstance(given, Trajectories) else _listed(given))
    ]
    if not given_parts:
        raise DataError("nothing to concatenate: give at least one Trajectories")
    for part in given_parts:
        if not isinstance(part, Trajectories):
            raise DataError(f"only Trajectories can be concatenated, not {type(part).__name__}; load it first")
    chosen: list[Trajectories] = given_parts
    if len(chosen) == 1 and action_range is None:
        return chosen[0]
    for name in _LEARNT_FROM:
        _check_alike(name, chosen)
    notes: list[str] = []
    extras = {name: np.concatenate(columns) for name, columns in _common_extras(chosen, notes).items()}
    shift = np.cumsum([0] + [part.steps for part in chosen])
    starts = [part.offsets[:-1] + before for part, before in zip(chosen, shift[:-1], strict=True)]
    plain = [name for name in chosen[0].columns() if not name.startswith("extras/") and name != "offsets"]
    joined: dict[str, Any] = {name: np.concatenate([p.columns()[name] for p in chosen]) for name in plain}
    return replace(
        chosen[0],
        offsets=np.concatenate([*starts, shift[-1:]]).astype(np.int64),
        extras=extras,
        action_range=_range_of(chosen, action_range, notes),
        provenance=mixed([part.provenance for part in chosen], notes),
        **joined,
    )


def _listed(given: Any) -> list[Any]:
    """The parts of an argument that is not Trajectories itself."""
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str | bytes) else [given]


def _check_alike(name: str, parts: Sequence[Trajectories]) -> None:
    """Whether a column that learners read has rows of one shape and kind in all parts, or is in none."""
    first = parts[0]
    columns = [getattr(part, name) for part in parts]
    for part, column in zip(parts, columns, strict=True):
        if (column is None) != (columns[0] is None):
            has, lacks = (part, first) if columns[0] is None else (first, part)
            raise DataError(
                f"{_told(lacks)} has no {name} and {_told(has)} has; give all parts {name}, or leave them out of all "
                f"with .without({name!r})"
            )
        if column is None:
            continue
        if column.shape[1:] != columns[0].shape[1:]:
            one, two = _size(columns[0]), _size(column)
            raise DataError(
                f"{name} of {_told(first)} hold {one} and those of {_told(part)} hold {two}; data of one environment, "
                "whose sizes agree, can be mixed"
            )
        if (column.dtype.kind == "f") != (columns[0].dtype.kind == "f"):
            raise DataError(
                f"{name} of {_told(first)} are {columns[0].dtype} and those of {_told(part)} are {column.dtype}; whole "
                "and real numbers are not mixed"
            )


def _size(column: Array) -> str:
    shape = column.shape[1:]
    return f"{shape[0]} numbers" if len(shape) == 1 else f"the shape {shape}"


def _told(part: Trajectories) -> str:
    """What messages call a part among others."""
    return short(part.provenance.dataset) or "a part without a name"


def _common_extras(parts: Sequence[Trajectories], notes: list[str]) -> dict[str, list[Array]]:
    """The extras that fit together, a column a part, by name; notes name those that do not."""
    names = list(dict.fromkeys(name for part in parts for name in part.extras))
    found: dict[str, list[Array]] = {}
    lacking, unlike = [], []
    for name in names:
        columns = [part.extras.get(name) for part in parts]
        here = [column for column in columns if column is not None]
        if len(here) < len(parts):
            lacking.append(name)
        elif len({(column.shape[1:], column.dtype.kind) for column in here}) > 1:
            unlike.append(name)
        elif all(len(column) == len(part.observations) for column, part in zip(here, parts, strict=True)):
            found[name] = here
        else:
            found[name] = [part.extra(name) for part in parts]
    if lacking:
        notes.append(f"left out, since not all parts have them: {', '.join(lacking)}")
    if unlike:
        notes.append(f"left out, since the parts have them in other shapes or kinds: {', '.join(unlike)}")
    return found


def _range_of(parts: Sequence[Trajectories], given: tuple[Any, Any] | None, notes: list[str]) -> Range | None:
    """The range that the actions of all parts keep: the one given, else the one that is declared."""
    if parts[0].actions is None:
        return None
    if given is not None:
        low, high = (np.broadcast_to(np.float32(bound), parts[0].actions.shape[1:]) for bound in given)
        return low, high
    declaring = [part for part in parts if part.action_range is not None]
    if not declaring:
        return None
    first = declaring[0].action_range
    assert first is not None
    for part in declaring[1:]:
        if part.action_range is not None and not _same(part.action_range, first):
            raise DataError(
                f"{_told(declaring[0])} declares actions from {bounds_text(first)} and {_told(part)} from "
                f"{bounds_text(part.action_range)}; if both are in the same units, say which range counts: "
                "offbench.concatenate([...], action_range=(low, high))"
            )
    for part in parts:
        if part.action_range is not None:
            continue
        assert part.actions is not None
        if not _keeps(part.actions, first):
            raise DataError(
                f"actions of {_told(part)} reach from {part.actions.min():.4g} to {part.actions.max():.4g}, and "
                f"{_told(declaring[0])} declares {bounds_text(first)}; if both are in the same units, say which range "
                "counts: offbench.concatenate([...], action_range=(low, high))"
            )
        task = declaring[0].provenance.task
        whose = f"that of {task}, as {_told(declaring[0])} declares it" if task else f"that of {_told(declaring[0])}"
        notes.append(f"{_told(part)} declares no range of actions and keeps {whose}, {bounds_text(first)}")
    return first


def _same(one: Range, other: Range) -> bool:
    pairs = zip(one, other, strict=True)
    return all(a.shape == b.shape and np.allclose(a, b, rtol=_SAME_BOUND, atol=0) for a, b in pairs)


def _keeps(actions: Array, bounds: Range) -> bool:
    low, high = bounds
    slack = ACTION_TOLERANCE * np.maximum(1.0, np.maximum(np.abs(low), np.abs(high)))
    return bool(actions.size == 0 or ((actions >= low - slack) & (actions <= high + slack)).all())
