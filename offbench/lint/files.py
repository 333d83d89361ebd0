"""Lint of a file before it is read: what reading would refuse, smooth over or decide.

Reading refuses NaN and unequal lengths at the first one; here all of them are named, and then what is left is checked
as Trajectories.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.formats import shards, table
from offbench.formats.row_ends import end_flags, jump_mask, unmasked
from offbench.formats.row_names import FLAGS
from offbench.formats.rows import from_rows, usable_infos
from offbench.lint.checks import lint
from offbench.lint.findings import Finding, Severity, TaskFacts, ordered


def lint_file(path: Path | str, task: TaskFacts | None = None, reader: str | None = None) -> list[Finding]:
    """Everything that can be found in a file or folder of a format in `offbench.formats.table`, errors first.

    Args:
        path: the file or folder.
        task: what the data should keep.
        reader: name of its format; by default it is recognised.

    Raises:
        DataError: it is missing, of another kind, or damaged.
    """
    path = Path(path)
    if reader is None and shards.files_of(path):
        return lint(shards.load(path), task)
    found = table.named(reader) if reader else table.recognise(path)
    rows = found.raw_rows(path)
    if rows is None:
        return lint(found.read(path, verify=True), task)
    return _linted(path, *rows, task, lambda limit: found.read(path, episode_limit=limit))


def lint_rows(
    path: Path, columns: Mapping[str, Array], infos: Mapping[str, Array], task: TaskFacts | None = None
) -> list[Finding]:
    """Everything that can be found in rows, errors first; the columns are those of `offbench.formats.row_names`.

    Rows that cannot become Trajectories get the checks of rows only.
    """

    def read(limit: int | None) -> Trajectories:
        usable = usable_infos(infos, len(columns["observations"]), [])
        made = from_rows(path, columns, usable, [], episode_limit=limit)
        return replace(made, provenance=replace(made.provenance, notes=()))  # of reading a file, which this is not

    return _linted(path, columns, infos, task, read)


def _linted(
    path: Path,
    columns: Mapping[str, Array],
    infos: Mapping[str, Array],
    task: TaskFacts | None,
    read: Callable[[int | None], Trajectories],
) -> list[Finding]:
    """What is found in rows, and in the Trajectories that ``read`` makes of them, given an episode limit."""
    named = dict(columns) | {f"infos/{name}": column for name, column in infos.items()}
    findings = [*_lengths(named), *_finite(named), *_flags(columns)]
    if any(finding.severity == "error" for finding in findings):
        return ordered(findings)
    try:
        said = _said(path, columns)
        findings += [] if said is None else _ends(said, task)
        limit = None if task is None or _tells_timeouts(columns) else task.episode_limit
        trajectories = read(limit)
    except DataError as error:
        return ordered([*findings, Finding("error", "unreadable", str(error))])
    findings += _copied(columns, trajectories)
    known = {finding.code for finding in findings}
    return ordered([*findings, *(each for each in lint(trajectories, task) if each.code not in known)])


def _tells_timeouts(columns: Mapping[str, Array]) -> bool:
    return not {"timeouts", "ends", "is_first", "is_last", "valids"}.isdisjoint(columns)


def _said(path: Path, columns: Mapping[str, Array]) -> dict[str, Array] | None:
    """The columns with what their flags say as terminals and timeouts; None of rows of states, whose layout says it."""
    if "valids" in columns or ("is_last" in columns and "next_observations" not in columns):
        return None
    flat = {name: column.reshape(-1).astype(bool) if name in FLAGS else column for name, column in columns.items()}
    names = {name: name for name in columns}
    flat = unmasked(flat, names, [])
    terminals, timeouts = end_flags(path, flat, names, [])
    if timeouts is None and (ends := flat.get("ends", flat.get("is_last"))) is not None:
        timeouts = ends if terminals is None else ends & ~terminals
    rest = {name: column for name, column in flat.items() if name not in FLAGS}
    told = {"terminals": terminals, "timeouts": timeouts}
    return rest | {name: column for name, column in told.items() if column is not None}


# -------------------------------------------------------------------- checks of rows


def _lengths(named: Mapping[str, Array]) -> Iterator[Finding]:
    if "observations" not in named or len(named["observations"]) == 0:
        yield Finding("error", "no-observations", "the file has no rows of observations; one a step would be right")
        return
    rows = len(named["observations"])
    for name, column in named.items():
        if len(column) != rows:
            text = f"{name} has {len(column)} rows; {rows} would be right, as in observations"
            yield Finding(_severity(name), "lengths-differ", text, abs(len(column) - rows))
    following, shape = named.get("next_observations"), named["observations"].shape
    if following is not None and len(following) == rows and following.shape != shape:
        text = f"next_observations has shape {following.shape}; {shape} would be right, as of observations"
        yield Finding("error", "lengths-differ", text)


def _finite(named: Mapping[str, Array]) -> Iterator[Finding]:
    for name, column in named.items():
        if column.dtype.kind != "f":
            continue
        wrong = np.flatnonzero(~np.isfinite(column).all(axis=tuple(range(1, column.ndim))))
        if len(wrong):
            text = (
                f"{name} has NaN or infinite values in {len(wrong)} rows, first in row {wrong[0]}; finite ones would "
                f"be right"
            )
            yield Finding(_severity(name), "not-finite", text, len(wrong), int(wrong[0]))


def _severity(name: str) -> Severity:
    """Of what is wrong with a column: infos are left out, and the rest is read without them."""
    return "warning" if name.startswith("infos/") else "error"


def _flags(columns: Mapping[str, Array]) -> Iterator[Finding]:
    for name in FLAGS:
        column = columns.get(name)
        if column is None:
            continue
        wrong = np.flatnonzero(((column != 0) & (column != 1)).any(axis=tuple(range(1, column.ndim))))
        if len(wrong):
            text = f"{name} is {column[wrong[0]]} in row {wrong[0]}; only 0 and 1 are flags"
            yield Finding("error", "flags-not-binary", text, len(wrong), int(wrong[0]))


def _ends(columns: Mapping[str, Array], task: TaskFacts | None) -> Iterator[Finding]:
    rows = len(columns["observations"])
    terminals, timeouts = (
        np.asarray(columns.get(name, np.zeros(rows))).reshape(-1).astype(bool) for name in ("terminals", "timeouts")
    )
    if len(terminals) != rows or len(timeouts) != rows:
        return  # not one flag a row; reading says so
    both = np.flatnonzero(terminals & timeouts)
    if len(both):
        text = (
            f"{len(both)} rows are terminal and timed out at once, first row {both[0]}; only one can be right (D4RL's "
            f"loader drops such rows, offbench counts them as terminated)"
        )
        yield Finding("warning", "both-end-flags", text, len(both), int(both[0]))
    jumping = np.flatnonzero(
        jump_mask(columns["observations"], columns.get("next_observations")) & ~terminals & ~timeouts
    )
    if timeouts.any():
        if len(jumping):
            text = (
                f"next_observations of {len(jumping)} rows inside episodes are not the next row's observation, first "
                f"row {jumping[0]}; equal ones, or an end of the episode there, would be right"
            )
            yield Finding("error", "next-observation-mismatch", text, len(jumping), int(jumping[0]))
    else:
        yield from _missing_timeouts(columns, terminals, jumping, task)


def _copied(columns: Mapping[str, Array], trajectories: Trajectories) -> Iterator[Finding]:
    """Next observations that run on into the next episode, as of a column that was only shifted."""
    assert trajectories.final_observations is not None
    lost = np.flatnonzero(~trajectories.final_observations)
    if "next_observations" in columns and len(lost):
        row = int(trajectories.offsets[lost[0] + 1]) - 1
        text = (
            f"next_observations of {len(lost)} last rows of episodes are the next episode's first observation, first "
            f"row {row}; the observation that the episode ended with would be right, and a time-out there is left out"
        )
        yield Finding("warning", "next-observations-copied", text, len(lost), row)


def _missing_timeouts(
    columns: Mapping[str, Array], terminals: Array, jumping: Array, task: TaskFacts | None
) -> Iterator[Finding]:
    """No row is flagged as a time-out: is that likely?"""
    what = "no row of timeouts is set" if "timeouts" in columns else "there is no column timeouts"
    if len(jumping):
        text = (
            f"{what}, but {len(jumping)} rows without a terminal are followed by another episode, first row "
            f"{jumping[0]}; a time-out there would be right, and without one D4RL's loader joins the two"
        )
        yield Finding("warning", "missing-timeouts", text, len(jumping), int(jumping[0]))
        return
    ends = np.flatnonzero(terminals)
    bounds = np.unique(np.concatenate([[-1], ends, [len(terminals) - 1]]))
    longest = int(np.diff(bounds).max())
    if task is not None and task.episode_limit is not None and longest > task.episode_limit:
        first = int(bounds[int(np.argmax(np.diff(bounds)))]) + 1
        text = (
            f"{what}, but {longest} rows from row {first} on have no end, and {task.name} stops after "
            f"{task.episode_limit} steps; a time-out at that clock would be right"
        )
        yield Finding("warning", "missing-timeouts", text, 1, first)
    elif "timeouts" not in columns and "next_observations" not in columns:
        text = f"{what} and no next_observations, so episodes are known to end at their {len(ends)} terminals only"
        yield Finding("note", "no-timeouts-column", text)
