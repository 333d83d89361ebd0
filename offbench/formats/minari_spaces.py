"""The spaces in the metadata of a Minari dataset, which are JSON: shapes of arrays and bounds of actions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.validation import ACTION_TOLERANCE
from offbench.errors import DataError


def entry_shapes(
    folder: Path, space: object, what: str, jpeg: bool, unread: set[str] | None = None
) -> dict[str, tuple[int, ...]] | None:
    """Shape of every array of a space by path, "" for one that is no dictionary; None where none is described.

    Entries of a dictionary that are no arrays of numbers (texts, pictures) go to ``unread``, if that is given.
    """
    if space is None:
        return None
    try:
        return _leaves(space, jpeg, unread)
    except _RefusedError as error:
        reason = f"is {error}; arrays of numbers, or dictionaries of them, are read"
        raise DataError(f"the {what} space of {folder} {reason}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"the {what} space of {folder} is damaged ({error!r}); fetch the dataset anew") from error


class _RefusedError(Exception):
    """A space that no column of numbers can hold; the text says which."""


def _leaves(space: Any, jpeg: bool, unread: set[str] | None, above: str = "") -> dict[str, tuple[int, ...]]:
    kind = space["type"]
    if kind == "Dict":
        found: dict[str, tuple[int, ...]] = {}
        for name, part in space["subspaces"].items():
            try:
                below = _leaves(part, jpeg, unread, f"{above}{name}/")
            except _RefusedError:
                if unread is None:
                    raise
                unread.add(f"observations/{above}{name}")
                continue
            found |= {f"{name}/{path}".rstrip("/"): shape for path, shape in below.items()}
        return found
    if kind == "Box":
        shape = tuple(int(length) for length in space["shape"])
        # The rule by which minari takes a box for an image.
        if jpeg and space["dtype"] == "uint8" and len(shape) in (2, 3) and min(shape[:2]) >= 32:
            raise _RefusedError("or holds an image, which Minari keeps as JPEG")
        return {"": shape}
    if kind == "Discrete":
        return {"": ()}
    if kind == "MultiDiscrete":
        return {"": np.shape(space["nvec"])}
    if kind == "MultiBinary":
        return {"": tuple(int(length) for length in np.atleast_1d(space["n"]))}
    if kind in ("Tuple", "Text"):
        raise _RefusedError(f"or holds a {kind.lower()}")
    raise _RefusedError(f"of the unknown kind {str(kind)[:40]!r}")


# Metadata of ours: whether the data declared a range of actions, which a discrete space always has.
DECLARED = "action_range_declared"
DISCRETE = ("Discrete", "MultiDiscrete", "MultiBinary")


def whole(space: dict[str, Any] | None, column: Array) -> Array:
    """A column as integers where its space is discrete and it holds whole numbers as floats; else as it is."""
    if space is None or space.get("type") not in DISCRETE or column.dtype.kind != "f":
        return column
    return column.astype(np.int64) if (column == np.rint(column)).all() else column


def discrete_range(space: dict[str, Any] | None) -> tuple[Array, Array] | None:
    """The lowest and the highest action, (1,) float32 each, of a Discrete space; None for any other."""
    if space is None or space.get("type") != "Discrete":
        return None
    try:
        start = int(space.get("start", 0))
        return np.array([start], np.float32), np.array([start + int(space["n"]) - 1], np.float32)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def action_range(
    folder: Path, space: dict[str, Any] | None, actions: Array, notes: list[str]
) -> tuple[Array, Array] | None:
    """The bounds of a box of actions, where they are finite and the data keep them."""
    if space is None or space.get("type") != "Box":
        return None
    try:
        low, high = (np.asarray(space[side], dtype=np.float32).reshape(-1) for side in ("low", "high"))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"the action space of {folder} is damaged ({error!r}); fetch the dataset anew") from error
    if low.shape != actions.shape[1:] or high.shape != low.shape:
        raise DataError(
            f"the action space of {folder} bounds {low.shape} numbers, and actions hold {actions.shape[1:]}"
        )
    # Infinite bounds, or those that the dtype has anyway, say nothing.
    whole = np.iinfo(actions.dtype) if actions.dtype.kind in "iu" else np.finfo(np.float32)
    finite = np.isfinite(low).all() and np.isfinite(high).all()
    if not finite or ((low <= whole.min) & (high >= whole.max)).all():
        notes.append("the action space has no bounds, so that no range of actions is declared")
        return None
    slack = ACTION_TOLERANCE * np.maximum(1.0, np.maximum(np.abs(low), np.abs(high)))
    outside = int(((actions < low - slack) | (actions > high + slack)).any(axis=1).sum())
    if outside:
        notes.append(f"{outside} actions lie outside the action space, so that no range of actions is declared")
        return None
    return low, high
