"""``offbench leaderboard export``: results in the layouts of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from offbench.basis.plain import plain
from offbench.leaderboard.exporting import Layout, export
from offbench.leaderboard.results import read_results
from offbench.leaderboard.suite import suites


def export_results(
    results: Annotated[Path, tyro.conf.Positional],
    to: Layout,
    output: Path,
    repository: str | None = None,
) -> None:
    """Write results as Hugging Face's eval.yaml and .eval_results, or as records of Every Eval Ever.

    Examples:
        offbench leaderboard export leaderboards/results --to every-eval-ever --output exported

    Args:
        results: Folder of a leaderboard's results.
        to: Whose layout.
        output: Folder for the files.
        repository: OWNER/NAME of the benchmark's dataset repository at Hugging Face, for its layout.
    """
    for path in export(to, read_results(results), suites(), output, repository):
        print(f"wrote {plain(path)}")
