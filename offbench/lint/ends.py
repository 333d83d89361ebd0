"""Lint of the ends of episodes: which flag is missing, which is another than it says, and where an end lacks one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.motion import motion
from offbench.data.trajectories import Trajectories
from offbench.lint.findings import Finding, TaskFacts, place

_LEAST_EPISODES = 5  # that end in one step before a clock is suspected
# Of data larger than that, jumps are looked for in so many of their rows.
_MANY_ROWS, _SOME_ROWS, _SOME_BYTES = 2**24, 2**22, 2**28


def lint_ends(trajectories: Trajectories, task: TaskFacts | None = None) -> list[Finding]:
    """What is wrong with the ends of episodes: the part of the lint that decides where a learner bootstraps."""
    if len(trajectories) == 0:
        return []
    return [
        *_without_flag(trajectories),
        *_beyond_limit(trajectories, task),
        *_terminated_by_clock(trajectories, task),
        *_terminations_inside(trajectories),
        *_jumps(trajectories),
    ]


def _without_flag(t: Trajectories) -> Iterator[Finding]:
    last = t.offsets[1:] - 1
    cut = np.flatnonzero(~(t.terminations[last] | t.truncations[last]))
    if len(cut) > 1:
        text = (
            f"{len(cut)} episodes end without a flag, first episode {cut[0]} in row {last[cut[0]]}; time-outs should "
            f"carry one, because a termination stops the bootstrap and a time-out does not"
        )
        yield Finding("warning", "missing-timeouts", text, len(cut), int(last[cut[0]]))
    elif len(cut) == 1:
        text = f"episode {cut[0]} ends in row {last[cut[0]]} without a flag: it was cut off, and counts as truncated"
        yield Finding("note", "cut-off", text, 1, int(last[cut[0]]))


def _beyond_limit(t: Trajectories, task: TaskFacts | None) -> Iterator[Finding]:
    if task is None or task.episode_limit is None:
        return
    limit, lengths, last = task.episode_limit, t.lengths, t.offsets[1:] - 1
    longer = np.flatnonzero(lengths > limit)
    if len(longer) == 0:
        return
    first, count = int(longer[0]), len(longer)
    start = (
        f"{count} of {len(t)} episodes are longer than the {limit} steps of {task.name}, first episode {first} with "
        f"{lengths[first]}"
    )
    if not t.truncations.any() or (lengths[t.truncations[last]] == limit).any():
        text = f"{start}; time-outs are missing, and an episode that goes on behind one joins two that do not meet"
        yield Finding("warning", "missing-timeouts", text, count, int(t.offsets[first]))
    else:
        text = f"{start}; they were recorded under another clock, so their returns are no returns of this task"
        yield Finding("note", "longer-than-limit", text, count, int(t.offsets[first]))


def _terminated_by_clock(t: Trajectories, task: TaskFacts | None) -> Iterator[Finding]:
    """Terminations at the clock's own step: what gym called done was an end for either reason."""
    last = t.offsets[1:] - 1
    ended = np.flatnonzero(t.terminations[last])
    if len(ended) == 0 or t.truncations.any():
        return
    longest = int(t.lengths.max())
    limit = longest if task is None or task.episode_limit is None else task.episode_limit
    at_limit = ended[t.lengths[ended] == limit]
    never = task is not None and task.terminates is False
    if never:
        at_limit = ended
    # A task may end itself in its last step now and then; that no episode ran out of time would be the wonder.
    if not never and (len(at_limit) < _LEAST_EPISODES or limit != longest or 2 * len(at_limit) < len(t)):
        return
    why = f"{task.name} never terminates" if never and task is not None else "so that a clock seems to have ended them"
    where = "" if never else f" in step {limit}, the last of the longest"
    text = (
        f"{len(at_limit)} of {len(t)} episodes terminate{where}, {why}; mark them as time-outs, because a termination "
        "stops the bootstrap and a time-out does not"
    )
    yield Finding("warning", "terminated-by-clock", text, len(at_limit), int(last[at_limit[0]]))


def _terminations_inside(t: Trajectories) -> Iterator[Finding]:
    inside = t.inner_terminations
    if len(inside):
        text = (
            f"{len(inside)} steps terminate inside episodes that go on, first in {place(t, int(inside[0]))}; the "
            "bootstrap stops there, and returns and windows go on"
        )
        yield Finding("note", "terminations-inside", text, len(inside), int(inside[0]))


def _jumps(whole: Trajectories) -> Iterator[Finding]:
    """Steps inside episodes that move farther than any step does: an end that nothing marks, or a teleport."""
    chosen = _looked_at(whole)
    t = whole if len(chosen) == len(whole) else whole[chosen]
    inside = np.ones(len(t.observations) - 1, dtype=bool)
    inside[t.offsets[1:-1] + np.arange(len(t) - 1)] = False  # from a final observation to the next episode
    last = t.offsets[1:] - 1
    assert t.final_observations is not None
    if not t.final_observations.all():
        inside[(t.sources[last])[~t.final_observations]] = False  # these rows repeat the one before
    moved = motion(t.observations, inside)
    jumps = np.flatnonzero(inside & moved.jumps)
    if len(jumps):
        episodes = np.searchsorted(t.offsets[1:] + np.arange(1, len(t) + 1), jumps, side="right")
        row = int(jumps[0] - episodes[0])
        row += int(whole.offsets[chosen[episodes[0]]] - t.offsets[episodes[0]])
        some = "" if t is whole else f"of {len(t):,} of {len(whole):,} episodes that were looked at, "
        text = (
            f"{some}{len(jumps)} steps inside episodes move at least {moved.far[jumps].min():.1f} times as far as "
            f"steps do, first {place(whole, row)}; if the environment was reset there, an end of the episode is "
            "missing, and a learner sees the jump as a step"
        )
        yield Finding("warning", "jump-inside-episode", text, len(jumps), row)


def _looked_at(t: Trajectories) -> Array:
    """The episodes in which jumps are looked for: all, or of many evenly spaced ones."""
    rows = len(t.observations)
    if rows <= _MANY_ROWS:
        return np.arange(len(t))
    few = min(_SOME_ROWS, _SOME_BYTES * rows // max(1, t.observations.nbytes))
    return np.unique(np.linspace(0, len(t) - 1, max(1, len(t) * few // rows)).astype(np.int64))
