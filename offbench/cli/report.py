"""``offbench report``: tables, data, learning curves and comparisons from run records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from offbench.basis.plain import plain
from offbench.cli.report_compare import compare
from offbench.cli.report_table import Runs, records, table
from offbench.evaluation.record_files import read_records


def curves(runs: Runs, /, output: Path = Path("curves.png")) -> None:
    """Draw the learning curves of runs: mean score and 95% interval over seeds, one panel a dataset.

    Examples:
        offbench report curves runs/demo --output runs/demo/curves.png

    Args:
        runs: Run folders, searched at any depth for seed-*.json, or such files.
        output: Picture to write; both a PNG and a PDF of this name are made.
    """
    found = read_records(runs)
    import matplotlib as mpl

    mpl.use("Agg")  # a picture is written; no window, and no display needed
    from offbench.report.curves import write_curves

    for path in write_curves(found, output):
        print(f"wrote {plain(path)}")


commands: dict[str, Callable[..., Any]] = {"table": table, "records": records, "curves": curves, "compare": compare}
