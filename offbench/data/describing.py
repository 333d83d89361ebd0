"""What a dataset's print says of it: for a person, a screen at most."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.provenance import Provenance

_OF_EVERY_DATASET = ("offsets", "terminations", "truncations", "final_observations")


def describe(
    origin: Provenance,
    columns: Mapping[str, Array],
    returns: Array | None,
    inside: int,
    action_range: tuple[Array, Array] | None,
) -> str:
    """Sizes, ends, returns, columns, and what there is to remark.

    Args:
        origin: where the data come from.
        columns: those of `Trajectories.columns`.
        returns: (episodes,), None where there are no rewards.
        inside: steps that terminate in episodes that go on.
        action_range: (low, high), where it is declared.
    """
    lengths = np.diff(columns["offsets"])
    lines = [f"{origin.dataset or 'trajectories'}: {len(lengths):,} episodes, {int(lengths.sum()):,} steps"]
    if origin.task:
        lines.append(f"  task      {origin.task}")
    if len(lengths):
        terminated, truncated = int(columns["terminations"].sum()) - inside, int(columns["truncations"].sum())
        lines += describe_ends(lengths, terminated, truncated, inside)
        lines += [] if returns is None else [describe_returns(returns)]
    lines += describe_columns(columns, action_range)
    return "\n".join(lines + [f"  note      {note}" for note in origin.notes])


def describe_ends(lengths: Array, terminated: int, truncated: int, inside: int) -> list[str]:
    """Lines on lengths and ends of episodes, of which there is at least one.

    Args:
        lengths: (episodes,), steps of each.
        terminated: episodes whose last step terminates.
        truncated: episodes whose last step is truncated.
        inside: steps that terminate in episodes that go on.
    """
    low, high = int(lengths.min()), int(lengths.max())
    spread = f"{low:,} steps each" if low == high else f"{low:,} to {high:,} steps, mean {lengths.mean():,.1f}"
    counts = {"terminated": terminated, "truncated": truncated, "cut off": len(lengths) - terminated - truncated}
    ends = ", ".join(f"{count:,} {how}" for how, count in counts.items() if count)
    lines = [f"  lengths   {spread}", f"  ends      {ends}"]
    return lines + ([f"  inside    {inside:,} steps terminate in episodes that go on"] if inside else [])


def describe_returns(returns: Array) -> str:
    """The line on the returns of at least one episode."""
    low, *quartiles, high = (f"{value:,.1f}" for value in np.quantile(returns, [0, 0.25, 0.5, 0.75, 1]))
    marks = f"lowest {low}, quartiles {', '.join(quartiles)}, highest {high}"
    return f"  returns   mean {returns.mean():,.1f}; {marks}"


def describe_columns(columns: Mapping[str, Array], action_range: tuple[Array, Array] | None) -> list[str]:
    """Lines on what the data hold beyond what every dataset has, and on what they lack."""
    held = [_described(name, column) for name, column in columns.items() if name not in _OF_EVERY_DATASET]
    lines = ["  columns   " + ", ".join(held)]
    if action_range is not None:
        lines.append(f"  actions   declared to lie within {bounds_text(action_range)}")
    absent = [name for name in ("actions", "rewards") if name not in columns]
    return lines + (["  without   " + ", ".join(absent)] if absent else [])


def _described(name: str, column: Array) -> str:
    """Name, size of a row and dtype: ``observations 11 float32``, ``rewards float32``."""
    size = " x ".join(map(str, column.shape[1:]))
    return " ".join(part for part in (name.removeprefix("extras/"), size, str(column.dtype.newbyteorder("="))) if part)


def bounds_text(bounds: tuple[Array, Array]) -> str:
    """A range of actions: ``-1 to 1`` where all components have the same."""
    low, high = bounds
    if low.size and (low == low.flat[0]).all() and (high == high.flat[0]).all():
        return f"{low.flat[0]:.6g} to {high.flat[0]:.6g}"
    return f"{low.tolist()} to {high.tolist()}"
