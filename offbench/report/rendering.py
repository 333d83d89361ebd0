"""Tables of scores as text: for a terminal, Markdown, LaTeX, HTML, CSV and JSON."""

from __future__ import annotations

from typing import Literal

from offbench.report.cells import Table
from offbench.report.html_table import html
from offbench.report.latex_table import latex
from offbench.report.markdown_table import markdown
from offbench.report.sheet import Spread, long_sheet, wide_sheet
from offbench.report.terminal_table import terminal
from offbench.report.values import csv_text, json_text

Format = Literal["terminal", "markdown", "latex", "html", "csv", "json"]
Layout = Literal["auto", "long", "wide"]


def render(
    table: Table,
    form: Format,
    *,
    color: bool = False,
    width: int = 200,
    layout: Layout = "auto",
    spread: Spread = "std",
) -> str:
    """The table as text.

    Args:
        table: what to show.
        form: ``latex`` is made for booktabs, ``html`` a page by itself; ``csv`` and ``json`` are in full precision.
        color: whether ``terminal`` may use escape sequences.
        width: columns of the terminal.
        layout: ``long`` has a line for each cell with everything that is known of it, ``wide`` a line for each dataset
            and a column for each algorithm (or what rows and columns are made of); ``auto`` is wide for ``latex`` and
            ``html`` and long for the others.
        spread: what stands beside a number in a wide table.
    """
    wide = layout == "wide" or (layout == "auto" and form in ("latex", "html"))
    if form == "csv":
        return csv_text(table, wide=wide)
    if form == "json":
        return json_text(table)
    sheet = wide_sheet(table, spread) if wide else long_sheet(table)
    if form == "terminal":
        return terminal(sheet, color=color, width=width)
    return {"markdown": markdown, "latex": latex, "html": html}[form](sheet)
