"""Tables of scores as text: for a terminal, Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from typing import Literal

from offbench.basis.plain import plain
from offbench.evaluation.statistics import Interval
from offbench.report.table import Cell, Table

Format = Literal["terminal", "markdown", "latex", "csv"]
MISSING = "–"  # noqa: RUF001 - the dash of printed tables

HEADER = ("Dataset", "Algorithm", "Score", "± Std", "95% interval", "Seeds", "Episodes", "Steps")
CAPTION = (
    "Score: 100 (return - low) / (high - low), mean over seeds of the last evaluation. Std: sample standard deviation "
    "over seeds. Interval of the mean over seeds: Student t; of the IQM: stratified bootstrap. "
    "Bold: the best mean of a dataset, and every mean within its interval."
)


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
        names = (plain(cell.group.dataset), plain(cell.group.algorithm))
        lines.append(((*names, f"{summary.mean:.1f}", std, _interval(summary.interval), *counts), cell.bold))
    label = f"IQM of {len(table.datasets)} datasets"
    for row in table.overall:
        names = (label, plain(row.algorithm))
        counts = (str(row.runs), str(row.episodes), MISSING)
        lines.append(((*names, f"{row.mean:.1f}", MISSING, _interval(row.interval), *counts), False))
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
        console.print(Text(plain(line), style="dim"))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()).lstrip("\n") + "\n"


# Whatever ends a cell, or makes markup, a link or an HTML tag of a name.
_MARKDOWN_ESCAPES = str.maketrans({symbol: "\\" + symbol for symbol in "\\|_*`~[]<>&$"})


def _markdown(table: Table) -> str:
    rows = ["| " + " | ".join(HEADER) + " |", "|---|---|" + "---:|" * (len(HEADER) - 2)]
    for texts, bold in _lines(table):
        escaped = [*(text.translate(_MARKDOWN_ESCAPES) for text in texts[:2]), *texts[2:]]
        if bold:
            escaped[2] = f"**{escaped[2]}**"
        rows.append("| " + " | ".join(escaped) + " |")
    notes = (f"\n{plain(note).translate(_MARKDOWN_ESCAPES)}" for note in table.notes)
    return "\n".join([*rows, "", CAPTION, *notes]) + "\n"


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


def _latex_name(name: str) -> str:
    """A name as text; in front of what a line break would take for its own argument stands an empty group."""
    escaped = plain(name).translate(_LATEX_ESCAPES)
    return "{}" + escaped if escaped.startswith(("[", "*")) else escaped


def _latex(table: Table) -> str:
    columns = table.algorithms
    cells = {(cell.group.dataset, cell.group.algorithm): cell for cell in table.cells}
    rows = []
    for dataset in table.datasets:
        row = [cells.get((dataset, algorithm)) for algorithm in columns]
        rows.append(" & ".join([_latex_name(dataset), *(_latex_score(cell) for cell in row)]) + r" \\")
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
                *(f"% {plain(note)}" for note in table.notes),
                r"\begin{tabular}{l" + "c" * len(columns) + "}",
                r"\toprule",
                " & ".join(["Dataset", *(_latex_name(name) for name in columns)]) + r" \\",
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


def _csv_name(name: str) -> str:
    """A name on one line, which no spreadsheet takes for a formula."""
    shown = plain(name)
    return "'" + shown if shown.lstrip().startswith(("=", "+", "-", "@")) else shown


def _csv_row(cell: Cell) -> dict[str, object]:
    record = cell.group.records[0]
    task = record.task
    low, high = cell.summary.interval or (None, None)
    return {
        "dataset": _csv_name(record.dataset),
        "dataset_revision": record.dataset_revision,
        "dataset_digest": record.dataset_digest,
        "task": _csv_name(task.name) if task else None,
        "task_low": task.low if task else None,
        "task_high": task.high if task else None,
        "algorithm": _csv_name(record.algorithm),
        "algorithm_label": _csv_name(cell.group.algorithm),
        "algorithm_digest": record.algorithm_digest,
        "code_digest": record.code_digest,
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
        "notes": _csv_name("; ".join(cell.notes)),
    }
