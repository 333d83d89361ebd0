"""What groups of runs are called in figures: short labels of their algorithms and datasets, no two alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from offbench.report.groups import Group
from offbench.report.labels import Labels


def algorithm_labels(groups: Iterable[Group], labels: Labels) -> dict[str, str]:
    """Label of each ``Group.algorithm``: that of the algorithm, with what tells its configurations apart."""
    names: dict[str, str] = {}
    for one in groups:
        record = one.records[0]
        suffix = one.algorithm.removeprefix(record.algorithm)
        plain, configured = labels.algorithm(record.algorithm), labels.algorithm(record.algorithm, record.config)
        names.setdefault(one.algorithm, configured if configured != plain else plain + suffix)
    return _distinct(names)


def dataset_labels(groups: Sequence[Group], labels: Labels) -> dict[str, str]:
    """Label of each ``Group.dataset``: that of the dataset, with what tells its versions and tasks apart."""
    short = labels.datasets(one.records[0].dataset for one in groups)
    names = {}
    for one in groups:
        dataset = one.records[0].dataset
        names[one.dataset] = short[dataset] + one.dataset.removeprefix(dataset)
    return _distinct(names)


def _distinct(labels: dict[str, str]) -> dict[str, str]:
    """The labels, and the name itself where two names have the same one."""
    shown = list(labels.values())
    return {name: label if shown.count(label) == 1 else name for name, label in labels.items()}
