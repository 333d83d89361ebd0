"""``offbench report``: tables, data, figures and comparisons from run records."""

from __future__ import annotations

# Imported when they are chosen: the others' simulators and statistics take seconds.
commands: dict[str, str] = {
    "table": "offbench.cli.report_table:table",
    "records": "offbench.cli.report_table:records",
    "curves": "offbench.cli.report_figure:curves",
    "figure": "offbench.cli.report_figure:figure",
    "compare": "offbench.cli.report_compare:compare",
}
