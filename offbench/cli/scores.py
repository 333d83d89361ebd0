"""What ``train`` and ``evaluate`` print at their end."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from offbench.evaluation.record import RunRecord
from offbench.report.rendering import render
from offbench.report.table import build


def show_scores(records: Sequence[RunRecord]) -> None:
    """Print the table of a run's records, or that there was nothing to score it in."""
    if not any(record.evaluations for record in records):
        print("trained without scores: the dataset names no task; give one with --task, or score later with evaluate")
        return
    console = Console()
    print(render(build(records), "terminal", color=console.is_terminal, width=console.width), end="")
