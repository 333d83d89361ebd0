"""Scores of several tasks as one number, with stratified bootstrap intervals.

Scores are one array (runs,) a task, on the scale on which 0 and 100 are the references; tasks may differ in their runs.
Every task counts alike, but for the interquartile mean, which is over all runs. A task without runs is refused: leave
it out, and say so, or wait for its runs. Sources: Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of
the Statistical Precipice", and their library rliable, whose numbers these are if all tasks have equally many runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int

Interval = tuple[float, float]
Scores = Sequence[npt.ArrayLike]

# Resampled numbers held at a time, which bounds the memory of a bootstrap.
_BLOCK = 4_000_000


def mean(scores: Scores) -> float:
    """Mean over tasks of the mean over their runs."""
    return float(_mean(_tasks(scores)))


def median(scores: Scores) -> float:
    """Median over tasks of the mean over their runs."""
    return float(_median(_tasks(scores)))


def iqm(scores: Scores) -> float:
    """Interquartile mean: the mean of the middle half of all runs, floor(n / 4) of them left out at each end.

    A task with more runs counts for more.
    """
    return float(_iqm(_tasks(scores)))


def optimality_gap(scores: Scores, gamma: float = 100.0) -> float:
    """How far runs fall short of ``gamma`` on average, in points; what exceeds it makes up for nothing."""
    return float(_optimality_gap(_tasks(scores), gamma))


def probability_of_improvement(a: Scores, b: Scores) -> float:
    """How likely a run of ``a`` scores higher than one of ``b`` on a task drawn at random; ties are one half.

    The mean over tasks of the Mann-Whitney statistic U / (runs of a x runs of b).

    Raises:
        OffbenchError: the two have different numbers of tasks, or scores that are no numbers.
    """
    return float(np.mean([wins.mean() for wins in _wins(*_pair(a, b))]))


def performance_profile(scores: Scores, thresholds: npt.ArrayLike) -> Float64[Array, " thresholds"]:
    """The share of runs that score more than each of the thresholds (thresholds,), mean over tasks.

    It does not increase, and reaches 0 at the best run's score.
    """
    return np.mean([above.mean(axis=0) for above in _above(_tasks(scores), thresholds)], axis=0)  # type: ignore[no-any-return]


def cvar(returns: npt.ArrayLike, alpha: float) -> float:
    """Conditional value at risk of returns (episodes,): the mean of the worst share ``alpha`` of them.

    It is (1 / alpha) times the integral of the empirical quantiles from 0 to alpha, so that an episode at the border
    counts by the part that belongs to the share: the mean for alpha 1, the least return for alpha up to 1 / episodes.

    Raises:
        OffbenchError: ``alpha`` is not above 0 and at most 1, or there are no returns.
    """
    values = _finite(returns)
    return float(_cvar(np.sort(values), np.ones((1, values.size)), alpha)[0])


def interval(
    statistic: Callable[[Scores], float],
    scores: Scores,
    *,
    seed: int = 0,
    repetitions: int = 50_000,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap of a statistic over several tasks, stratified: each task's runs are drawn among themselves.

    Equal to rliable's ``get_interval_estimates`` for the same draws.

    Args:
        statistic: ``mean``, ``median``, ``iqm``, ``optimality_gap`` (or a ``functools.partial`` of it), which are
            computed for all draws at once; or any other function of scores, which is called once a draw.
        scores: for each task its scores (runs,).
        seed: of the draws. The same seed gives the same interval.
        repetitions: how many times the runs are drawn.
        level: coverage.

    Raises:
        OffbenchError: a task has one run alone, whose spread is unknown, or scores that are no numbers.
    """
    tasks = _several(_tasks(scores))
    function, options = (
        (statistic.func, statistic.keywords)
        if isinstance(statistic, partial) and not statistic.args
        else (statistic, {})
    )
    batched = _BATCHED.get(function)
    estimates: list[Float[Array, " repetitions"]] = []
    for draws in _draws([values.size for values in tasks], np.random.default_rng(seed), repetitions):
        drawn = [values[rows] for values, rows in zip(tasks, draws, strict=True)]
        if batched is not None:
            estimates.append(batched(drawn, **options))
        else:
            estimates.append(np.array([statistic(list(one)) for one in zip(*drawn, strict=True)], dtype=np.float64))
    low, high = _percentiles(np.concatenate(estimates), level)
    return float(low), float(high)


