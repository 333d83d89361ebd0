"""Tables of scores, every number with its uncertainty and the count of runs behind it.

A cell is one algorithm on one dataset. Its score is the mean over seeds of the mean score of the last evaluation's
episodes; the last one, because choosing the best would need evaluations that an offline learner does not have.
Bold are the best mean of a dataset and every other mean that lies within the best one's 95% interval. Algorithms that
cover all datasets also get the interquartile mean (IQM) over all their runs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from offbench.evaluation.record import RunRecord
from offbench.evaluation.statistics import Interval, Summary, bootstrap_interval, interquartile_mean, summarize
from offbench.report.groups import Group, group

Format = Literal["terminal", "markdown", "latex", "csv"]
MISSING = "–"  # noqa: RUF001 - the dash of printed tables

HEADER = ("Dataset", "Algorithm", "Score", "± Std", "95% interval", "Seeds", "Episodes", "Steps")
CAPTION = (
    "Score: 100 (return - low) / (high - low), mean over seeds of the last evaluation. Std: sample standard deviation "
    "over seeds. Interval of the mean over seeds: Student t; of the IQM: stratified bootstrap. "
    "Bold: the best mean of a dataset, and every mean within its interval."
)


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


@dataclass(frozen=True)
class Overall:
    """Interquartile mean of one algorithm over the runs of all datasets."""

    algorithm: str
    mean: float
    interval: Interval
    runs: int
    episodes: int


@dataclass(frozen=True)
class Table:
    """Cells in the order of dataset and algorithm; ``overall`` is empty for a single dataset."""

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
    return Table(tuple(cells), tuple(_overall(cells)), tuple(notes))


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
        pooled = np.concatenate(scores)
        interval = bootstrap_interval(scores, generator=np.random.default_rng(0))
        episodes = sum(cell.episodes for cell in covered)
        rows.append(Overall(algorithm, float(interquartile_mean(pooled)), interval, pooled.size, episodes))
    return rows


def render(table: Table, form: Format, *, color: bool = False, width: int = 200) -> str:
    """The table as text.

    Args:
        table: what to show.
        form: ``terminal`` and ``markdown`` have a line for each dataset and algorithm, ``latex`` (booktabs) a line for
            each dataset and a column for each algorithm, ``csv`` a line for each dataset and algorithm with all
            columns in full precision (the IQM is left to the reader, as is everything else that follows from them).
        color: whether ``terminal`` may use escape sequences.
        width: columns of the terminal.
    """
    if form == "terminal":
        return _terminal(table, color=color, width=width)
    return {"markdown": _markdown, "latex": _latex, "csv": _csv}[form](table)


def _lines(table: Table) -> list[tuple[tuple[str, ...], bool]]:
    """Text of each line, one entry a column of HEADER, and whether its score is bold."""
    lines: list[tuple[tuple[str, ...], bool]] = []
    for cell in table.cells:
        summary = cell.summary
        std = MISSING if summary.std is None else f"{summary.std:.1f}"
        counts = (str(summary.seeds), str(cell.episodes), str(cell.steps))
        names = (cell.group.dataset, cell.group.algorithm)
        lines.append(((*names, f"{summary.mean:.1f}", std, _interval(summary.interval), *counts), cell.bold))
    label = f"IQM of {len(table.datasets)} datasets"
    for row in table.overall:
        counts = (str(row.runs), str(row.episodes), MISSING)
        lines.append(((label, row.algorithm, f"{row.mean:.1f}", MISSING, _interval(row.interval), *counts), False))
    return lines


def _interval(interval: Interval | None) -> str:
    return MISSING if interval is None else f"[{interval[0]:.1f}, {interval[1]:.1f}]"


def _terminal(table: Table, *, color: bool, width: int) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("Dataset, algorithm", overflow="fold")
    for name in HEADER[2:]:
        shown.add_column(name, justify="right", no_wrap=True)
    previous = None
    for (dataset, algorithm, score, *rest), bold in _lines(table):
        # The dataset stands on a line of its own, so that long names fit on a narrow terminal.
        if dataset != previous:
            if previous is not None:
                shown.add_section()
            shown.add_row(Text(dataset, style="italic"))
            previous = dataset
        shown.add_row(Text(f"  {algorithm}"), Text(score, style="bold" if bold else ""), *rest)
    buffer = io.StringIO()
    console = Console(
        file=buffer, width=width, force_terminal=color, color_system="standard" if color else None, highlight=False
    )
    console.print(shown)
    for line in (CAPTION, *table.notes):
        console.print(Text(line, style="dim"))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()).lstrip("\n") + "\n"


def _markdown(table: Table) -> str:
    rows = ["| " + " | ".join(HEADER) + " |", "|---|---|" + "---:|" * (len(HEADER) - 2)]
    for texts, bold in _lines(table):
        escaped = [text.replace("\\", "\\\\").replace("|", "\\|").replace("_", "\\_") for text in texts]
        if bold:
            escaped[2] = f"**{escaped[2]}**"
        rows.append("| " + " | ".join(escaped) + " |")
    return "\n".join([*rows, "", CAPTION, *(f"\n{note}" for note in table.notes)]) + "\n"


_LATEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        MISSING: "--",
        **{symbol: "\\" + symbol for symbol in "&%$#_{}"},
    }
)


def _latex(table: Table) -> str:
    escape = _LATEX_ESCAPES
    columns = table.algorithms
    cells = {(cell.group.dataset, cell.group.algorithm): cell for cell in table.cells}
    rows = []
    for dataset in table.datasets:
        row = [cells.get((dataset, algorithm)) for algorithm in columns]
        rows.append(" & ".join([dataset.translate(escape), *(_latex_score(cell) for cell in row)]) + r" \\")
        rows.append(" & ".join(["", *(_latex_detail(cell) for cell in row)]).strip() + r" \\")
    if table.overall:
        overall = {row.algorithm: row for row in table.overall}
        shown = [overall.get(algorithm) for algorithm in columns]
        rows.append(r"\midrule")
        rows.append(" & ".join(["IQM", *(f"${row.mean:.1f}$" if row else "--" for row in shown)]) + r" \\")
        details = (_small(row.interval, row.runs, row.episodes) if row else "" for row in shown)
        rows.append(" & ".join(["", *details]).strip() + r" \\")
    return (
        "\n".join(
            [
                r"% needs \usepackage{booktabs}",
                *(f"% {note}" for note in table.notes),
                r"\begin{tabular}{l" + "c" * len(columns) + "}",
                r"\toprule",
                " & ".join(["Dataset", *(name.translate(escape) for name in columns)]) + r" \\",
                r"\midrule",
                *rows,
                r"\bottomrule",
                r"\end{tabular}",
                f"% {CAPTION} In brackets below: the interval; then runs / evaluation episodes.",
            ]
        )
        + "\n"
    )


def _latex_score(cell: Cell | None) -> str:
    if cell is None:
        return "--"
    mean = f"{cell.summary.mean:.1f}"
    mean = rf"\mathbf{{{mean}}}" if cell.bold else mean
    return f"${mean}$" if cell.summary.std is None else rf"${mean} \pm {cell.summary.std:.1f}$"


def _latex_detail(cell: Cell | None) -> str:
    return _small(cell.summary.interval, cell.summary.seeds, cell.episodes) if cell else ""


def _small(interval: Interval | None, runs: int, episodes: int) -> str:
    shown = "" if interval is None else f"$[{interval[0]:.1f}, {interval[1]:.1f}]$, "
    return rf"{{\scriptsize {shown}{runs} / {episodes}}}"


def _csv(table: Table) -> str:
    buffer = io.StringIO()
    rows = [_csv_row(cell) for cell in table.cells]
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _csv_row(cell: Cell) -> dict[str, object]:
    record = cell.group.records[0]
    task = record.task
    low, high = cell.summary.interval or (None, None)
    return {
        "dataset": record.dataset,
        "dataset_revision": record.dataset_revision,
        "dataset_digest": record.dataset_digest,
        "task": task.name if task else None,
        "task_low": task.low if task else None,
        "task_high": task.high if task else None,
        "algorithm": record.algorithm,
        "algorithm_label": cell.group.algorithm,
        "algorithm_digest": record.algorithm_digest,
        "config_digest": record.config_digest,
        "steps": cell.steps,
        "seeds": cell.summary.seeds,
        "episodes": cell.episodes,
        "mean": cell.summary.mean,
        "std": cell.summary.std,
        "population_std": cell.summary.population_std,
        "interval_low": low,
        "interval_high": high,
        "bold": cell.bold,
        "tuning_runs": max(one.tuning_runs for one in cell.group.records),
        "seed_list": " ".join(str(one.seed) for one in cell.group.records),
        "seed_scores": " ".join(repr(one.final_score) for one in cell.group.records),
    }
