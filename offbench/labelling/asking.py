"""Preferences from any teacher: pairs of random segments, shown one after the other to something that answers.

A teacher is any callable ``teacher(first, second)``. Each segment is given as `Trajectories` of one episode, cut from
the data with all of their columns: ``observations`` (length + 1 rows), ``actions``, ``rewards`` where there are some,
extras. It returns 0 if the first is better, 1 if the second is, 0.5 for a tie, and None or -1 where it is unsure: such
a pair is left out and replaced, as in RL-VLM-F (Wang et al. 2024, https://arxiv.org/abs/2402.03681), not called a tie.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from offbench.data.preferences import Preferences
from offbench.data.segments import Segments, draw
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, OffbenchError
from offbench.labelling.answers import Answers, kept
from offbench.labelling.contract import Answer, answer_of

Teacher = Callable[[Trajectories, Trajectories], Any]
Tell = Callable[[int, int], None]
# A teacher who is unsure of so many pairs for each that is kept, one more at the start, is of no use.
MOST_UNSURE = 50


def ask(
    trajectories: Trajectories,
    teacher: Teacher,
    pairs: int,
    length: int,
    seed: int = 0,
    answers: Path | str | None = None,
    name: str = "",
    tell: Tell = lambda done, wanted: None,
) -> Preferences:
    """Pairs of random segments, labelled by ``teacher``.

    Segments are drawn independently, each start equally likely. Equal arguments ask for equal pairs, and more pairs
    begin with those of fewer.

    Args:
        trajectories: what segments are cut from; actions are needed, rewards are not.
        teacher: see this module's docstring.
        pairs: how many labels.
        length: steps of a segment.
        seed: of the draw.
        answers: a file to which every answer is written before the next pair is asked. What it holds of this teacher is
            not asked again.
        name: which teacher answers, for that file; by default what the teacher's ``identity`` says.
        tell: hears (labels so far, labels wanted) after each pair.

    Raises:
        DataError: no actions, or no episode of ``length`` steps.
        OffbenchError: the teacher answers what is no label, is unsure of nearly all pairs, or fails by such an error;
            it has no identity and none is given with ``answers``; or the file cannot be used.
    """
    if pairs < 1:
        raise DataError(f"the number of pairs must be at least 1, not {pairs}")
    Segments.cut(trajectories, np.zeros(0, np.int64), length)  # tells what lacks before anybody is asked
    generator = np.random.default_rng(seed)
    path = None if answers is None else Path(answers).expanduser()
    labels: list[float] = []
    starts: list[Any] = []
    asked = again = 0
    with kept(path, identity_of(teacher, name) if path else "") as book:
        while len(labels) < pairs:
            if asked - len(labels) >= MOST_UNSURE * (len(labels) + 1):
                raise OffbenchError(
                    f"{told(teacher)} is unsure of {asked - len(labels)} of {asked} pairs; ask of longer segments, or "
                    "ask something else"
                )
            both = draw(trajectories, length, 2, generator)
            shown = [piece(trajectories, int(start), length) for start in both]
            pair = pair_of(*shown)
            again += pair in book.known
            if pair not in book.known:
                answer = _answered(teacher, shown, asked + 1, book, path)
                where = {"dataset": trajectories.name, "first": int(both[0]), "second": int(both[1])}
                book.add(pair, answer, **where, length=length)
            label, asked = book.known[pair].label, asked + 1
            if label is not None:
                labels.append(label)
                starts.append(both)
            tell(len(labels), pairs)
    note = (
        f"labelled by {told(teacher)}, segments of {length} steps, seed {seed}; unsure of {asked - pairs} of {asked} "
        "pairs, which are left out"
    )
    first, second = np.stack(starts, axis=1)
    return Preferences(
        Segments.cut(trajectories, first, length),
        Segments.cut(trajectories, second, length),
        np.array(labels, np.float32),
        replace(trajectories.provenance, notes=(*trajectories.provenance.notes, note)),
    )


def piece(trajectories: Trajectories, start: int, length: int) -> Trajectories:
    """The ``length`` steps from ``start``, which lie in one episode, as an episode with all columns.

    It ends with a flag only where the whole episode does.
    """
    episode = int(np.searchsorted(trajectories.offsets, start, side="right")) - 1
    steps, rows = slice(start, start + length), slice(start + episode, start + episode + length + 1)
    assert trajectories.final_observations is not None
    at_end = start + length == trajectories.offsets[episode + 1]
    return replace(
        trajectories,
        observations=trajectories.observations[rows],
        offsets=np.array([0, length]),
        terminations=trajectories.terminations[steps],
        truncations=trajectories.truncations[steps],
        actions=None if trajectories.actions is None else trajectories.actions[steps],
        rewards=None if trajectories.rewards is None else trajectories.rewards[steps],
        extras={
            name: column[steps if len(column) == trajectories.steps else rows]
            for name, column in trajectories.extras.items()
        },
        final_observations=np.array([bool(trajectories.final_observations[episode]) or not at_end]),
        known="",
    )


def pair_of(first: Trajectories, second: Trajectories) -> str:
    """SHA-256 of what a teacher is shown: equal content, equal name."""
    return hashlib.sha256(f"{first.digest} {second.digest}".encode()).hexdigest()


def identity_of(teacher: Teacher, name: str = "") -> str:
    """Who is asked, and what: answers under one identity are those of one teacher.

    Raises:
        OffbenchError: no name, and the teacher has no ``identity``.
    """
    found = name or getattr(teacher, "identity", "")
    if not found:
        raise OffbenchError(
            f"{told(teacher)} has no identity, by which its answers in a file are told from those of others; "
            "give one with name="
        )
    return str(found)


def told(teacher: Teacher) -> str:
    """What sentences call a teacher: the name of a function, or what an object says of itself."""
    return f"the teacher {getattr(teacher, '__qualname__', None) or teacher}"


def _answered(teacher: Teacher, shown: list[Trajectories], number: int, book: Answers, path: Path | None) -> Answer:
    """The answer of a teacher, or an error that also says where the answers before it are."""
    try:
        return answer_of(teacher(*shown))
    except OffbenchError as error:
        safe = "" if path is None else f"; the {len(book.known)} answers before are in {path}, and are not asked again"
        raise type(error)(f"pair {number}: {error}{safe}") from error
