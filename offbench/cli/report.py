"""``offbench report``: tables and figures from run records."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from offbench.basis.files import atomic
from offbench.basis.plain import plain
from offbench.cli.report_compare import compare
from offbench.cli.report_figure import curves, figure
from offbench.evaluation.record_files import read_records
from offbench.report.rendering import Format, render
from offbench.report.table import build

Runs = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]


def table(runs: Runs, /, format: Format = "terminal", output: Path | None = None) -> None:
    """Print the scores of runs with standard deviation and 95% interval over seeds.

    Examples:
        offbench report table runs/demo
        offbench report table runs/iql runs/bc --format latex --output scores.tex

    Args:
        runs: Run folders, searched at any depth for seed-*.json, or such files.
        format: Layout: csv has every column in full precision, latex needs the package booktabs.
        output: File to write instead of printing.
    """
    built = build(read_records(runs))
    if output is None:
        on_terminal = sys.stdout.isatty()
        width = os.get_terminal_size().columns if on_terminal else 120
        sys.stdout.write(render(built, format, color=on_terminal and "NO_COLOR" not in os.environ, width=width))
        return
    with atomic(output) as temporary:
        temporary.write_text(render(built, format, width=120), encoding="utf-8")
    print(f"wrote {plain(output)}", file=sys.stderr)


commands: dict[str, Callable[..., Any]] = {"table": table, "curves": curves, "figure": figure, "compare": compare}
