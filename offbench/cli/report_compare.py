"""``offbench report compare``: methods against one of them, pair by pair."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from offbench.evaluation.record_files import read_records

Runs = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]


def compare(
    runs: Runs,
    /,
    baseline: str,
    test: Literal["sign-flip", "two-sample", "t"] = "sign-flip",
    statistic: Literal["last", "best"] = "last",
    format: Literal["terminal", "markdown"] = "terminal",
) -> None:
    """Compare methods with a baseline, seed by seed on the starts that both played, corrected for their number.

    Examples:
        offbench report compare runs/iql runs/bc --baseline bc

    Args:
        runs: Run folders, searched at any depth for seed-*.json, or such files.
        baseline: Name or label of the algorithm that the others are compared with.
        test: sign-flip is exact for pairs of seeds, two-sample for runs that are not paired; t takes differences for
            normal.
        statistic: Which evaluation of a run counts; best chose among many.
        format: Layout.
    """
    from offbench.report.compare import build, render
    from offbench.report.terminal_table import terminal_width

    built = build(read_records(runs), baseline, test=test, statistic=statistic)
    sys.stdout.write(render(built, format, width=terminal_width()))
