"""Final scores of algorithms over several datasets, in the form that statistics over tasks take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.report.groups import group
from offbench.report.labels import Labels
from offbench.report.naming import algorithm_labels, algorithm_styles, dataset_labels
from offbench.report.palette import Style

if TYPE_CHECKING:
    from jaxtyping import Float64


@dataclass(frozen=True, eq=False)
class FinalScores:
    """Scores of the last evaluations.

    Attributes:
        algorithms: label of each algorithm by its name, in the order of figures.
        styles: of each algorithm by its name.
        datasets: label of each dataset by its name.
        scores: by algorithm's name, for each dataset (runs,), one mean score a seed.
        notes: what was left out, a sentence each.
    """

    algorithms: Mapping[str, str]
    styles: Mapping[str, Style]
    datasets: Mapping[str, str]
    scores: Mapping[str, Sequence[Float64[Array, " runs"]]]
    notes: tuple[str, ...]


def final_scores(records: Sequence[RunRecord], labels: Labels) -> FinalScores:
    """Those of every algorithm that has runs on all datasets; one that lacks some is left out, and told.

    Raises:
        OffbenchError: no record was evaluated, or no algorithm has runs on all datasets.
    """
    groups, notes = group(records)
    datasets = dataset_labels(groups, labels)
    cells = {(one.algorithm, one.dataset): np.array([r.final_score for r in one.records]) for one in groups}
    names = list(algorithm_styles(groups, labels))
    complete = [name for name in names if all((name, dataset) in cells for dataset in datasets)]
    notes += [
        f"left out, because it has no runs on {', '.join(d for d in datasets if (name, d) not in cells)}: {name}"
        for name in names
        if name not in complete
    ]
    if not complete:
        raise OffbenchError(
            f"no algorithm has runs on all {len(datasets)} datasets, so that there is nothing to compare over them; "
            "name runs that cover the same datasets"
        )
    kept = [one for one in groups if one.algorithm in complete]
    shown, styles = algorithm_labels(kept, labels), algorithm_styles(kept, labels)
    return FinalScores(
        {name: shown[name] for name in complete},
        styles,
        datasets,
        {name: [cells[name, dataset] for dataset in datasets] for name in complete},
        tuple(notes),
    )


def several_runs(scores: Sequence[Float64[Array, " runs"]]) -> bool:
    """Whether every dataset has two runs at least, without which there is no interval."""
    return all(values.size > 1 for values in scores)


def over(datasets: Mapping[str, str]) -> str:
    """How a caption says what the scores are of."""
    return next(iter(datasets.values())) if len(datasets) == 1 else f"{len(datasets)} datasets"
