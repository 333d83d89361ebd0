"""Where the episodes of a file of rows end, and why: its flags, its next observations and its motion, read together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.motion import motion
from offbench.errors import DataError

# Rows i and i+1 belong to one episode if next_observations[i] and observations[i+1] are this near, relative to the
# latter's norm where that exceeds 1 (the rule by which the official IQL code finds the ends of episodes).
SAME_OBSERVATION = 1e-6
_SHIFTED = 0.2  # share of ends, with the next row for a next observation, that jump where all are taken for shifted


class Ends(NamedTuple):
    """Ends of episodes, each (rows,) bool.

    Attributes:
        last: the last row of an episode.
        terminations: where the bootstrap stops.
        truncations: where the clock ended an episode; disjoint from terminations.
        final: of a last row, whether the file's next observation is the episode's final one.
    """

    last: Array
    terminations: Array
    truncations: Array
    final: Array


def find_ends(
    path: Path,
    columns: Mapping[str, Array],
    names: Mapping[str, str],
    limit: int | None,
    offsets: Array | None,
    notes: list[str],
) -> Ends:
    """The ends of episodes in rows.

    Episodes end at time-outs and at terminals; at a terminal they go on where the next row does (it is the step's next
    observation and no jump away), as behind an AntMaze's goal. Without time-outs they also end where
    ``next_observations`` does not continue in the next row, and after ``limit`` steps. A row with both flags is a
    termination. Columns of ``ends``, ``is_first`` and ``offsets`` say all ends, so that terminals beside them only stop
    the bootstrap. A tail without a flag is kept, as an episode that was cut off.

    Args:
        path: the file, for messages.
        columns: by role, see `offbench.formats.row_names`, flags as bools.
        names: what the file calls them, by role.
        limit: steps after which the task's clock truncates, for files without time-outs.
        offsets: (episodes + 1,) where the file says them itself.
        notes: remarks are added to it.

    Raises:
        DataError: nothing says where episodes end, or flags contradict each other.
    """
    rows = len(columns["observations"])
    columns = unmasked(columns, names, notes)
    terminations, truncations = end_flags(path, columns, names, notes)
    ends = _said(path, columns, offsets, rows)
    following = columns.get("next_observations")
    if ends is None and terminations is None and truncations is None and following is None and limit is None:
        raise DataError(f"nothing in {path} says where its episodes end; give their length as episode_limit")
    terminations = np.zeros(rows, dtype=bool) if terminations is None else terminations
    jumps = jump_mask(columns["observations"], following)
    if ends is not None:
        last = ends
        if truncations is None:  # offsets do not say why an episode ended, and what offbench cut off stays so
            truncations = ends & ~terminations if offsets is None else np.zeros(rows, dtype=bool)
    elif truncations is not None:
        last = _going_on(columns, terminations, truncations, jumps, notes) | truncations
    else:
        last = _going_on(columns, terminations, np.zeros(rows, dtype=bool), jumps, notes) | jumps
        truncations = _clock(last, limit) & ~terminations
        last = last | truncations
        notes.append(_how_cut(int((jumps & ~terminations).sum()), following is not None, limit))
    return _finished(columns, last, terminations, truncations & ~terminations, jumps, notes)


def unmasked(columns: Mapping[str, Array], names: Mapping[str, str], notes: list[str]) -> dict[str, Array]:
    """The columns with terminals in place of masks: a mask is 0 where the bootstrap stops, and nowhere else."""
    found = dict(columns)
    if "masks" not in found:
        return found
    masked = ~found.pop("masks")
    if "terminals" in found and not np.array_equal(found["terminals"], masked):
        found.setdefault("ends", found["terminals"])
        notes.append(
            f"{names['masks']} say where the bootstrap stops, so that {names['terminals']} are ends of episodes"
        )
    return found | {"terminals": masked}


def end_flags(
    path: Path, columns: Mapping[str, Array], names: Mapping[str, str], notes: list[str]
) -> tuple[Array | None, Array | None]:
    """(terminations, time-outs) as the flags say, None where nothing does."""
    terminals, timeouts, done = (columns.get(name) for name in ("terminals", "timeouts", "done"))
    if done is not None and terminals is None:
        both = timeouts is not None and timeouts.any() and not (timeouts & ~done).any()
        terminals = done & ~timeouts if both and timeouts is not None else done
        if both:
            notes.append(f"{names['done']} marks all {names['timeouts']} too; the other rows of it are terminations")
    elif done is not None and terminals is not None:
        either = terminals if timeouts is None else terminals | timeouts
        if timeouts is None and not (terminals & ~done).any():
            timeouts = done & ~terminals
            notes.append(f"rows of {names['done']} without {names['terminals']} are time-outs")
        elif not np.array_equal(done, either) and not np.array_equal(done, terminals):
            raise DataError(f"{names['done']} of {path} fits neither {names['terminals']} nor the time-outs; drop one")
    if terminals is not None and timeouts is not None:
        count = int((terminals & timeouts).sum())
        if count:
            notes.append(f"{count} rows are both terminal and timed out; they count as terminated")
    return terminals, timeouts


def _said(path: Path, columns: Mapping[str, Array], offsets: Array | None, rows: int) -> Array | None:
    """(rows,) the last rows of episodes where the file says them outright, else None."""
    last = columns.get("ends", columns.get("is_last"))
    if offsets is not None:
        sound = offsets.ndim == 1 and offsets.dtype.kind == "i" and len(offsets) > 1
        if not sound or offsets[0] != 0 or offsets[-1] != rows or (offsets[1:] <= offsets[:-1]).any():
            raise DataError(f"the offsets in the metadata of {path} are not those of its {rows} rows; write it anew")
        last = np.zeros(rows, dtype=bool)
        last[offsets[1:] - 1] = True
    if last is None and "is_first" in columns:
        last = np.append(columns["is_first"][1:], False)
    return last


def _going_on(
    columns: Mapping[str, Array], terminations: Array, truncations: Array, jumps: Array, notes: list[str]
) -> Array:
    """(rows,) the terminations that end an episode: not those after which the next row goes on.

    With next observations, one goes on that continues in the next row, no jump away. If the next observations of all
    ends continue, they are copies of the next row and tell nothing; then, and in files without, the motion tells, and
    without is believed only where most terminals that stand in a row go on, which no reset explains.
    """
    candidates = np.flatnonzero(terminations[:-1] & ~truncations[:-1] & ~jumps[:-1])
    if "next_observations" not in columns and not (terminations[candidates] & terminations[candidates + 1]).any():
        return terminations
    if len(candidates) == 0:
        return terminations
    moved = motion(columns["observations"], ~(terminations | truncations | jumps)[:-1])
    recorded = bool((jumps & (terminations | truncations)).any())
    goes_on = candidates[~moved.jumps[candidates] if recorded else moved.steps[candidates]]
    if "next_observations" not in columns:
        clusters = int((terminations[goes_on] & terminations[goes_on + 1]).sum())
        paired = int((terminations[candidates] & terminations[candidates + 1]).sum())
        if 2 * clusters <= paired:
            return terminations
    ending = terminations.copy()
    ending[goes_on] = False
    if len(goes_on):
        notes.append(
            f"{len(goes_on)} terminal rows are followed by a row that goes on from them; the bootstrap stops there and "
            "the episode does not"
        )
    return ending


def _finished(
    columns: Mapping[str, Array],
    last: Array,
    terminations: Array,
    truncations: Array,
    jumps: Array,
    notes: list[str],
) -> Ends:
    """What is left to say: the tail, jumps inside episodes, and which next observations are final ones."""
    rows, last = len(last), last.copy()
    following = columns.get("next_observations")
    inside = int((jumps & ~last).sum())
    if inside:
        notes.append(f"{inside} rows inside episodes have a next observation that is not the next row's observation")
    if not last[-1]:
        tail = rows - 1 - int(np.flatnonzero(last)[-1]) if last.any() else rows
        notes.append(f"the last {tail} steps have no end; they are kept as an episode that was cut off")
        last[-1] = True
    final = np.full(rows, following is not None)
    if following is None:
        notes.append("the last observation of each episode was not recorded and repeats the one before")
        return Ends(last, terminations, truncations, final)
    # A copy of the next row's observation, a reset away, is the next episode's first and not this one's last.
    copied = np.flatnonzero(last[:-1] & ~jumps[:-1])
    if len(copied):
        jumped = motion(columns["observations"], ~last[:-1]).jumps[copied]
        # A column that was shifted is so at every end; some resets lead near the end of the episode before.
        beyond = copied if jumped.mean() > _SHIFTED else copied[jumped]
        final[beyond] = False
        if len(beyond):
            notes.append(
                f"next_observations of {len(beyond)} last steps are the next episode's first observation; the final "
                "observations of these episodes count as not recorded"
            )
    return Ends(last, terminations, truncations, final)


def _how_cut(jumps: int, has_next: bool, limit: int | None) -> str:
    ways = ["at terminals"]
    if has_next:
        ways.append(f"at {jumps} further rows whose next observation is not the next row's observation")
    if limit is not None:
        ways.append(f"after {limit} steps")
    return f"without timeouts, episodes end {', '.join(ways)}{' only' if len(ways) == 1 else ''}"


def jump_mask(observations: Array, following: Array | None) -> Array:
    """(rows,) bool, where the next observation differs from the next row's observation; False in the last row."""
    jumps = np.zeros(len(observations), dtype=bool)
    if following is None:
        return jumps
    inner = tuple(range(1, observations.ndim))
    differs = (observations[1:] != following[:-1]).any(axis=inner)
    where = np.flatnonzero(differs)  # few, so that distances are computed for few
    expected = observations[where + 1].astype(np.float64)
    with np.errstate(invalid="ignore"):  # an infinite observation is refused later, with its row
        distance = np.sqrt(np.square(following[where] - expected).sum(axis=inner))
    near = distance <= SAME_OBSERVATION * np.maximum(1.0, np.sqrt(np.square(expected).sum(axis=inner)))
    jumps[where] = ~near  # NaN is near nothing
    return jumps


def _clock(last: Array, limit: int | None) -> Array:
    """(rows,) bool, every ``limit``-th step of an episode, where ``last`` (rows,) marks the ends known so far."""
    if limit is None:
        return np.zeros(len(last), dtype=bool)
    starts = np.concatenate([[0], np.flatnonzero(last[:-1]) + 1])
    step = np.arange(len(last)) - np.repeat(starts, np.diff(starts, append=len(last)))
    reached: Array = (step + 1) % limit == 0
    return reached
