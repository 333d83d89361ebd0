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

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np

# What stands above this folder, or above this file, is asked of the root, which looks it up when it is used.
import offbench
from offbench.basis.shapes import Array
from offbench.data import by_step, choosing, describing, frames, rows, spaces
from offbench.data.digest import digest_of
from offbench.data.provenance import Provenance as Provenance
from offbench.data.rows import Seed, read_only
from offbench.data.validation import check, check_offsets
from offbench.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from gymnasium import Env, Space
    from jaxtyping import Bool, Float, Float64, Int64, Shaped
    from torch import Tensor

_COLUMNS = ("observations", "offsets", "terminations", "truncations", "actions", "rewards", "final_observations")


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
        known: the digest, where all of this was read and checked before and is not to be read again.

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
    known: InitVar[str] = ""
    _known: str = field(init=False, default="")

    def __post_init__(self, known: str) -> None:
        if not known:
            check_offsets(self.name, self.offsets)
        if self.final_observations is None:
            object.__setattr__(self, "final_observations", np.ones(len(self.offsets) - 1, dtype=bool))
        if not known:
            check(self.name, self.columns(), self.action_range)
        object.__setattr__(self, "_known", known)
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
        return rows.returns_of(self.rewards, self.offsets)

    def columns(self) -> dict[str, Array]:
        """All columns by name; absent ones are left out, extras are named ``extras/<name>``."""
        columns = {name: column for name in _COLUMNS if (column := getattr(self, name)) is not None}
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
        return np.setdiff1d(np.flatnonzero(self.terminations), self.offsets[1:] - 1)

    # ---------------------------------------------------------------- one row a step

    def keys(self) -> list[str]:
        """The names that ``data[name]`` knows, so that ``dict(data)`` is laid out as the datasets of D4RL are."""
        return by_step.names_of(self.columns())

    def __contains__(self, name: object) -> bool:
        return name in self.keys() or name in by_step.ALIASES

    @property
    def next_observations(self) -> Shaped[Array, "steps ..."]:
        """What follows each step; the observation before it once more where an episode's last one was not recorded."""
        return by_step.column_of(self.columns(), "next_observations")

    @property
    def usable(self) -> Bool[Array, " steps"]:
        """The steps of transitions: their next observation was recorded, or is not needed since they terminate."""
        return by_step.usable(self.columns())

    def sample(self, count: int, seed: Seed = None) -> dict[str, Array]:
        """``count`` random transitions, drawn with replacement: the rows of all `keys` by name.

        Args:
            count: how many.
            seed: a number gives the same ones again, a ``numpy.random.Generator`` goes on; None gives others each time.

        Raises:
            DataError: no step has a next observation.
        """
        if drawn := by_step.sample(self.columns(), count, seed):
            return drawn
        raise DataError(f"{self.name} has no transition to sample; every episode ends without its final observation")

    def to_torch(self) -> dict[str, Tensor]:
        """Tensors by the names of `keys`, one row a step. Those of stored columns share their memory: do not write."""
        return frames.to_tensors(by_step.columns_of(self.columns()))

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` with one row a step: ``episode``, ``step`` and one column a number of each of `keys`.

        Raises:
            OffbenchError: pandas is not installed.
        """
        return frames.to_frame(by_step.columns_of(self.columns()), self.lengths)

    # ---------------------------------------------------------------- selection

    @overload
    def __getitem__(self, episodes: str) -> Array: ...
    @overload
    def __getitem__(self, episodes: int | slice | Sequence[int] | Array) -> Trajectories: ...
    def __getitem__(self, episodes: int | slice | Sequence[int] | Array | str) -> Trajectories | Array:
        """The chosen episodes, by number, slice, sequence of numbers or boolean mask (episodes,); or a column by name.

        A column by name is an array of your own with one row a step, as in D4RL, whose ``terminals`` and ``timeouts``
        are understood. (The attributes are what is stored: ``observations`` has T+1 rows an episode.)

        Raises:
            IndexError: there is no episode of that number, or the index is not of these kinds.
            UnknownNameError: there is no column of that name.
        """
        if isinstance(episodes, str):
            return np.array(by_step.column_of(self.columns(), episodes))
        return self._with(**choosing.episodes_of(self.columns(), choosing.numbers_of(episodes, len(self))))

    def __iter__(self) -> Iterator[Trajectories]:
        return (self[episode] for episode in range(len(self)))

    def sample_episodes(self, count: int, seed: Seed = None) -> Trajectories:
        """``count`` random episodes, none of them twice; ``seed`` as in `sample`.

        Raises:
            DataError: there are fewer episodes.
        """
        if not 0 <= count <= len(self):
            raise DataError(f"{self.name} has {len(self)} episodes, so that {count} different ones cannot be drawn")
        return self[np.random.default_rng(seed).choice(len(self), size=count, replace=False)]

    def shuffle(self, seed: Seed = None) -> Trajectories:
        """All episodes in a random order; ``seed`` as in `sample`."""
        return self[np.random.default_rng(seed).permutation(len(self))]

    def filter(self, keep: Callable[[Trajectories], bool]) -> Trajectories:
        """The episodes for which ``keep(episode)`` is true, in order."""
        return self[np.array([keep(episode) for episode in self], dtype=bool)]

    @property
    def unfinished(self) -> int:
        """1 if the last episode carries no flag, else 0."""
        return int(len(self) > 0 and not (self.terminations[-1] or self.truncations[-1]))

    @property
    def finished(self) -> Trajectories:
        """All episodes but a last one without a flag, which recording cut off, so that its return is not known."""
        return self[: len(self) - self.unfinished] if self.unfinished else self

    def best(self, fraction: float) -> Trajectories:
        """The max(1, floor(fraction * episodes)) finished episodes of highest return, in order; as CORL counts them."""
        if not 0 < fraction <= 1:
            raise DataError(f"the fraction of best episodes must lie in (0, 1], not {fraction}")
        whole = self if len(self) == self.unfinished else self.finished
        count = max(1, rows.share(fraction, len(whole)))
        return whole[np.sort(np.argsort(-whole.returns, kind="stable")[:count])]

    def between_returns(self, low: float = -np.inf, high: float = np.inf) -> Trajectories:
        """The episodes with low <= return <= high, in order."""
        return self[(self.returns >= low) & (self.returns <= high)]

    def split(self, fraction: float, seed: int = 0) -> tuple[Trajectories, Trajectories]:
        """A random split by episode without overlap: (floor(fraction * episodes) of them, the rest), both in order."""
        if not 0 <= fraction <= 1:
            raise DataError(f"the fraction of a split must lie in [0, 1], not {fraction}")
        order = np.random.default_rng(seed).permutation(len(self))
        count = rows.share(fraction, len(self))
        return self[np.sort(order[:count])], self[np.sort(order[count:])]

    def without(self, *names: str) -> Trajectories:
        """The same without these columns: ``"actions"``, ``"rewards"`` or extras.

        Raises:
            UnknownNameError: there is no such column, or it cannot be left out.
        """
        can = (
            set(self.keys()) - {"observations", "next_observations", "terminations", "truncations"} | self.extras.keys()
        )
        if wrong := set(names) - can:
            raise UnknownNameError(f"column of {self.name} that can be left out", min(wrong), can)
        gone: dict[str, Any] = {name: None for name in names if name in ("actions", "rewards")}
        gone |= {"action_range": None} if "actions" in names else {}
        return self._with(extras={n: c for n, c in self.extras.items() if n not in names}, **gone)

    def concatenate(self, *others: Trajectories | Sequence[Trajectories]) -> Trajectories:
        """These episodes and then those of the others, as `offbench.concatenate` joins them; ``a + b`` for two."""
        return offbench.concatenate(self, *others)

    def __add__(self, other: Trajectories) -> Trajectories:
        return offbench.concatenate(self, other) if isinstance(other, Trajectories) else NotImplemented

    # ---------------------------------------------------------------- views and spaces

    def transitions(self, **options: Any) -> offbench.Transitions:
        """The view of single steps, batch by batch: `offbench.Transitions`, which lists the options."""
        return offbench.Transitions(self, **options)

    def sequences(self, context: int = 20, **options: Any) -> offbench.Sequences:
        """The view of windows of ``context`` steps: `offbench.Sequences`, which lists the options."""
        return offbench.Sequences(self, context, **options)

    @property
    def observation_space(self) -> Space[Any]:
        """The space of Gymnasium that observations lie in; data declare no bounds for them."""
        return spaces.space_of(self.observations)

    @property
    def action_space(self) -> Space[Any]:
        """The space of Gymnasium that actions lie in: bounded by ``action_range``, or by nothing where that is None.

        Raises:
            DataError: there are no actions.
        """
        if self.actions is None:
            raise DataError(f"{self.name} has no actions, so that they have no space")
        return spaces.space_of(self.actions, self.action_range)

    def recover_environment(self) -> Env[Any, Any]:
        """The environment that the data were recorded in: see `offbench.recover_environment`."""
        return offbench.recover_environment(self)

    # ---------------------------------------------------------------- identity and print

    @property
    def digest(self) -> str:
        """SHA-256 over names, dtypes, shapes and bytes of all columns: equal content, equal digest."""
        if self._known:
            return self._known
        columns = self.columns()
        if self.action_range is not None:
            columns["action_low"], columns["action_high"] = self.action_range
        return digest_of(columns)

    def noted(self, *notes: str, **origin: Any) -> Trajectories:
        """The same with further notes in the provenance, and with what is named replaced there."""
        return self.told(replace(self.provenance, notes=(*self.provenance.notes, *notes), **origin))

    def told(self, provenance: Provenance) -> Trajectories:
        """The same with this provenance."""
        return self._with(self._known, provenance=provenance)

    def _with(self, known: str = "", **parts: Any) -> Trajectories:
        """The same with parts that need no check, being made of what was checked."""
        made = copy.copy(self)
        for name, part in (parts | {"_known": known}).items():
            object.__setattr__(made, name, read_only(part) if isinstance(part, np.ndarray) else part)
        return made

    @property
    def name(self) -> str:
        """What messages call these trajectories."""
        return self.provenance.dataset or "this dataset"

    def summary(self) -> str:
        """A printed description: sizes, return quartiles, lengths, columns and what the source lacked."""
        returns, inside = None if self.rewards is None else self.returns, len(self.inner_terminations)
        return describing.describe(self.provenance, self.columns(), returns, inside, self.action_range)

    __str__ = summary

    def __repr__(self) -> str:
        return f"Trajectories({self.name}, episodes={len(self)}, steps={self.steps})"