def improvement_interval(
    a: Scores, b: Scores, *, seed: int = 0, repetitions: int = 2_000, level: float = 0.95
) -> Interval:
    """Percentile bootstrap of ``probability_of_improvement``, the runs of both drawn independently, task by task.

    Raises:
        OffbenchError: as there, or a task has one run alone.
    """
    first, second = _pair(a, b)
    wins = _wins(_several(first), _several(second))
    sizes = [values.size for values in (*first, *second)]
    estimates = []
    for draws in _draws(sizes, np.random.default_rng(seed), repetitions):
        ours, theirs = draws[: len(first)], draws[len(first) :]
        by_task = [
            np.einsum("ri,ij,rj->r", _counts(i, len(won)), won, _counts(j, won.shape[1])) / won.size
            for won, i, j in zip(wins, ours, theirs, strict=True)
        ]
        estimates.append(np.mean(by_task, axis=0))
    low, high = _percentiles(np.concatenate(estimates), level)
    return float(low), float(high)


def profile_band(
    scores: Scores, thresholds: npt.ArrayLike, *, seed: int = 0, repetitions: int = 2_000, level: float = 0.95
) -> tuple[Float64[Array, " thresholds"], Float64[Array, " thresholds"]]:
    """Lower and upper end of the profile at each threshold, by itself: percentile bootstrap, stratified by task.

    Raises:
        OffbenchError: a task has one run alone, or scores that are no numbers.
    """
    tasks = _several(_tasks(scores))
    above = _above(tasks, thresholds)
    estimates = []
    for draws in _draws([values.size for values in tasks], np.random.default_rng(seed), repetitions):
        by_task = [_counts(rows, len(one)) @ one / len(one) for one, rows in zip(above, draws, strict=True)]
        estimates.append(np.mean(by_task, axis=0))
    return _percentiles(np.concatenate(estimates), level)


def cvar_interval(
    returns: Scores, alpha: float, *, seed: int = 0, repetitions: int = 2_000, level: float = 0.95
) -> Interval:
    """Percentile bootstrap of the CVaR of all episodes together, one array (episodes,) a seed.

    Seeds are drawn, each with all its episodes: those of one seed share a policy and are no independent draws.

    Raises:
        OffbenchError: there is one seed alone, or returns that are no numbers.
    """
    seeds = _tasks(returns, "seed", "returns")
    if len(seeds) < 2:
        raise OffbenchError("an interval of the CVaR needs the returns of at least two seeds; there is one")
    pooled = np.concatenate(seeds)
    order = np.argsort(pooled, kind="stable")
    ordered, owner = pooled[order], np.repeat(np.arange(len(seeds)), [values.size for values in seeds])[order]
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // pooled.size)
    estimates = []
    for start in range(0, repetitions, block):
        drawn = generator.integers(len(seeds), size=(min(block, repetitions - start), len(seeds)))
        estimates.append(_cvar(ordered, _counts(drawn, len(seeds))[:, owner], alpha))
    low, high = _percentiles(np.concatenate(estimates), level)
    return float(low), float(high)


def _mean(tasks: Sequence[Array]) -> Any:
    """Of arrays (*repetitions, runs), one a task: (*repetitions,). So are the next three."""
    return np.mean([values.mean(axis=-1) for values in tasks], axis=0)


def _median(tasks: Sequence[Array]) -> Any:
    return np.median([values.mean(axis=-1) for values in tasks], axis=0)


def _iqm(tasks: Sequence[Array]) -> Any:
    pooled = np.sort(np.concatenate(tasks, axis=-1), axis=-1)
    cut = pooled.shape[-1] // 4
    return pooled[..., cut : pooled.shape[-1] - cut].mean(axis=-1)


def _optimality_gap(tasks: Sequence[Array], gamma: float = 100.0) -> Any:
    return gamma - _mean([np.minimum(values, gamma) for values in tasks])


