"""Two methods compared on one dataset, pair by pair where their evaluations met the same starts.

An evaluation's environment seeds depend on the run's seed, the number of the evaluation and the episode alone
(`offbench.evaluation.rollout.environment_seeds`), so that runs of two methods with one seed are scored from the same
starts. A pair is such a seed; its difference is the mean over the starts that both met. What a start adds to both
scores cancels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.evaluation.reported import evaluation_of, score
from offbench.evaluation.significance import Test, combined_t, least_p, sign_flip, two_sample

if TYPE_CHECKING:
    from jaxtyping import Float64


@dataclass(frozen=True)
class Comparison:
    """What one method scores more than another.

    Attributes:
        difference: mean over pairs, or of the one's runs minus that of the other's; in points of score.
        interval: 95% interval of the difference, Student t of the pairs' differences or Welch; None for one seed.
        p: two-sided, not corrected.
        least_p: the smallest that these runs can give in this test, whatever they score.
        test: which it is.
        differences: (pairs,) of each seed that both have; (0,) where the runs are not paired.
        runs: seeds of the method and of the other that went into it.
        starts: episodes that both played from the same start, of all pairs together.
        notes: what differs from what was asked for, and what was left out.
    """

    difference: float
    interval: tuple[float, float] | None
    p: float
    least_p: float
    test: Test
    differences: Float64[Array, " pairs"]
    runs: tuple[int, int]
    starts: int
    notes: tuple[str, ...]


def paired(
    ours: Sequence[RunRecord], theirs: Sequence[RunRecord], statistic: str = "last"
) -> tuple[Float64[Array, " pairs"], int]:
    """Differences (pairs,) of the seeds that both have, and over how many shared starts in all.

    A seed whose two evaluations have no start in common makes no pair.
    """
    by_seed = {record.seed: record for record in theirs}
    differences, starts = [], 0
    for record in sorted(ours, key=lambda one: one.seed):
        other = by_seed.get(record.seed)
        if other is None:
            continue
        first, second = (_by_start(one, statistic) for one in (record, other))
        if shared := first.keys() & second.keys():
            differences.append(float(np.mean([first[start] - second[start] for start in sorted(shared)])))
            starts += len(shared)
    return np.array(differences, dtype=np.float64), starts


def compare(
    ours: Sequence[RunRecord], theirs: Sequence[RunRecord], *, test: Test = "sign-flip", statistic: str = "last"
) -> Comparison:
    """Compare the runs of a method with those of another on the same dataset, one record a seed each.

    Args:
        ours: records of the method.
        theirs: records of what it is compared with.
        test: ``sign-flip`` of pairs, exact; ``t``, paired, for differences that may be taken as normal; ``two-sample``,
            which deals the runs anew and pairs none. The first two give way to the last and to Welch's t where there
            are no pairs, a single one of several runs, or, of best evaluations, not a pair for every run: then chance
            has chosen which runs meet.
        statistic: which evaluation of a run counts, ``last`` or ``best``.

    Raises:
        OffbenchError: the two were scored on different versions of data or task, or one has no records.
    """
    _same_benchmark(ours, theirs)
    differences, starts = paired(ours, theirs, statistic)
    if test == "two-sample" or differences.size < _least_pairs(ours, theirs, statistic):
        return _unpaired(ours, theirs, test, statistic, differences.size)
    interval, p = None, 1.0
    if differences.size > 1:
        interval, p = combined_t([differences], [1.0])
    if test == "sign-flip":
        p = sign_flip([differences])
    return Comparison(
        difference=float(differences.mean()),
        interval=interval,
        p=p,
        least_p=least_p(test, differences.size, differences.size),
        test=test,
        differences=differences,
        runs=(differences.size, differences.size),
        starts=starts,
        notes=_left_out(ours, theirs, differences.size, starts, statistic),
    )


def _least_pairs(ours: Sequence[RunRecord], theirs: Sequence[RunRecord], statistic: str) -> int:
    """Pairs from which on runs are compared as such; fewer would leave out runs that two samples keep."""
    return max(len(ours), len(theirs)) if statistic == "best" else min(2, len(ours), len(theirs))


def _unpaired(
    ours: Sequence[RunRecord], theirs: Sequence[RunRecord], test: Test, statistic: str, pairs: int
) -> Comparison:
    a, b = (np.array([score(record, statistic) for record in records]) for records in (ours, theirs))
    interval, p = None, 1.0
    if min(a.size, b.size) > 1:
        interval, p = combined_t([a, b], [1.0, -1.0])
    done: Test = "t" if test == "t" else "two-sample"
    if done == "two-sample":
        p = two_sample(a, b)
    met = f"only {pairs} {'seed' if pairs == 1 else 'seeds'}" if pairs else "no seed"
    told = f"{met} of the two met a common start, so their runs were not paired"
    return Comparison(
        difference=float(a.mean() - b.mean()),
        interval=interval,
        p=p,
        least_p=least_p(done, a.size, b.size),
        test=done,
        differences=np.empty(0),
        runs=(a.size, b.size),
        starts=0,
        notes=() if test == "two-sample" else (told,),
    )


def _by_start(record: RunRecord, statistic: str) -> dict[int, float]:
    evaluation = evaluation_of(record, statistic)
    return dict(zip(evaluation.environment_seeds, record.scores(evaluation).tolist(), strict=True))


def _left_out(
    ours: Sequence[RunRecord], theirs: Sequence[RunRecord], pairs: int, starts: int, statistic: str
) -> tuple[str, ...]:
    notes = []
    if alone := len(ours) + len(theirs) - 2 * pairs:
        notes.append(f"{alone} {'run has' if alone == 1 else 'runs have'} no pair and did not count")
    played = sum(len(evaluation_of(record, statistic).returns) for record in (*ours, *theirs))
    if not alone and (single := played - 2 * starts):
        notes.append(f"{single} {'episode' if single == 1 else 'episodes'} of one method alone did not count")
    return tuple(notes)


def _same_benchmark(ours: Sequence[RunRecord], theirs: Sequence[RunRecord]) -> None:
    if not ours or not theirs:
        raise OffbenchError("a comparison needs run records of two methods; one has none")
    for records in (ours, theirs):
        if len({record.seed for record in records}) < len(records):
            raise OffbenchError(f"{records[0].algorithm} on {records[0].dataset} has a seed twice")
    if len({record.benchmark_digest for record in (*ours, *theirs)}) > 1:
        raise OffbenchError(
            f"{ours[0].algorithm} and {theirs[0].algorithm} were not scored on the same data and task "
            f"({ours[0].dataset} and {theirs[0].dataset}), so their scores cannot be compared"
        )
