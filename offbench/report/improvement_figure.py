"""Probability of improvement: how likely a run of one algorithm scores higher than one of another.

Source: Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical Precipice", section 4.3.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from offbench.errors import OffbenchError, UnknownNameError
from offbench.evaluation import aggregates
from offbench.evaluation.record import RunRecord
from offbench.report.canvas import WIDTHS, Drawn, Size, blank, print_style, text
from offbench.report.labels import Labels, read_labels
from offbench.report.scores import FinalScores, final_scores, over, several_runs

ROW, REST = 0.21, 0.55  # inches: of a pair, and of ticks and label


def draw(
    records: Sequence[RunRecord], size: Size = "one-column", labels: Labels | None = None, *, over_whom: str = ""
) -> Drawn:
    """The figure, and a row for each pair: X on the left, Y on the right, P(X > Y) between.

    The better one by that probability stands on the left. A bar is the 95% interval (percentile bootstrap of both,
    stratified), which pairs with one run on some dataset have not. It is not corrected for the number of pairs.

    Args:
        records: evaluated runs of two algorithms at least.
        size: of the figure.
        labels: short names; the defaults where there are none.
        over_whom: name of the algorithm that all others are compared with; all pairs where it is empty.

    Raises:
        OffbenchError: there is one algorithm alone; see also `offbench.report.scores.final_scores`.
    """
    found = final_scores(records, labels or read_labels(None))
    pairs = _pairs(found, over_whom)
    styles, rows = found.styles, list[dict[str, object]]()
    with print_style():
        figure = blank(WIDTHS[size], REST + ROW * len(pairs))
        axes = figure.add_subplot()
        right = axes.twinx()
        for height, (one, other) in enumerate(pairs):
            a, b = found.scores[one], found.scores[other]
            value = aggregates.probability_of_improvement(a, b)
            interval = aggregates.improvement_interval(a, b) if several_runs([*a, *b]) else None
            style = styles[one]
            if interval is not None:
                axes.plot(interval, (height, height), color=style.color, linewidth=4, alpha=0.35, solid_capstyle="butt")
            axes.plot(value, height, color=style.color, marker=style.marker, markersize=4.5)
            low, high = interval or (None, None)
            rows.append({"algorithm": one, "over": other, "probability": value, "low": low, "high": high})
        axes.axvline(0.5, color="0.45", linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
        for side, place in ((axes, 0), (right, 1)):
            side.set_ylim(len(pairs) - 0.5, -0.5)
            side.set_yticks(range(len(pairs)), [text(found.algorithms[pair[place]]) for pair in pairs])
            side.tick_params(axis="y", length=0)
            side.grid(visible=False, axis="y")
            side.spines[["left", "right"]].set_visible(False)
        axes.set(xlim=(-0.03, 1.03), xlabel=f"P(left > right), {text(over(found.datasets))}")
    return Drawn(figure, rows, found.notes)


def _pairs(found: FinalScores, over_whom: str) -> list[tuple[str, str]]:
    """Pairs of algorithms, the one that is more likely to be better first."""
    names = list(found.algorithms)
    if len(names) < 2:
        raise OffbenchError(f"an improvement needs two algorithms; {names[0]} is the only one that has runs throughout")
    if over_whom and over_whom not in names:
        raise UnknownNameError("algorithm of these runs", over_whom, names)
    pairs = []
    for one, other in itertools.combinations(names, 2):
        if not over_whom:
            better = aggregates.probability_of_improvement(found.scores[one], found.scores[other]) >= 0.5
            pairs.append((one, other) if better else (other, one))
        elif over_whom in (one, other):
            pairs.append((one, other) if other == over_whom else (other, one))
    return pairs
