"""The table of a suite: what each entry scores on each task, and which entries are ranked.

Only like is ranked with like: entries of the suite's present version that cover every task with enough seeds, whose
policies were at least played again by the organiser, and for which every check passed. All others are shown without a
rank, with the reason.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offbench.evaluation import aggregates
from offbench.evaluation.aggregates import Interval
from offbench.evaluation.record import RunRecord
from offbench.evaluation.statistics import Summary, summarize
from offbench.leaderboard.results import Result
from offbench.leaderboard.suite import Suite

REPETITIONS = 20_000


@dataclass(frozen=True)
class Cell:
    """One entry on one dataset.

    Attributes:
        scores: mean score of the last evaluation, by seed.
        summary: over these.
        episodes: of all seeds' last evaluations together.
        steps: gradient updates before these, the fewest of all seeds.
        complete: whether there are as many seeds as the suite asks for.
    """

    scores: dict[int, float]
    summary: Summary
    episodes: int
    steps: int
    complete: bool


@dataclass(frozen=True)
class Overall:
    """Interquartile mean over all runs of all tasks of a suite.

    Attributes:
        iqm: the mean.
        interval: stratified bootstrap, 95%; None where a task has one run alone.
    """

    iqm: float
    interval: Interval | None


@dataclass(frozen=True)
class Standing:
    """One entry in the table of a suite.

    Attributes:
        result: the entry.
        cells: by dataset, those that it covers.
        domains: mean over the tasks of a domain, for domains that it covers.
        overall: where it covers every task.
        covered: tasks with enough seeds.
        rank: from 1, by the interquartile mean; None where it is not ranked.
        reason: why it is not.
        of_team: entries that its team has in this suite, of all versions.
    """

    result: Result
    cells: dict[str, Cell]
    domains: dict[str, float]
    overall: Overall | None
    covered: int
    rank: int | None
    reason: str | None
    of_team: int


def standings(suite: Suite, results: Sequence[Result]) -> list[Standing]:
    """The entries of a suite's present version: ranked ones first, then the others by what they score.

    Args:
        suite: whose table is made.
        results: entries of any suites and versions.
    """
    ours = [result for result in results if result.entry.suite == suite.name]
    teams = Counter(team_key(result) for result in ours)
    unranked = [
        _standing(suite, result, teams[team_key(result)])
        for result in ours
        if result.entry.suite_version == suite.version
    ]
    unranked.sort(key=_order)
    rank = 0
    ordered = []
    for one in unranked:
        rank += one.reason is None
        ordered.append(Standing(**(vars(one) | {"rank": rank if one.reason is None else None})))
    return ordered


def team_key(result: Result) -> str:
    """What a team's entries are counted by: its name, whatever its capitals and spaces."""
    return " ".join(result.entry.team.casefold().split())


def leading(ranked: Sequence[Standing], dataset: str) -> set[str]:
    """Names of the entries that score best on a dataset among the ranked, or lie within the best one's interval."""
    cells = {one.result.folder.name: one.cells[dataset] for one in ranked if one.rank is not None}
    if not cells:
        return set()
    best = max(cells.values(), key=lambda cell: cell.summary.mean)
    floor = best.summary.interval[0] if best.summary.interval else best.summary.mean
    floor = min(floor, best.summary.mean)
    return {name for name, cell in cells.items() if cell.summary.mean >= floor}


def cells_of(records: Sequence[RunRecord], seeds: int) -> dict[str, Cell]:
    """A cell for each dataset on which there are evaluated records, in the order of the records."""
    by_dataset: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        if record.evaluations:
            by_dataset[record.dataset].append(record)
    return {dataset: _cell(runs, seeds) for dataset, runs in by_dataset.items()}


def _cell(records: Sequence[RunRecord], seeds: int) -> Cell:
    scores = {record.seed: record.final_score for record in sorted(records, key=lambda record: record.seed)}
    return Cell(
        scores=scores,
        summary=summarize(list(scores.values())),
        episodes=sum(len(record.evaluations[-1].returns) for record in records),
        steps=min(record.evaluations[-1].step for record in records),
        complete=len(scores) >= seeds,
    )


def _standing(suite: Suite, result: Result, of_team: int) -> Standing:
    named = {task.learned: task.dataset for task in suite.tasks}
    found = {named[name]: cell for name, cell in cells_of(result.records, suite.seeds).items() if name in named}
    covered = sum(cell.complete for cell in found.values())
    whole = covered == len(suite.tasks)
    return Standing(
        result=result,
        cells=found,
        domains=_domains(suite, found),
        overall=_overall([list(found[task.dataset].scores.values()) for task in suite.tasks]) if whole else None,
        covered=covered,
        rank=None,
        reason=_reason(suite, result, covered),
        of_team=of_team,
    )


def _reason(suite: Suite, result: Result, covered: int) -> str | None:
    """Why an entry is not ranked; None if it is."""
    if suite.kind == "time":
        return "the suite counts seconds, of which there is no table"
    if result.verification is not None and not result.verification.accepted:
        return "a check failed"
    if covered < len(suite.tasks):
        return f"covers {covered} of {len(suite.tasks)} tasks"
    return "scores are claimed, not measured" if result.level == "self-reported" else None


def _domains(suite: Suite, cells: dict[str, Cell]) -> dict[str, float]:
    """Mean scores of the domains all of whose tasks are complete."""
    members: dict[str, list[Cell | None]] = defaultdict(list)
    for task in suite.tasks:
        members[task.domain].append(cells.get(task.dataset))
    means = {}
    for domain, those in members.items():
        present = [cell for cell in those if cell is not None and cell.complete]
        if len(present) == len(those):
            means[domain] = float(np.mean([cell.summary.mean for cell in present]))
    return means


def _overall(scores: list[list[float]]) -> Overall:
    several = all(len(each) > 1 for each in scores)
    interval = aggregates.interval(aggregates.iqm, scores, repetitions=REPETITIONS) if several else None
    return Overall(aggregates.iqm(scores), interval)


def _order(one: Standing) -> tuple[bool, int, float, str]:
    mean = one.overall.iqm if one.overall else _mean_of(one)
    return one.reason is not None, -one.covered, -mean, one.result.folder.name


def _mean_of(one: Standing) -> float:
    return float(np.mean([cell.summary.mean for cell in one.cells.values()])) if one.cells else -np.inf
