"""Performance profiles: the share of runs that score more than each threshold, with pointwise bands.

Source: Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical Precipice", section 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offbench.evaluation import aggregates
from offbench.evaluation.record import RunRecord
from offbench.report.canvas import Drawn, Size, legend, panels, print_style, text
from offbench.report.labels import Labels, read_labels
from offbench.report.scores import final_scores, over, several_runs

THRESHOLDS = 201


def draw(records: Sequence[RunRecord], size: Size = "one-column", labels: Labels | None = None) -> Drawn:
    """The figure, and a row for each algorithm and threshold.

    Lines are the profiles of the last evaluations of all runs, bands their pointwise 95% intervals (stratified
    percentile bootstrap), which an algorithm with one run on some dataset has not. Thresholds reach from the least
    score, at most 0, to the greatest.

    Raises:
        OffbenchError: see `offbench.report.scores.final_scores`.
    """
    found = final_scores(records, labels or read_labels(None))
    every = np.concatenate([values for scores in found.scores.values() for values in scores])
    thresholds = np.linspace(min(0.0, every.min()), every.max(), THRESHOLDS)
    styles, rows = found.styles, list[dict[str, object]]()
    with print_style():
        figure, (axes,) = panels(1, size)
        for algorithm, style in styles.items():
            scores = found.scores[algorithm]
            profile = aggregates.performance_profile(scores, thresholds)
            axes.step(thresholds, profile, where="post", color=style.color, linestyle=style.linestyle)
            low = high = np.full(THRESHOLDS, np.nan)
            if several_runs(scores):
                low, high = aggregates.profile_band(scores, thresholds)
                axes.fill_between(thresholds, low, high, step="post", color=style.color, alpha=0.15, linewidth=0)
            rows += [
                {"algorithm": algorithm, "threshold": float(t), "share": float(p)}
                | {"low": None if np.isnan(a) else float(a), "high": None if np.isnan(b) else float(b)}
                for t, p, a, b in zip(thresholds, profile, low, high, strict=True)
            ]
        axes.set(xlabel=f"Score τ, {text(over(found.datasets))}", ylabel="Share of runs above τ", ylim=(-0.02, 1.02))
        axes.margins(x=0.01)
        legend(figure, {found.algorithms[name]: style for name, style in styles.items()})
    return Drawn(figure, rows, found.notes)
