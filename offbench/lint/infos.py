"""Lint of the simulator states that ride along: frozen within episodes, or of another row than they stand in.

Published files have both. In D4RL's ``*_medium_replay-v1`` ``infos/qpos`` never moves within an episode; in
``antmaze-*-v0`` the ``infos`` of a row are the state that the row's action leads to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.lint.findings import Finding

# Extras that are states of the simulator and therefore move. Others (goals, targets) may well stand still.
STATES = ("qpos", "qvel")
_SAMPLE = 2000  # rows by which columns of a state and of the observation are paired
_SAME = 1e-5  # relative to 1 or the value, if larger: equal up to the rounding of a float32
_MOSTLY = 0.95


def lint_infos(trajectories: Trajectories) -> list[Finding]:
    """What is wrong with the extras named qpos and qvel, also below another name."""
    findings: list[Finding] = []
    for name in trajectories.extras:
        column = trajectories.extra(name)
        if name.rsplit("/", 1)[-1] in STATES and column.dtype.kind == "f" and column.size:
            flat = column.reshape(len(column), -1)
            frozen = list(_frozen(trajectories, name, flat))
            findings += frozen or _offset(trajectories, name, flat)
    return _merged(findings)


def _frozen(t: Trajectories, name: str, column: Array) -> Iterator[Finding]:
    """Episodes in which the state stands still although the observations move."""
    still = _still(column, t.offsets) & ~_still(_sources(t), t.offsets) & (t.lengths > 2)
    if not still.any():
        return
    episodes = np.flatnonzero(still)
    text = (
        f"infos/{name} never changes within {len(episodes)} of {len(t)} episodes while the observations do, first "
        f"episode {episodes[0]}; the state of every row would be right, so do not reset a simulator to these"
    )
    yield Finding("warning", "infos-frozen", text, len(episodes), int(t.offsets[episodes[0]]))


def _still(column: Array, offsets: Array) -> Array:
    """(episodes,) bool, whether no component changes within an episode."""
    flat = column.reshape(len(column), -1)
    moved = np.concatenate([(flat[1:] != flat[:-1]).any(axis=1), [False]])
    moved[offsets[1:] - 1] = False  # from one episode to the next
    moves = np.add.reduceat(moved.astype(np.int64), offsets[:-1])
    still: Array = moves == 0
    return still


def _sources(t: Trajectories) -> Array:
    """(steps, observation), the observation in which each step acts."""
    rows = np.ones(t.steps + len(t), dtype=bool)
    rows[t.offsets[1:] + np.arange(len(t))] = False
    return t.observations[rows].reshape(t.steps, -1)


# -------------------------------------------------------------------- rows out of step


class _Pairs(NamedTuple):
    """Columns of a state that equal columns of the observation ``lag`` rows further on."""

    lag: int
    state: Array
    observation: Array


def _offset(t: Trajectories, name: str, column: Array) -> Iterator[Finding]:
    observations = _sources(t)
    pairs = _pair(column, observations, t.offsets)
    if pairs is None or pairs.lag == 0:
        return
    far = "next" if pairs.lag > 0 else "previous"
    text = (
        f"infos/{name} of a row is the state of the {far} row ({len(pairs.state)} of its {column.shape[1]} columns "
        f"equal observations there, none here); the state in which the row's action was taken would be right"
    )
    yield Finding("warning", "infos-offset", text, t.steps)
    if pairs.lag > 0:
        # A state that is really the next observation tells where episodes were reset, whatever the flags say.
        continues = _equal(column[:-1], observations[1:], pairs)
        yield from _resets(t, continues)


def _resets(t: Trajectories, continues: Array) -> Iterator[Finding]:
    """Compare flags with ``continues`` (steps - 1,): whether the next row goes on from this one."""
    last = np.zeros(t.steps, dtype=bool)
    last[t.offsets[1:] - 1] = True
    inside = np.flatnonzero(~continues & ~last[:-1])
    if len(inside):
        first = int(inside[0])
        episode = int(np.searchsorted(t.offsets, first, side="right")) - 1
        text = (
            f"{len(inside)} rows inside episodes are followed by a row that does not go on from them, first row "
            f"{first} (step {first - int(t.offsets[episode])} of episode {episode}); an end of the episode belongs "
            f"there, or learners see the jump as a step"
        )
        yield Finding("error", "reset-inside-episode", text, len(inside), first)
    beyond = np.flatnonzero(continues & last[:-1])
    if len(beyond):
        text = (
            f"{len(beyond)} episodes go on in the row after the one flagged as their end, first row {beyond[0]}; the "
            f"flag belongs to the row before the reset"
        )
        yield Finding("warning", "end-flag-misplaced", text, len(beyond), int(beyond[0]))


def _pair(column: Array, observations: Array, offsets: Array) -> _Pairs | None:
    """The columns that agree, at the lag at which most do; a lag of 0 wins ties."""
    inner = np.ones(len(column), dtype=bool)
    inner[offsets[:-1]] = False
    inner[offsets[1:] - 1] = False
    rows = np.flatnonzero(inner)[:_SAMPLE]
    if len(rows) < 3:
        return None
    state = column[rows]
    moving = np.flatnonzero(np.ptp(state, axis=0) > 0)
    best: _Pairs | None = None
    for lag in (0, 1, -1):
        seen = observations[rows + lag]
        found = [(c, o) for c in moving.tolist() if (o := _partner(state[:, c], seen)) is not None]
        if found and (best is None or len(found) > len(best.state)):
            best = _Pairs(lag, np.array([c for c, _ in found]), np.array([o for _, o in found]))
    return best


def _partner(values: Array, observations: Array) -> int | None:
    """The column of the observations that equals the values in nearly all rows."""
    near = np.abs(observations - values[:, None]) <= _SAME * np.maximum(1.0, np.abs(values))[:, None]
    share = near.mean(axis=0)
    partner = int(np.argmax(share))
    return partner if share[partner] >= _MOSTLY else None


def _equal(column: Array, observations: Array, pairs: _Pairs) -> Array:
    """(rows,) bool, whether all paired columns agree."""
    state, seen = column[:, pairs.state], observations[:, pairs.observation]
    equal: Array = (np.abs(state - seen) <= _SAME * np.maximum(1.0, np.abs(state))).all(axis=1)
    return equal


def _merged(findings: list[Finding]) -> list[Finding]:
    """Without the findings about rows that two states make alike."""
    kept: dict[str, Finding] = {}
    for finding in findings:
        about_rows = finding.code in ("reset-inside-episode", "end-flag-misplaced")
        kept.setdefault(finding.code if about_rows else finding.message, finding)
    return list(kept.values())
