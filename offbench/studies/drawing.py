"""What pages of studies share: a figure, its file, and a cell of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from offbench.basis.files import atomic
from offbench.evaluation.statistics import student_interval
from offbench.report.canvas import DOTS_PER_INCH, METADATA

# Set like the text of a paper, for pages on a screen. These fonts come with matplotlib.
STYLE = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "legend.fontsize": 11,
    "legend.title_fontsize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "lines.linewidth": 1.6,
    "axes.edgecolor": "0.3",
    "axes.linewidth": 0.8,
    "grid.color": "0.88",
    "grid.linewidth": 0.7,
    "pdf.fonttype": 42,
}
ABSENT = "–"  # noqa: RUF001 - the dash of printed tables
Say = Callable[[str], None]


def mean_cell(values: Sequence[float]) -> str:
    """Mean and 95% interval (Student t) over seeds; a dash where there is no number."""
    known = np.array([value for value in values if value == value])
    if not known.size:
        return ABSENT
    interval = student_interval(known)
    shown = _three(float(known.mean()))
    return shown if interval is None else f"{shown} [{_three(interval[0])}, {_three(interval[1])}]"


def _three(value: float) -> str:
    """Three digits, or all of a whole number that has more."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def figure(panels: int) -> tuple[Any, Any, Any]:
    """A figure with panels side by side, the panels, and the colours of lines."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    sns.set_theme(context="paper", style="whitegrid", rc=STYLE)  # type: ignore[no-untyped-call]
    drawing, axes = plt.subplots(1, panels, figsize=(3.6 * panels, 3.0), layout="constrained")
    return drawing, axes, sns.color_palette("colorblind")  # type: ignore[no-untyped-call]


def write_figure(drawing: Any, path: Path) -> Path:
    """Write a figure as PNG, the same bytes for the same numbers; returns the path."""
    with atomic(path) as temporary:
        drawing.savefig(temporary, format="png", dpi=DOTS_PER_INCH, metadata=METADATA[".png"])
    return path
