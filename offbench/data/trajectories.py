"""Trajectories: episodes as flat columns plus offsets, the one type that every dataset becomes.

Layout, for episodes of lengths T_0, T_1, ... (``o`` observation, ``a`` action, ``r`` reward, ``X`` final observation)::

    offsets        0              T_0                 T_0+T_1
    actions        a a a ... a    a a a a ... a       one row a step
    rewards        r r r ... r    r r r r ... r       one row a step
    observations   o o o ... o X  o o o o ... o X     T+1 rows an episode: episode i starts at offsets[i] + i

A *termination* is an end in the task (the bootstrap stops there); a *truncation* is an end by the clock (it does not).
An episode whose last step carries neither flag was cut off where it was recorded, and counts as truncated. A
termination may stand inside an episode that went on in recording, as at a goal that is reached and passed: it stops the
bootstrap at its step and nothing else. Only the offsets end an episode, so that returns, windows and splits go on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.validation import check, check_offsets
from offbench.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int64, Shaped


_COLUMNS = ("observations", "offsets", "terminations", "truncations", "actions", "rewards", "final_observations")


@dataclass(frozen=True)
class Provenance:
    """Where trajectories come from; it is carried along and never part of the digest.

    Attributes:
        dataset: dataset id (``d4rl/hopper-medium-v2``) or the path of a file.
        revision: revision of the dataset's card, 0 for a file.
        task: name of the task in which a policy trained on it is scored, where known.
        notes: what the source lacked or what was done to it, one sentence each.
        like: id of the published dataset that it is the file of, or is named or made like, so that what was published
            for that one (presets) may be taken for this.
    """

    dataset: str = ""
    revision: int = 0
    task: str | None = None
    notes: tuple[str, ...] = ()
    like: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Trajectories:
    """Immutable episodes. Columns are arrays (memory-mapped ones stay so) and are checked on construction.

    Attributes:
        observations: T+1 rows an episode.
        offsets: the first step of each episode and the number of steps at the end.
        terminations: where the bootstrap stops: at the last step of an episode, or inside one that goes on.
        truncations: True only at the last step of an episode and never together with a termination.
        actions: absent in action-free data.
        rewards: absent in reward-free data.
        extras: further columns by name (goals, qpos, log-probabilities), each with one row a step or, as observations
            have, T+1 rows an episode. `extra` gives the rows of the steps of either.
        final_observations: whether the last observation of an episode was recorded. Where it was not, its row repeats
            the one before, and a last step that did not terminate is left out of transitions.
        action_range: (low, high), the bounds that actions are declared to keep.
        provenance: origin and remarks; not part of the digest.

    Raises:
        DataError: lengths, dtypes, flags, bounds or values that contradict the layout.
    """

    observations: Shaped[Array, " rows *observation"]
    offsets: Int64[Array, " bounds"]
    terminations: Bool[Array, " steps"]
    truncations: Bool[Array, " steps"]
    actions: Shaped[Array, "steps action"] | None = None
    rewards: Float[Array, " steps"] | None = None
    extras: Mapping[str, Shaped[Array, "_ ..."]] = field(default_factory=dict)
    final_observations: Bool[Array, " episodes"] | None = None
    action_range: tuple[Shaped[Array, " action"], Shaped[Array, " action"]] | None = None
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        check_offsets(self.name, self.offsets)
        if self.final_observations is None:
            object.__setattr__(self, "final_observations", np.ones(len(self.offsets) - 1, dtype=bool))
        check(self.name, self.columns(), self.action_range)
        for name in _COLUMNS:
            object.__setattr__(self, name, read_only(getattr(self, name)))
        object.__setattr__(self, "extras", {name: read_only(column) for name, column in self.extras.items()})
        if self.action_range is not None:
            object.__setattr__(self, "action_range", tuple(read_only(bound) for bound in self.action_range))

    # ---------------------------------------------------------------- sizes and statistics

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.offsets) - 1

    @property
    def steps(self) -> int:
        """Number of steps of all episodes together."""
        return int(self.offsets[-1])

    @property
    def lengths(self) -> Int64[Array, " episodes"]:
        """Number of steps of each episode."""
        return np.diff(self.offsets)

    @property
    def returns(self) -> Float64[Array, " episodes"]:
        """Undiscounted sums of rewards."""
        if self.rewards is None:
            raise DataError(f"{self.name} has no rewards, so its episodes have no returns")
        if len(self) == 0:
            return np.zeros(0)
        return np.add.reduceat(np.asarray(self.rewards, dtype=np.float64), self.offsets[:-1])

    def columns(self) -> dict[str, Array]:
        """All columns by name; absent ones are left out, extras are named ``extras/<name>``."""
        assert self.final_observations is not None
        columns = {
            "observations": self.observations,
            "offsets": self.offsets,
            "terminations": self.terminations,
            "truncations": self.truncations,
            "final_observations": self.final_observations,
        }
        if self.actions is not None:
            columns["actions"] = self.actions
        if self.rewards is not None:
            columns["rewards"] = self.rewards
        return columns | {f"extras/{name}": column for name, column in self.extras.items()}

    def extra(self, name: str) -> Shaped[Array, "steps ..."]:
        """The extra of that name in one row a step: of T+1 rows an episode, those that its steps act from.

        Raises:
            KeyError: there is none of that name.
        """
        column = self.extras[name]
        return column if len(column) == self.steps else column[self.sources]

    @property
    def sources(self) -> Int64[Array, " steps"]:
        """The row of ``observations`` that each step acts from; the row behind it holds what follows."""
        return np.arange(self.steps) + np.repeat(np.arange(len(self)), self.lengths)

    @property
    def inner_terminations(self) -> Int64[Array, " inner"]:
        """The steps that terminate inside an episode, which goes on behind them."""
        last = np.zeros(self.steps, dtype=bool)
        last[self.offsets[1:] - 1] = True
        return np.flatnonzero(self.terminations & ~last)

    # ---------------------------------------------------------------- selection

    def __getitem__(self, episodes: int | slice | Sequence[int] | Array) -> Trajectories:
        """The chosen episodes, by number, slice, sequence of numbers or boolean mask (episodes,).

        Raises:
            IndexError: there is no episode of that number, or the index is not of these kinds.
        """
        if isinstance(episodes, tuple):
            episodes = list(episodes)
        chosen = np.atleast_1d(np.arange(len(self))[episodes])
        if chosen.ndim != 1:
            raise IndexError(f"episodes are chosen by one row of numbers or flags, not by shape {chosen.shape}")
        first, last = self.offsets[chosen], self.offsets[chosen + 1]
        steps = _rows(first, last)
        observations = _rows(first + chosen, last + chosen + 1)
        assert self.final_observations is not None
        return replace(
            self,
            observations=self.observations[observations],
            offsets=np.concatenate([[0], np.cumsum(last - first)]).astype(np.int64),
            terminations=self.terminations[steps],
            truncations=self.truncations[steps],
            actions=None if self.actions is None else self.actions[steps],
            rewards=None if self.rewards is None else self.rewards[steps],
            extras={n: c[steps if len(c) == self.steps else observations] for n, c in self.extras.items()},
            final_observations=self.final_observations[chosen],
        )

    def __iter__(self) -> Iterator[Trajectories]:
        return (self[episode] for episode in range(len(self)))

    def filter(self, keep: Callable[[Trajectories], bool]) -> Trajectories:
        """The episodes for which ``keep(episode)`` is true, in order."""
        return self[np.array([keep(episode) for episode in self], dtype=bool)]

    @property
    def finished(self) -> Trajectories:
        """All episodes but a last one without a flag, which recording cut off, so that its return is not known."""
        return self[: len(self) - self.unfinished] if self.unfinished else self

    @property
    def unfinished(self) -> int:
        """1 if the last episode carries no flag, else 0."""
        return int(len(self) > 0 and not (self.terminations[-1] or self.truncations[-1]))

    def best(self, fraction: float) -> Trajectories:
        """The max(1, floor(fraction * episodes)) finished episodes of highest return, in order; as CORL counts them."""
        if not 0 < fraction <= 1:
            raise DataError(f"the fraction of best episodes must lie in (0, 1], not {fraction}")
        whole = self if len(self) == self.unfinished else self.finished
        count = max(1, _share(fraction, len(whole)))
        return whole[np.sort(np.argsort(-whole.returns, kind="stable")[:count])]

    def between_returns(self, low: float = -np.inf, high: float = np.inf) -> Trajectories:
        """The episodes with low <= return <= high, in order."""
        return self[(self.returns >= low) & (self.returns <= high)]

    def split(self, fraction: float, seed: int = 0) -> tuple[Trajectories, Trajectories]:
        """A random split by episode without overlap: (floor(fraction * episodes) of them, the rest), both in order."""
        if not 0 <= fraction <= 1:
            raise DataError(f"the fraction of a split must lie in [0, 1], not {fraction}")
        order = np.random.default_rng(seed).permutation(len(self))
        count = _share(fraction, len(self))
        return self[np.sort(order[:count])], self[np.sort(order[count:])]

    @staticmethod
    def concatenate(parts: Sequence[Trajectories]) -> Trajectories:
        """All episodes of all parts, in order; the parts must have the same columns and the same range of actions.

        The provenance is the first part's, with the notes of all.
        """
        if not parts:
            raise DataError("nothing to concatenate: give at least one Trajectories")
        names = [set(part.columns()) for part in parts]
        for part, own in zip(parts, names, strict=True):
            if own != names[0]:
                raise DataError(f"{part.name} and {parts[0].name} differ in their columns: {sorted(own ^ names[0])}")
            if not _same_range(part.action_range, parts[0].action_range):
                raise DataError(f"{part.name} and {parts[0].name} declare different ranges of actions")
        shift = np.cumsum([0] + [part.steps for part in parts])
        joined: dict[str, Any] = {name: _join(name, parts) for name in names[0] if name != "offsets"}
        starts = [part.offsets[:-1] + offset for part, offset in zip(parts, shift, strict=False)]
        extras = {name.removeprefix("extras/"): joined.pop(name) for name in list(joined) if name.startswith("extras/")}
        offsets = np.concatenate([*starts, shift[-1:]]).astype(np.int64)
        notes = dict.fromkeys(note for part in parts for note in part.provenance.notes)
        provenance = replace(parts[0].provenance, notes=tuple(notes))
        return replace(parts[0], offsets=offsets, extras=extras, provenance=provenance, **joined)

    # ---------------------------------------------------------------- identity and print

    @property
    def digest(self) -> str:
        """SHA-256 over names, dtypes, shapes and bytes of all columns: equal content, equal digest."""
        sha = hashlib.sha256()
        columns = self.columns()
        if self.action_range is not None:
            columns["action_low"], columns["action_high"] = self.action_range
        for name in sorted(columns):
            column = columns[name]
            little = column.dtype.newbyteorder("<")
            sha.update(f"{name} {little.str} {column.shape}\n".encode())
            sha.update(np.ascontiguousarray(column, dtype=little).data)
        return sha.hexdigest()

    def noted(self, *notes: str, **origin: Any) -> Trajectories:
        """The same with further notes in the provenance, and with what is named replaced there."""
        told = replace(self.provenance, notes=(*self.provenance.notes, *notes), **origin)
        return replace(self, provenance=told)

    @property
    def name(self) -> str:
        """What messages call these trajectories."""
        return self.provenance.dataset or "this dataset"

    def summary(self) -> str:
        """A printed description: sizes, return quartiles, lengths, columns and what the source lacked."""
        assert self.final_observations is not None
        lengths = self.lengths
        lines = [f"{self.provenance.dataset or 'trajectories'}: {len(self):,} episodes, {self.steps:,} steps"]
        if len(self):
            inside = len(self.inner_terminations)
            ends = int(self.terminations.sum()) - inside, int(self.truncations.sum())
            lines.append(f"  lengths   {lengths.min()} to {lengths.max()}, mean {lengths.mean():.1f}")
            lines.append(f"  ends      {ends[0]} terminated, {ends[1]} truncated, {len(self) - sum(ends)} cut off")
            if inside:
                lines.append(f"  inside    {inside} steps terminate in episodes that go on")
        if self.rewards is not None and len(self):
            marks = " ".join(f"{value:.1f}" for value in np.quantile(self.returns, [0, 0.25, 0.5, 0.75, 1]))
            lines.append(f"  returns   mean {self.returns.mean():.1f}, quartiles {marks}")
        lines.append("  columns   " + ", ".join(f"{n} {c.dtype}{list(c.shape[1:])}" for n, c in self.columns().items()))
        absent = [name for name in ("actions", "rewards") if getattr(self, name) is None]
        if absent:
            lines.append("  without   " + ", ".join(absent))
        lines += [f"  note      {note}" for note in self.provenance.notes]
        return "\n".join(lines)

    __str__ = summary

    def __repr__(self) -> str:
        return f"Trajectories({self.name}, episodes={len(self)}, steps={self.steps})"


def read_only(column: Array | None) -> Array | None:
    """A view that cannot be written through; the caller's own array stays as it is."""
    if column is None:
        return None
    view = column.view()
    view.flags.writeable = False
    return view


