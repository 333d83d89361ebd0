"""Learning curves: score against gradient updates, mean and 95% interval over seeds, one panel a dataset."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from offbench.basis.files import atomic
from offbench.basis.plain import plain
from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.evaluation.statistics import student_interval
from offbench.report.groups import Group, group

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Set like the text of a paper. These fonts come with matplotlib, so that a picture is the same on every machine.
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
    "pdf.fonttype": 42,  # TrueType, which publishers accept and editors can edit
}
PANELS_A_ROW = 3
DOTS_PER_INCH = 200
# Without dates and program versions, the same records give the same bytes.
METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
}


def write_curves(records: Sequence[RunRecord], path: Path) -> list[Path]:
    """Draw the curves and write them as PNG and as PDF, side by side and each atomically; returns both paths.

    Args:
        records: evaluated runs; see ``draw``.
        path: name of the picture; its suffix is ``.png``, ``.pdf`` or none.
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    if path.suffix.lower() not in ("", *METADATA):
        raise OffbenchError(f"curves are written as .png and .pdf, not {path.suffix}; name {path.with_suffix('.png')}")
    written = [path.with_suffix(suffix) for suffix in METADATA]
    with mpl.rc_context():
        figure = draw(records)
        for target in written:
            with atomic(target) as temporary:
                figure.savefig(
                    temporary,
                    format=target.suffix[1:],
                    dpi=DOTS_PER_INCH,
                    bbox_inches="tight",
                    metadata=METADATA[target.suffix],
                )
        plt.close(figure)
    return written


def draw(records: Sequence[RunRecord]) -> Figure:
    """A figure of all evaluated records, in groups and with labels as in the table; sets matplotlib's style.

    The line is the mean over seeds, the band its Student t interval (none for one seed). Where the seeds of a group
    were evaluated at different steps, those that they share are drawn. An algorithm has one colour and one dash pattern
    throughout; both palettes remain distinct for colour-blind readers and in grey.

    Raises:
        OffbenchError: no record was evaluated, or the seeds of a group share no step.
    """
    import seaborn as sns
    from matplotlib.ticker import EngFormatter

    groups, _ = group(records)
    points = _points(groups)
    algorithms = sorted({_name(one.algorithm) for one in groups})
    datasets = list(dict.fromkeys(_name(one.dataset) for one in groups))
    sns.set_theme(context="paper", style="whitegrid", rc=STYLE)  # type: ignore[no-untyped-call]
    palette = sns.color_palette("colorblind", len(algorithms))  # type: ignore[no-untyped-call]
    grid = sns.relplot(  # type: ignore[no-untyped-call]
        points,
        x="Gradient updates",
        y="Score",
        hue="algorithm",
        hue_order=algorithms,
        style="algorithm",
        style_order=algorithms,
        palette=palette,
        kind="line",
        errorbar=_band,
        err_kws={"alpha": 0.18, "linewidth": 0},
        col="dataset",
        col_order=datasets,
        col_wrap=min(PANELS_A_ROW, len(datasets)),
        facet_kws={"sharex": False, "sharey": False},
        height=2.6,
        aspect=1.35,
    )
    for axes, dataset in zip(grid.axes.flat, datasets, strict=True):
        axes.set_title(textwrap.fill(dataset, 44, break_on_hyphens=False), pad=8)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_xlabel("Gradient updates")
        axes.margins(x=0.02)
    grid.legend.set_title("")
    figure: Figure = grid.figure
    return figure


def _points(groups: Iterable[Group]) -> dict[str, list[Any]]:
    """One row for each evaluation of each seed, as columns."""
    rows = []
    for one in groups:
        shared = set.intersection(*({e.step for e in record.evaluations} for record in one.records))
        if not shared:
            seeds = ", ".join(str(record.seed) for record in one.records)
            raise OffbenchError(
                f"the seeds {seeds} of {one.algorithm} on {one.dataset} were never evaluated at the same step, "
                "so they have no common curve"
            )
        rows += [
            (_name(one.dataset), _name(one.algorithm), evaluation.step, float(record.scores(evaluation).mean()))
            for record in one.records
            for evaluation in record.evaluations
            if evaluation.step in shared
        ]
    names = ("dataset", "algorithm", "Gradient updates", "Score")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _name(label: str) -> str:
    """A label on one line, no part of which is set as mathematics."""
    return plain(label).replace("$", r"\$")


def _band(scores: Any) -> tuple[float, float]:
    return student_interval(np.asarray(scores)) or (np.nan, np.nan)