_BATCHED: dict[Callable[..., float], Callable[..., Any]] = {
    mean: _mean,
    median: _median,
    iqm: _iqm,
    optimality_gap: _optimality_gap,
}


def _cvar(
    ordered: Float64[Array, " episodes"], weights: Float64[Array, "repetitions episodes"], alpha: float
) -> Float64[Array, " repetitions"]:
    """CVaR of increasing returns that count ``weights`` times each."""
    if not 0 < alpha <= 1:
        raise OffbenchError(f"alpha is the share of the worst returns, above 0 and at most 1; got {alpha}")
    reach = np.cumsum(weights, axis=1)
    share = alpha * reach[:, -1:]
    # The part of each return that lies within the share, which the last one of it may exceed.
    taken = np.clip(share - (reach - weights), 0.0, weights)
    return np.asarray((taken * ordered).sum(axis=1) / taken.sum(axis=1))


def _wins(a: Sequence[Float64[Array, " _"]], b: Sequence[Float64[Array, " _"]]) -> list[Float64[Array, "_ _"]]:
    """For each task (runs of a, runs of b): 1 where the run of a is better, 0 where that of b is, 1/2 where equal."""
    return [0.5 + 0.5 * np.sign(ours[:, None] - theirs) for ours, theirs in zip(a, b, strict=True)]


def _above(tasks: Sequence[Float64[Array, " _"]], thresholds: npt.ArrayLike) -> list[Float64[Array, "_ thresholds"]]:
    """For each task (runs, thresholds): 1 where the run scores more."""
    limits = _finite(thresholds, "thresholds")
    return [(values[:, None] > limits).astype(np.float64) for values in tasks]


def _draws(
    sizes: Sequence[int], generator: np.random.Generator, repetitions: int
) -> Iterator[list[Int[Array, "repetitions _"]]]:
    """Indices of drawn runs (block, runs) for each task, until there are as many repetitions."""
    block = max(1, _BLOCK // sum(sizes))
    for start in range(0, repetitions, block):
        count = min(block, repetitions - start)
        yield [generator.integers(size, size=(count, size)) for size in sizes]


def _counts(drawn: Int[Array, "repetitions draws"], runs: int) -> Float64[Array, "repetitions {runs}"]:
    """How many times each run was drawn."""
    return np.stack([(drawn == run).sum(axis=1) for run in range(runs)], axis=1).astype(np.float64)


def _percentiles(estimates: Array, level: float) -> tuple[Any, Any]:
    """Lower and upper end of estimates (repetitions, ...)."""
    tail = 50 * (1 - level)
    low, high = np.percentile(estimates, [tail, 100 - tail], axis=0)
    return low, high


def _pair(a: Scores, b: Scores) -> tuple[list[Float64[Array, " _"]], list[Float64[Array, " _"]]]:
    if len(a) != len(b):
        raise OffbenchError(f"both need scores on the same tasks; one has {len(a)} tasks, the other {len(b)}")
    return _tasks(a), _tasks(b)


def _several(tasks: list[Float64[Array, " _"]]) -> list[Float64[Array, " _"]]:
    if single := [str(number) for number, values in enumerate(tasks, start=1) if values.size < 2]:
        which = f"task {single[0]} has" if len(single) == 1 else f"tasks {', '.join(single)} have"
        raise OffbenchError(f"an interval needs at least two runs of every task; {which} one alone")
    return tasks


def _tasks(scores: Scores, unit: str = "task", what: str = "scores") -> list[Float64[Array, " _"]]:
    if not len(scores):
        raise OffbenchError(f"there are no {what}; give one array for each {unit}, of at least one {unit}")
    tasks = []
    for number, values in enumerate(scores, start=1):
        tasks.append(_finite(values, f"the {what} of {unit} {number} (leave out a {unit} that has none)"))
    return tasks


def _finite(values: npt.ArrayLike, what: str = "returns") -> Float64[Array, " _"]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        shown = array.tolist() if array.size < 10 else f"an array of shape {array.shape}"
        raise OffbenchError(f"{what} must be finite numbers in a row, at least one; got {shown}")
    return array
