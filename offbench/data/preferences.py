"""Preferences: the view for algorithms that learn from comparisons of two segments."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.digest import digest_of
from offbench.data.provenance import Provenance, mixed
from offbench.data.rows import read_only
from offbench.data.segments import Segments, draw
from offbench.data.teacher import Teacher
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int


# A teacher who skips nearly every pair asks for more pairs than this many times those wanted.
_MOST_ASKED = 200


@dataclass(frozen=True, eq=False, repr=False)
class Preferences:
    """Pairs of segments and which of the two is preferred.

    Attributes:
        first, second: the segments, row by row the two of a pair.
        labels: the share by which the second is preferred: 0, 1/2 or 1.
        provenance: origin and remarks; not part of the digest.
        raters: who gave each label, a number from 0; None where nobody tells, or one did all.

    Raises:
        DataError: shapes that differ, other labels, raters that are no numbers, or values that are not finite.
    """

    first: Segments
    second: Segments
    labels: Float32[Array, " pairs"]
    provenance: Provenance = field(default_factory=Provenance)
    raters: Int[Array, " pairs"] | None = None

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "labels", read_only(self.labels))
        if self.raters is not None:
            object.__setattr__(self, "raters", read_only(self.raters.astype(np.int64)))

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.labels)

    @property
    def length(self) -> int:
        """Steps of a segment."""
        return int(self.first.actions.shape[1])

    def __getitem__(self, pairs: int | slice | Array | list[int]) -> Preferences:
        """The chosen pairs, by number, slice, numbers or boolean mask (pairs,).

        Raises:
            IndexError: there is no pair of that number.
        """
        chosen = np.atleast_1d(np.arange(len(self))[pairs])
        return replace(
            self,
            first=self.first[chosen],
            second=self.second[chosen],
            labels=self.labels[chosen],
            raters=None if self.raters is None else self.raters[chosen],
        )

    def __repr__(self) -> str:
        return f"Preferences({self.provenance.dataset or 'unnamed'}, pairs={len(self)}, length={self.length})"

    @staticmethod
    def from_teacher(
        trajectories: Trajectories, teacher: Teacher, pairs: int, length: int, seed: int = 0
    ) -> Preferences:
        """Pairs of random segments, labelled by ``teacher`` from their rewards; pairs that it skips are replaced.

        Segments are drawn independently, each start equally likely. Equal arguments give equal pairs.

        Raises:
            DataError: no rewards or actions, no episode of ``length`` steps, or a teacher that skips nearly all pairs.
        """
        if trajectories.rewards is None:
            raise DataError(f"{trajectories.name} has no rewards, by which a scripted teacher judges")
        if pairs < 1:
            raise DataError(f"the number of pairs must be at least 1, not {pairs}")
        drawing, judging = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2))
        steps = np.arange(length)
        starts, labels, kept, asked = [], [], 0, 0
        while kept < pairs:
            if asked >= _MOST_ASKED * pairs:
                raise DataError(f"the teacher keeps {kept} of {asked} pairs; lower its threshold for skips")
            both = draw(trajectories, length, 2 * pairs, drawing).reshape(2, pairs)
            rewards = trajectories.rewards[both[..., None] + steps]  # (2, pairs, length)
            given, keep = teacher.label(rewards[0], rewards[1], judging)
            starts.append(both[:, keep])
            labels.append(given[keep])
            kept, asked = kept + int(keep.sum()), asked + pairs
        first, second = np.concatenate(starts, axis=1)[:, :pairs]
        note = (
            f"labelled by {teacher}, segments of {length} steps, seed {seed}; {asked - kept} of {asked} pairs skipped"
        )
        return Preferences(
            Segments.cut(trajectories, first, length),
            Segments.cut(trajectories, second, length),
            np.concatenate(labels)[:pairs],
            replace(trajectories.provenance, notes=(*trajectories.provenance.notes, note)),
        )

    # ---------------------------------------------------------------- parts

    @staticmethod
    def of_raters(each: Sequence[Preferences]) -> Preferences:
        """The pairs of several raters together: those of ``each[k]`` are rater k's.

        Raises:
            DataError: none, or segments that differ in their columns, lengths or sizes.
        """
        if not each:
            raise DataError("the preferences of no rater were given; those of at least one would be right")
        columns = [one.first.columns() for one in each]
        for name in sorted({name for column in columns for name in column}):
            if len({column[name].shape[1:] if name in column else None for column in columns}) > 1:
                raise DataError(f"{name} of the raters' segments differ in shape, or only some have them")
        first, second = (
            Segments(
                **{name: np.concatenate([getattr(one, side).columns()[name] for one in each]) for name in columns[0]}
            )
            for side in ("first", "second")
        )
        raters = np.repeat(np.arange(len(each)), [len(one) for one in each])
        labels = np.concatenate([one.labels for one in each])
        return Preferences(first, second, labels, mixed([one.provenance for one in each], ()), raters)

    def split(self, fraction: float, seed: int = 0) -> tuple[Preferences, Preferences]:
        """(training, evaluation): floor(fraction * pairs) random pairs to evaluate on, and the rest to learn from.

        Pairs that share a step with a pair of the second part are left out of the first, and a note counts them. Where
        the steps are unknown, only pairs with an equal segment are, and a note says so.
        """
        if not 0 <= fraction <= 1:
            raise DataError(f"the fraction of a split must lie in [0, 1], not {fraction}")
        order = np.random.default_rng(seed).permutation(len(self))
        count = int(round(fraction * len(self), 9))
        evaluation, training = np.sort(order[:count]), np.sort(order[count:])
        return self[training].without(self[evaluation]), self[evaluation]

    def without(self, other: Preferences) -> Preferences:
        """The pairs that share no step with a pair of ``other``, which must come from the same trajectories.

        Where the steps of either are unknown, those without a segment equal to one of ``other``.
        """
        shared = self.overlapping(other)
        what = "share steps with" if self._placed(other) else "have a segment equal to one of"
        note = (
            f"{int(shared.sum())} of {len(self)} pairs left out, because they {what} {len(other)} pairs for evaluation"
        )
        kept = self[~shared]
        return replace(kept, provenance=replace(self.provenance, notes=(*self.provenance.notes, note)))

    def overlapping(self, other: Preferences) -> Bool[Array, " pairs"]:
        """Which pairs share a step with a pair of ``other``; where steps are unknown, have a segment equal to one."""
        if self._placed(other):
            return _shares_steps(self, other)
        taken = {key for segments in (other.first, other.second) for key in _keys(segments)}
        pairs = zip(_keys(self.first), _keys(self.second), strict=True)
        return np.array([one in taken or two in taken for one, two in pairs], dtype=bool)

    def _placed(self, other: Preferences) -> bool:
        """Whether the steps of all segments, of these pairs and of the others, are known."""
        return all(s.starts is not None for s in (self.first, self.second, other.first, other.second))

    # ---------------------------------------------------------------- identity

    def columns(self) -> dict[str, Array]:
        """All arrays by name: ``first/observations``, ..., ``labels``, and ``raters`` where they are known."""
        sides = {"first": self.first, "second": self.second}
        named = {f"{side}/{name}": column for side, part in sides.items() for name, column in part.columns().items()}
        return named | {"labels": self.labels} | ({} if self.raters is None else {"raters": self.raters})

    @property
    def digest(self) -> str:
        """SHA-256 over names, dtypes, shapes and bytes of all columns: equal content, equal digest."""
        return digest_of(self.columns())


def _shares_steps(one: Preferences, other: Preferences) -> Bool[Array, " pairs"]:
    """Whether a segment of each pair of ``one`` shares a step with any segment of the other."""
    taken = np.sort(np.concatenate([_starts(other.first), _starts(other.second)]))
    shared = np.zeros(len(one), dtype=bool)
    for starts in (_starts(one.first), _starts(one.second)):
        # The first of the others that begins late enough to end after this one's start.
        place = np.searchsorted(taken, starts - other.length, side="right")
        reached = np.append(taken, np.iinfo(np.int64).max)[place]
        shared |= reached < starts + one.length
    return shared


def _starts(part: Segments) -> Int[Array, " pairs"]:
    assert part.starts is not None  # known to callers
    return part.starts


def _keys(part: Segments) -> list[bytes]:
    """What tells segments of unknown steps apart: their observations and actions."""
    rows = zip(part.observations, part.actions, strict=True)
    return [hashlib.sha256(one.tobytes() + two.tobytes()).digest() for one, two in rows]


def _check(p: Preferences) -> None:
    name = p.provenance.dataset or "these preferences"
    if p.labels.ndim != 1 or p.labels.dtype != np.float32 or not np.isin(p.labels, (0.0, 0.5, 1.0)).all():
        raise DataError(f"labels of {name} must be one row of float32 that are 0, 1/2 or 1")
    raters = p.raters
    if raters is not None and (raters.dtype.kind not in "iu" or raters.shape != p.labels.shape or (raters < 0).any()):
        raise DataError(f"raters of {name} must be one whole number from 0 a pair, {len(p.labels)} in all")
    if p.first.columns().keys() != p.second.columns().keys():
        raise DataError(f"the first and the second segments of {name} differ in their columns; the same would be right")
    others = p.second.columns()
    for column, values in p.first.columns().items():
        axes = {"observations": (3, 99), "actions": (3, 3), "rewards": (2, 2), "starts": (1, 1)}[column]
        shape = values.shape
        if shape != others[column].shape or not axes[0] <= len(shape) <= axes[1] or shape[0] != len(p.labels):
            raise DataError(
                f"{column} of {name} have shapes {shape} and {others[column].shape}; "
                f"equal ones of {len(p.labels)} pairs would be right"
            )
        if len(shape) > 1 and (shape[1] == 0 or shape[1] != p.first.actions.shape[1]):
            raise DataError(f"{column} of {name} have segments of {shape[1]} steps; all need the same length, not 0")
        for part in (values, others[column]):
            if part.dtype.kind not in ("i" if column == "starts" else "f" if column == "rewards" else "fiub"):
                raise DataError(f"{column} of {name} have dtype {part.dtype}; numbers would be right")
            if part.dtype.kind == "f" and not np.isfinite(part).all():
                raise DataError(f"{column} of {name} have NaN or infinite values")
