"""What a table is made of: cells, averages over them, and what is said below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from offbench.evaluation.record import RunRecord
from offbench.evaluation.statistics import Interval, Summary
from offbench.report.beside import Beside
from offbench.report.groups import Group
from offbench.report.statistic import Statistic

Mark = Literal["", "best", "tied"]
DATASET, ALGORITHM = "dataset", "algorithm"


@dataclass(frozen=True)
class Cell:
    """One algorithm on one dataset.

    Attributes:
        group: the records behind it and their labels.
        summary: over the seeds; its mean is the table's statistic.
        episodes: evaluation episodes of all seeds together.
        mark: whether it is the best of its dataset, or tied with it.
        row, column: values of the fields that rows and columns are made of.
    """

    group: Group
    summary: Summary
    episodes: int
    mark: Mark
    row: tuple[str, ...]
    column: tuple[str, ...]

    @property
    def bold(self) -> bool:
        """Whether it is the best of its dataset or tied with it."""
        return self.mark != ""

    @property
    def steps(self) -> int:
        """Gradient updates before the last evaluation."""
        return self.group.records[0].evaluations[-1].step

    @property
    def notes(self) -> list[str]:
        """What the records say that a reader of their numbers has to know, each once."""
        return list(dict.fromkeys(note for record in self.group.records for note in record.notes))


@dataclass(frozen=True)
class Overall:
    """One algorithm over several datasets, all of which it has.

    Attributes:
        label: what it is, ``IQM of 4 datasets``.
        algorithm: label.
        mean: the number.
        interval: 95%, over seeds; None where a dataset has one run alone.
        runs, episodes: behind it.
        domain: the datasets' domain; None for all.
    """

    label: str
    algorithm: str
    mean: float
    interval: Interval | None
    runs: int
    episodes: int
    domain: str | None = None


@dataclass(frozen=True)
class Table:
    """Cells in the order of rows and columns; ``averages`` and ``overall`` are empty for a single dataset.

    Attributes:
        cells: the scores.
        averages: of each algorithm that covers a domain of several datasets.
        overall: of each algorithm that covers all datasets.
        notes: what was left out, and what the records say that a reader of their numbers has to know.
        statistic: what the numbers are.
        rows, columns: fields that rows and columns are made of.
        row_order, column_order: values of the fields of each row and column, in order.
        beside: what no run of ours made.
        domains: domain of each dataset that has one, by label.
    """

    cells: tuple[Cell, ...]
    averages: tuple[Overall, ...]
    overall: tuple[Overall, ...]
    notes: tuple[str, ...]
    statistic: Statistic
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    row_order: tuple[tuple[str, ...], ...]
    column_order: tuple[tuple[str, ...], ...]
    beside: tuple[Beside, ...]
    domains: dict[str, str]

    @property
    def datasets(self) -> list[str]:
        """Labels of the datasets, each once."""
        return list(dict.fromkeys(cell.group.dataset for cell in self.cells))

    @property
    def algorithms(self) -> list[str]:
        """Labels of the algorithms, each once."""
        return sorted({cell.group.algorithm for cell in self.cells})

    @property
    def method(self) -> str:
        """How the intervals of the cells are made."""
        return "; ".join(dict.fromkeys(cell.summary.method for cell in self.cells))

    @property
    def usual(self) -> bool:
        """Whether rows are datasets and columns algorithms."""
        return (self.rows, self.columns) == ((DATASET,), (ALGORITHM,))


def each(cell: Cell, chosen: Statistic) -> npt.NDArray[np.float64]:
    """(seeds,) the numbers of the runs; final scores where the statistic is no mean of such numbers."""
    return np.array([(chosen.each or _final)(record) for record in cell.group.records])


def _final(record: RunRecord) -> float:
    return record.final_score
