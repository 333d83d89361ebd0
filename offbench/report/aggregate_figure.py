"""Intervals of IQM, mean, median and optimality gap over datasets: a panel a statistic, a row an algorithm.

Source: Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical Precipice", figure 9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from offbench.evaluation import aggregates
from offbench.evaluation.record import RunRecord
from offbench.report.canvas import WIDTHS, Drawn, Size, blank, name_axes, print_style, text
from offbench.report.labels import Labels, read_labels
from offbench.report.scores import final_scores, over, several_runs

STATISTICS: Mapping[str, Callable[..., float]] = {
    "IQM": aggregates.iqm,
    "Mean": aggregates.mean,
    "Median": aggregates.median,
    "Optimality gap": aggregates.optimality_gap,
}
ROW, REST = 0.21, 0.62  # inches: of an algorithm, and of title and ticks


def draw(records: Sequence[RunRecord], size: Size = "two-column", labels: Labels | None = None) -> Drawn:
    """The figure, and a row for each algorithm and statistic.

    A mark is the statistic over the last evaluations of all runs, a bar its 95% interval (stratified percentile
    bootstrap), which an algorithm with one run on some dataset has not. For one dataset mean and median over datasets
    are the same, and the median is left out.

    Raises:
        OffbenchError: see `offbench.report.scores.final_scores`.
    """
    found = final_scores(records, labels or read_labels(None))
    names = [name for name in STATISTICS if name != "Median" or len(found.datasets) > 1]
    styles, rows = found.styles, list[dict[str, object]]()
    columns = 2 if size == "one-column" else len(names)
    lines = -(-len(names) // columns)
    with print_style():
        figure = blank(WIDTHS[size], lines * (REST + ROW * len(styles)))
        for place, name in enumerate(names):
            axes = figure.add_subplot(lines, columns, place + 1)
            for height, (algorithm, style) in enumerate(styles.items()):
                scores = found.scores[algorithm]
                value = STATISTICS[name](scores)
                interval = aggregates.interval(STATISTICS[name], scores) if several_runs(scores) else None
                if interval is not None:
                    axes.plot(
                        interval, (height, height), color=style.color, linewidth=4, alpha=0.35, solid_capstyle="butt"
                    )
                axes.plot(value, height, color=style.color, marker=style.marker, markersize=4.5)
                low, high = interval or (None, None)
                rows.append(
                    {"algorithm": algorithm, "statistic": name, "value": value, "low": low, "high": high}
                    | {"datasets": len(scores), "runs": sum(values.size for values in scores)}
                )
            axes.set_ylim(len(styles) - 0.5, -0.5)
            axes.grid(visible=False, axis="y")
            axes.spines["left"].set_visible(False)
            axes.tick_params(axis="y", length=0)
            first = place % columns == 0
            axes.set_yticks(range(len(styles)), [text(found.algorithms[a]) if first else "" for a in styles])
            axes.locator_params(axis="x", nbins=4)
            axes.margins(x=0.12)
            axes.set_title(name, pad=4)
        name_axes(figure, f"Score, {text(over(found.datasets))}")
    return Drawn(figure, rows, found.notes)
