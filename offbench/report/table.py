"""Tables of scores, every number with its uncertainty and the count of runs behind it.

A cell is one algorithm on one dataset. Its score is the mean over seeds of the mean score of the last evaluation's
episodes; the last one, because choosing the best would need evaluations that an offline learner does not have.
Bold are the best mean of a dataset and every other mean that lies within the best one's 95% interval. Algorithms that
cover all datasets also get the interquartile mean (IQM) over all their runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offbench.evaluation.aggregates import Interval, interval, iqm
from offbench.evaluation.record import RunRecord
from offbench.evaluation.statistics import Summary, summarize
from offbench.evaluation.success import is_binary, success
from offbench.report.groups import Group, group


@dataclass(frozen=True)
class Cell:
    """One algorithm on one dataset.

    Attributes:
        group: the records behind it and their labels.
        summary: over the seeds' scores.
        episodes: evaluation episodes of all seeds together.
        bold: whether it is the best of its dataset or within the best one's interval.
    """

    group: Group
    summary: Summary
    episodes: int
    bold: bool

    @property
    def steps(self) -> int:
        """Gradient updates before the reported evaluation."""
        return self.group.records[0].evaluations[-1].step

    @property
    def notes(self) -> list[str]:
        """What the records say that a reader of their numbers has to know, each once."""
        return list(dict.fromkeys(note for record in self.group.records for note in record.notes))


@dataclass(frozen=True)
class Overall:
    """Interquartile mean of one algorithm over the runs of all datasets; no interval where a dataset has one run."""

    algorithm: str
    mean: float
    interval: Interval | None
    runs: int
    episodes: int


@dataclass(frozen=True)
class Table:
    """Cells in the order of dataset and algorithm; ``overall`` is empty for a single dataset.

    Attributes:
        cells: the scores.
        overall: of each algorithm that covers all datasets.
        notes: what was left out, and what the records say that a reader of their numbers has to know.
    """

    cells: tuple[Cell, ...]
    overall: tuple[Overall, ...]
    notes: tuple[str, ...]

    @property
    def datasets(self) -> list[str]:
        """Labels of the datasets, each once."""
        return list(dict.fromkeys(cell.group.dataset for cell in self.cells))

    @property
    def algorithms(self) -> list[str]:
        """Labels of the algorithms, each once."""
        return sorted({cell.group.algorithm for cell in self.cells})


def build(records: Sequence[RunRecord]) -> Table:
    """The table of all evaluated records; see ``groups`` for which of them are averaged."""
    groups, notes = group(records)
    rows: dict[str, list[Group]] = {}
    for one in groups:
        rows.setdefault(one.dataset, []).append(one)
    cells = [cell for row in rows.values() for cell in _row(row)]
    return Table(
        tuple(cells), tuple(_overall(cells)), (*notes, *_cautions(cells), *_successes(cells), *_remarks(cells))
    )


def _cautions(cells: Sequence[Cell]) -> list[str]:
    """What has to be told of numbers that cannot be taken as they stand."""
    return [
        f"caution on {cell.group.algorithm} on {cell.group.dataset}: {cell.summary.caution}"
        for cell in cells
        if cell.summary.caution
    ]


def _successes(cells: Sequence[Cell]) -> list[str]:
    """Success rates, where every return of a dataset's task is 0 or 1, with an interval for such outcomes."""
    told = []
    for dataset in dict.fromkeys(cell.group.dataset for cell in cells):
        row = [cell for cell in cells if cell.group.dataset == dataset]
        if not is_binary(record for cell in row for record in cell.group.records):
            continue
        for cell in row:
            found = success(cell.group.records)
            ends = f" [{found.interval[0]:.1%}, {found.interval[1]:.1%}]" if found.interval else ""
            told.append(
                f"success of {cell.group.algorithm} on {dataset}: {found.rate:.1%}{ends} of {found.episodes} episodes, "
                f"{found.statistic} evaluation; interval: {found.method}"
            )
    return told


def _remarks(cells: Sequence[Cell]) -> list[str]:
    """Each note of the records once, with the cells that it is about unless it is about all of them."""
    about: dict[str, list[Cell]] = {}
    for cell in cells:
        for note in cell.notes:
            about.setdefault(note, []).append(cell)
    return [
        f"note: {note}" if len(those) == len(cells) else f"note on {_listed(those)}: {note}"
        for note, those in about.items()
    ]


def _listed(cells: Sequence[Cell]) -> str:
    datasets: dict[str, list[str]] = {}
    for cell in cells:
        datasets.setdefault(cell.group.dataset, []).append(cell.group.algorithm)
    # What is said of the same algorithms on many datasets is said once.
    alike: dict[str, list[str]] = {}
    for dataset, algorithms in datasets.items():
        alike.setdefault(", ".join(algorithms), []).append(dataset)
    return "; ".join(f"{algorithms} on {', '.join(names)}" for algorithms, names in alike.items())


def _row(groups: Sequence[Group]) -> list[Cell]:
    summaries = [summarize([record.final_score for record in one.records]) for one in groups]
    best = max(summaries, key=lambda summary: summary.mean)
    threshold = best.interval[0] if best.interval else best.mean
    compared = len(groups) > 1
    return [
        Cell(one, summary, _episodes(one), bold=compared and summary.mean >= threshold)
        for one, summary in zip(groups, summaries, strict=True)
    ]


def _episodes(one: Group) -> int:
    return sum(len(record.evaluations[-1].returns) for record in one.records)


def _overall(cells: Sequence[Cell]) -> list[Overall]:
    datasets = {cell.group.dataset for cell in cells}
    if len(datasets) < 2:
        return []
    rows = []
    for algorithm in sorted({cell.group.algorithm for cell in cells}):
        covered = [cell for cell in cells if cell.group.algorithm == algorithm]
        # An algorithm that lacks a dataset is shown where it has runs, and not ranked against those that have all.
        if len(covered) < len(datasets):
            continue
        scores = [np.array([record.final_score for record in cell.group.records]) for cell in covered]
        # One run alone says nothing of its dataset's spread, and an interval without that would be too narrow.
        several = all(values.size > 1 for values in scores)
        runs, episodes = sum(values.size for values in scores), sum(cell.episodes for cell in covered)
        rows.append(Overall(algorithm, iqm(scores), interval(iqm, scores) if several else None, runs, episodes))
    return rows