def _share(fraction: float, count: int) -> int:
    """floor(fraction * count) for the fraction as it is written: 0.29 of 100 is 29, although 0.29 * 100 < 29."""
    return int(round(fraction * count, 9))


def _rows(first: Array, last: Array) -> slice | Array:
    """Row numbers of the half-open ranges [first, last): a slice, hence a view, where the ranges touch."""
    if len(first) and np.array_equal(first[1:], last[:-1]):
        return slice(int(first[0]), int(last[-1]))
    sizes = last - first
    inner = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows: Array = np.repeat(first, sizes) + inner
    return rows


def _same_range(one: tuple[Array, Array] | None, other: tuple[Array, Array] | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _join(name: str, parts: Sequence[Trajectories]) -> Array:
    columns = [part.columns()[name] for part in parts]
    longer = {len(column) != part.steps for column, part in zip(columns, parts, strict=True) if part.steps}
    if name.startswith("extras/") and len(longer) > 1:
        raise DataError(f"{name} has one row a step in some parts and T+1 rows an episode in others")
    for part, column in zip(parts, columns, strict=True):
        if column.shape[1:] != columns[0].shape[1:]:
            raise DataError(
                f"{name} of {part.name} has shape {column.shape[1:]} a row, of {parts[0].name} {columns[0].shape[1:]}"
            )
    return np.concatenate(columns)
