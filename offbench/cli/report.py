"""``offbench report``: tables, data, figures and comparisons from run records, and distances between rewards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offbench.cli.report_compare import compare
from offbench.cli.report_figure import curves, figure
from offbench.cli.report_rewards import rewards
from offbench.cli.report_table import records, table

commands: dict[str, Callable[..., Any]] = {
    "table": table,
    "records": records,
    "curves": curves,
    "figure": figure,
    "compare": compare,
    "rewards": rewards,
}
