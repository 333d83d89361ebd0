"""Score against tuning budget: what is expected of an algorithm whose settings are chosen with so many episodes.

The policies of an algorithm on a dataset, of all configurations and seeds, are arms of a bandit
(`offbench.evaluation.tuning_budget`); their rewards are the episodes of the last evaluation. Where there are trials of
a tuning they are the pool, and the result that came of them is none of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from offbench.evaluation.record import RunRecord
from offbench.evaluation.tuning_budget import tuning_curve
from offbench.report.canvas import Drawn, Size, legend, name_axes, panels, print_style, title
from offbench.report.groups import Group, group
from offbench.report.labels import Labels, read_labels
from offbench.report.naming import dataset_labels
from offbench.report.palette import styles_of


def draw(
    records: Sequence[RunRecord], size: Size = "two-column", labels: Labels | None = None, *, pulls: int = 200
) -> Drawn:
    """The figure, a panel a dataset, and a row for each algorithm, dataset and number of episodes.

    Bands are 95% intervals of the mean over simulated tunings, which say nothing of other pools of policies.

    Raises:
        OffbenchError: no record was evaluated.
    """
    labels = labels or read_labels(None)
    groups, notes = group(pool_of(records), trials=True)
    datasets = dataset_labels(groups, labels)
    # By the algorithm's own name: its configurations are what tuning chooses from.
    pools: dict[tuple[str, str], list[Group]] = defaultdict(list)
    for one in groups:
        pools[one.dataset, one.records[0].algorithm].append(one)
    names = sorted({algorithm for _, algorithm in pools}, key=labels.order)
    styles, shown, rows = styles_of(names), labels.algorithms(names), list[dict[str, object]]()
    episodes = np.arange(1, pulls + 1)
    with print_style():
        figure, axes = panels(len(datasets), size)
        for place, (dataset, label) in zip(axes, datasets.items(), strict=True):
            for name in (n for n in names if (dataset, n) in pools):
                runs = [record for one in pools[dataset, name] for record in one.records]
                curve = tuning_curve([record.scores(record.evaluations[-1]) for record in runs], pulls=pulls)
                color = styles[name].color
                place.plot(episodes, curve.mean, color=color, linestyle=styles[name].linestyle)
                place.fill_between(episodes, curve.low, curve.high, color=color, alpha=0.18, linewidth=0)
                rows += [
                    {"dataset": dataset, "algorithm": name, "policies": len(runs), "episodes": k}
                    | {"mean": float(mean), "low": float(low), "high": float(high)}
                    for k, mean, low, high in zip(range(1, pulls + 1), curve.mean, curve.low, curve.high, strict=True)
                ]
            place.set_xscale("log")
            place.xaxis.set_major_formatter("{x:g}")
            place.margins(x=0.02)
            title(place, label)
        name_axes(figure, "Episodes of tuning", "Score of what is chosen")
        legend(figure, {shown[name]: style for name, style in styles.items()})
    return Drawn(figure, rows, tuple(notes))


def pool_of(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs that are policies to choose from: of an algorithm and a dataset the trials, else all."""
    tuned = {(one.algorithm, one.benchmark_digest) for one in records if one.is_trial}
    return [one for one in records if one.is_trial or (one.algorithm, one.benchmark_digest) not in tuned]
