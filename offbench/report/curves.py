"""Learning curves: score against gradient updates, mean and 95% interval over seeds, one panel a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.evaluation.statistics import student_interval
from offbench.report.at_hand import DataScores, data_scores
from offbench.report.canvas import Drawn, Size, check_output, legend, name_axes, panels, print_style, text, title, write
from offbench.report.groups import Group, group
from offbench.report.labels import Labels, read_labels
from offbench.report.naming import algorithm_labels, algorithm_styles, dataset_labels
from offbench.report.palette import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from offbench.basis.shapes import Array

MEAN, BEST = "mean of the data", "best episode"
_DOTS, _DASHES = (0, (1.0, 2.0)), (0, (6.0, 3.0))


def write_curves(records: Sequence[RunRecord], path: Path, size: Size = "two-column") -> list[Path]:
    """Draw the curves and write them as PNG, PDF and CSV, side by side; returns the paths.

    Args:
        records: evaluated runs; see ``draw``.
        path: name of the picture; its suffix is ``.png``, ``.pdf`` or none.
        size: of the figure.
    """
    check_output(path)
    return write(draw(records, size), path)


def draw(
    records: Sequence[RunRecord], size: Size = "two-column", labels: Labels | None = None, *, data: bool = True
) -> Drawn:
    """A figure of all evaluated records, in groups as in the table, and its numbers.

    The line is the mean over seeds, the band its Student t interval (none for one seed). Where the seeds of a group
    were evaluated at different steps, those that they share are drawn, and a note says so. An algorithm has one style
    throughout (`offbench.report.palette`). Grey lines are the mean and the best score of the data's episodes, where the
    data are at hand without a download.

    Args:
        records: evaluated runs.
        size: of the figure.
        labels: short names; the defaults where there are none.
        data: whether to draw the lines of the data.

    Raises:
        OffbenchError: no record was evaluated, or the seeds of a group share no step.
    """
    groups, notes = group(records)
    labels = labels or read_labels(None)
    algorithms, datasets = algorithm_labels(groups, labels), dataset_labels(groups, labels)
    styles = algorithm_styles(groups, labels)
    rows: list[dict[str, object]] = []
    with print_style():
        figure, axes = panels(len(datasets), size)
        known = False
        for place, (dataset, label) in zip(axes, datasets.items(), strict=True):
            members = [one for one in groups if one.dataset == dataset]
            of_data = data_scores(members[0].records[0]) if data else None
            known |= of_data is not None
            rows += _panel(place, members, styles, of_data)
            notes += [note for one in members for note in _unshared(one)]
            title(place, label)
        name_axes(figure, "Gradient updates", "Score")
        legend(figure, {algorithms[name]: style for name, style in styles.items()}, more=_grey() if known else ())
    return Drawn(figure, rows, tuple(notes))


def _panel(
    axes: Axes, groups: Sequence[Group], styles: Mapping[str, Style], data: DataScores | None
) -> list[dict[str, object]]:
    """Draw the groups of one dataset; a row a point."""
    from matplotlib.ticker import EngFormatter

    rows: list[dict[str, object]] = []
    for one in groups:
        style, (steps, scores) = styles[one.algorithm], _scores(one)
        bands = [student_interval(column) for column in scores.T]
        # A single evaluation has no line and no area: it is a point and a bar.
        single = len(steps) == 1
        marker = style.marker if single else ""
        axes.plot(steps, scores.mean(axis=0), color=style.color, linestyle=style.linestyle, marker=marker)
        limits = np.array([band or (np.nan, np.nan) for band in bands]).T
        axes.fill_between(steps, *limits, color=style.color, alpha=0.18, linewidth=0)
        if single:
            axes.vlines(steps, *limits, color=style.color, alpha=0.35, linewidth=4)
        rows += [
            {
                "dataset": one.dataset,
                "algorithm": one.algorithm,
                "step": step,
                "mean": float(mean),
                "low": band[0] if band else None,
                "high": band[1] if band else None,
                "seeds": len(one.records),
                "data_mean": data.mean if data else None,
                "data_best": data.best if data else None,
            }
            for step, mean, band in zip(steps, scores.mean(axis=0), bands, strict=True)
        ]
    if data is not None:
        axes.axhline(data.mean, color="0.45", linestyle=_DOTS, linewidth=1, zorder=1)
        axes.axhline(data.best, color="0.45", linestyle=_DASHES, linewidth=1, zorder=1)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.locator_params(nbins=5)
    axes.margins(x=0.02)
    return rows


def _grey() -> list[object]:
    """Handles of the data's lines for the legend."""
    from matplotlib.lines import Line2D

    lines = ((BEST, _DASHES), (MEAN, _DOTS))
    return [Line2D([], [], color="0.45", linestyle=dash, linewidth=1, label=text(label)) for label, dash in lines]


def _unshared(one: Group) -> list[str]:
    """What is said of steps that some seeds of a group alone were evaluated at."""
    first, *others = ({evaluation.step for evaluation in record.evaluations} for record in one.records)
    left = len(first.union(*others) - first.intersection(*others))
    told = f"left out, because not every seed was evaluated there: {left} {'step' if left == 1 else 'steps'}"
    return [f"{told} of {one.algorithm} on {one.dataset}"] if left else []


def _scores(one: Group) -> tuple[list[int], Array]:
    """The steps that all seeds were evaluated at, and the scores (seeds, steps) there."""
    shared = set.intersection(*({e.step for e in record.evaluations} for record in one.records))
    if not shared:
        seeds = ", ".join(str(record.seed) for record in one.records)
        raise OffbenchError(
            f"the seeds {seeds} of {one.algorithm} on {one.dataset} were never evaluated at the same step, "
            "so they have no common curve"
        )
    scores = [
        [float(record.scores(evaluation).mean()) for evaluation in record.evaluations if evaluation.step in shared]
        for record in one.records
    ]
    return sorted(shared), np.array(scores)
