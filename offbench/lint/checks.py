"""Lint: what is wrong with a dataset although it loads.

`lint` looks at Trajectories; `offbench.lint.files` also at the rows of a file, before reading has smoothed them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.lint.ends import lint_ends
from offbench.lint.findings import Expected, Finding, TaskFacts, ordered, place
from offbench.lint.infos import lint_infos

# Bounds may be met up to the rounding of a float32.
_BOUND_TOLERANCE = 1e-5
# An action component is called saturated if so many of its values lie on its own lowest or highest one.
_SATURATED = 0.25
# Fewer steps than this say nothing about clipped actions or a shift of the rewards.
_LEAST_STEPS = 20
# A shift is claimed where the formula fits the neighbouring step so much better, and leaves so little unexplained.
_BETTER, _UNEXPLAINED = 0.6, 0.7
_REWARD_TOLERANCE = 1e-3


def lint(trajectories: Trajectories, task: TaskFacts | None = None) -> list[Finding]:
    """Everything that can be found in trajectories, errors first.

    Args:
        trajectories: the data; an empty dataset has no findings.
        task: adds the checks of action bounds, episode limit and rewards.
    """
    if len(trajectories) == 0:
        return []
    findings = [
        *_constant_columns(trajectories),
        *lint_ends(trajectories, task),
        *_actions(trajectories, task),
        *_duplicates(trajectories),
        *lint_infos(trajectories),
        *_rewards(trajectories, task),
    ]
    codes = {finding.code for finding in findings}
    if "reset-inside-episode" in codes:  # which says the same of the same rows, and knows it for sure
        findings = [finding for finding in findings if finding.code != "jump-inside-episode"]
    findings += [Finding("note", "reading", note) for note in trajectories.provenance.notes]
    return ordered(findings)


# -------------------------------------------------------------------- columns and actions


def _constant_columns(t: Trajectories) -> Iterator[Finding]:
    if t.steps < 2:
        return
    for name, column in (("observations", t.observations), ("actions", t.actions), ("rewards", t.rewards)):
        if column is None or column.size == 0:
            continue
        flat = column.reshape(len(column), -1)
        constant = np.flatnonzero(flat.min(axis=0) == flat.max(axis=0))
        if len(constant) and name == "rewards":
            text = f"all rewards are {flat[0, 0]:g}, so that episodes differ in what they earn by their length alone"
            yield Finding("note", "constant-column", text)
        elif len(constant):
            columns = _list(constant)
            text = f"{name} never change in {columns}; a learner that divides by the deviation needs an epsilon"
            yield Finding("note", "constant-column", text, len(constant))


def _actions(t: Trajectories, task: TaskFacts | None) -> Iterator[Finding]:
    if t.actions is None or t.actions.dtype.kind != "f" or t.actions.size == 0:
        return
    flat = t.actions.reshape(t.steps, -1)
    if task is not None and task.action_low is not None and task.action_high is not None:
        yield from _out_of_range(t, flat, task.action_low.reshape(-1), task.action_high.reshape(-1), task.name)
    if t.steps < _LEAST_STEPS:
        return
    low, high = flat.min(axis=0), flat.max(axis=0)
    share = np.mean((flat == low) | (flat == high), axis=0)
    saturated = np.flatnonzero(share >= _SATURATED)
    if len(saturated):
        worst = int(np.argmax(share))
        text = (
            f"actions lie on their own lowest or highest value in at least {_SATURATED:.0%} of the rows in "
            f"{_list(saturated)} (column {worst}: {share[worst]:.0%}); they were clipped, so log-likelihoods of "
            f"squashed policies need a clamp"
        )
        yield Finding("note", "actions-saturated", text, len(saturated))


def _out_of_range(t: Trajectories, flat: Array, low: Array, high: Array, name: str) -> Iterator[Finding]:
    if low.shape != flat.shape[1:]:
        text = f"actions have {flat.shape[1]} components; {len(low)} would be right for {name}"
        yield Finding("error", "action-size", text)
        return
    low = low - _BOUND_TOLERANCE * np.maximum(1.0, np.abs(low))
    high = high + _BOUND_TOLERANCE * np.maximum(1.0, np.abs(high))
    outside = np.flatnonzero(((flat < low) | (flat > high)).any(axis=1))
    if len(outside):
        first = int(outside[0])
        text = (
            f"{len(outside)} actions lie outside the bounds {_range(low)} to {_range(high)} of {name}, first in "
            f"{place(t, first)}; the simulator clipped them, so clipped ones would be right"
        )
        yield Finding("error", "action-out-of-range", text, len(outside), first)


# -------------------------------------------------------------------- episodes


def _duplicates(t: Trajectories) -> Iterator[Finding]:
    seen: dict[bytes, int] = {}
    copies: list[tuple[int, int]] = []
    for episode, (first, last) in enumerate(zip(t.offsets[:-1].tolist(), t.offsets[1:].tolist(), strict=True)):
        sha = hashlib.sha256()
        # Without the final observation, which files may or may not have.
        for column in (t.observations[first + episode : last + episode], t.actions, t.rewards):
            if column is not None:
                part = column if column is not t.actions and column is not t.rewards else column[first:last]
                sha.update(np.ascontiguousarray(part).data)
        earlier = seen.setdefault(sha.digest(), episode)
        if earlier != episode:
            copies.append((earlier, episode))
    if copies:
        text = (
            f"{len(copies)} episodes repeat an earlier one, first episode {copies[0][1]} episode {copies[0][0]}; each "
            f"once would be right, or a split by episode lets training data into the rest"
        )
        yield Finding("warning", "duplicate-episodes", text, len(copies), int(t.offsets[copies[0][1]]))


# -------------------------------------------------------------------- rewards


def _rewards(t: Trajectories, task: TaskFacts | None) -> Iterator[Finding]:
    if task is None or task.expected_rewards is None or t.rewards is None:
        return
    expected = task.expected_rewards(t)
    if expected is None:
        return
    shift = _shift(t, expected)
    if shift:
        which, other = ("before", "late") if shift > 0 else ("after", "early")
        text = (
            f"rewards stand one row {other}: each is the reward of the step {which} it, by the formula of {task.name}; "
            f"the reward of a row should be that of its own action"
        )
        yield Finding("error", "rewards-shifted", text, t.steps)
        return
    if not expected.exact:
        return
    off = np.abs(t.rewards - expected.rewards)
    wrong = np.flatnonzero(expected.known & (off > _REWARD_TOLERANCE * np.maximum(1.0, np.abs(expected.rewards))))
    if len(wrong):
        first = int(wrong[0])
        text = (
            f"{len(wrong)} rewards are not those of {task.name}, first in {place(t, first)}: {t.rewards[first]:.6g}, "
            f"and {expected.rewards[first]:.6g} would be right"
        )
        yield Finding("warning", "rewards-differ", text, len(wrong), first)


def _shift(t: Trajectories, expected: Expected) -> int:
    """1 where rewards stand a row too late, -1 where too early, 0 otherwise or where nothing can be said."""
    assert t.rewards is not None
    inner = expected.known.copy()
    inner[1:] &= expected.known[:-1]
    inner[:-1] &= expected.known[1:]
    inner[t.offsets[:-1]] = False
    inner[t.offsets[1:] - 1] = False
    steps = np.flatnonzero(inner)
    if len(steps) < _LEAST_STEPS:
        return 0
    rewards = np.asarray(t.rewards[steps], dtype=np.float64)
    errors = {shift: float(np.abs(rewards - expected.rewards[steps - shift]).mean()) for shift in (-1, 0, 1)}
    spread = float(np.abs(rewards - np.median(rewards)).mean())
    best = min(errors, key=lambda shift: errors[shift])
    return best if errors[best] < _BETTER * errors[0] and errors[best] < _UNEXPLAINED * spread else 0


# -------------------------------------------------------------------- words


def _list(columns: Array) -> str:
    more = f" and {len(columns) - 8} more" if len(columns) > 8 else ""
    return f"column{'s' if len(columns) > 1 else ''} {', '.join(str(c) for c in columns[:8])}{more}"


def _range(bound: Array) -> str:
    return f"{bound[0]:.4g}" if (bound == bound[0]).all() else "[" + ", ".join(f"{x:.4g}" for x in bound) + "]"
