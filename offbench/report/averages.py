"""Averages over datasets: of a domain, and of all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from offbench.evaluation.aggregates import interval, iqm
from offbench.evaluation.aggregates import mean as mean_of_means
from offbench.report.cells import Cell, Overall, each
from offbench.report.statistic import Statistic


def averages(cells: Sequence[Cell], domains: dict[str, str], chosen: Statistic) -> list[Overall]:
    """The mean over the datasets of each domain that has several, for each algorithm that has all of them."""
    datasets = list(dict.fromkeys(cell.group.dataset for cell in cells))
    found = []
    for domain in dict.fromkeys(domains[dataset] for dataset in datasets if dataset in domains):
        members = {dataset for dataset in datasets if domains.get(dataset) == domain}
        for covered in _complete(cells, members):
            label = f"{domain}, mean of {len(members)}"
            found.append(_over(label, covered, chosen, domain))
    return found


def _over(label: str, covered: Sequence[Cell], chosen: Statistic, domain: str | None) -> Overall:
    """The mean over datasets of one algorithm's cells."""
    scores = [each(cell, chosen) for cell in covered]
    several = chosen.each is not None and all(values.size > 1 for values in scores)
    return Overall(
        label,
        covered[0].group.algorithm,
        float(np.mean([cell.summary.mean for cell in covered])),
        interval(mean_of_means, scores) if several else None,
        sum(cell.summary.seeds for cell in covered),
        sum(cell.episodes for cell in covered),
        domain,
    )


def overall(cells: Sequence[Cell], chosen: Statistic) -> list[Overall]:
    """The IQM over runs of each algorithm that has all datasets; the mean where the statistic is not one of runs."""
    datasets = {cell.group.dataset for cell in cells}
    if chosen.each is None:
        label = f"Mean of {len(datasets)} datasets"
        return [_over(label, covered, chosen, None) for covered in _complete(cells, datasets)]
    found = []
    for covered in _complete(cells, datasets):
        scores = [each(cell, chosen) for cell in covered]
        # One run alone says nothing of its dataset's spread, and an interval without that would be too narrow.
        several = all(values.size > 1 for values in scores)
        bounds = interval(iqm, scores) if several else None
        runs, episodes = sum(values.size for values in scores), sum(cell.episodes for cell in covered)
        label = f"IQM of {len(datasets)} datasets"
        found.append(Overall(label, covered[0].group.algorithm, iqm(scores), bounds, runs, episodes))
    return found


def _complete(cells: Sequence[Cell], datasets: set[str]) -> list[list[Cell]]:
    """For each algorithm that has all of several datasets its cells of them.

    An algorithm that lacks a dataset is shown where it has runs, and not averaged beside those that have all.
    """
    by_algorithm: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        if cell.group.dataset in datasets:
            by_algorithm[cell.group.algorithm].append(cell)
    return [covered for covered in by_algorithm.values() if len(covered) == len(datasets) > 1]
