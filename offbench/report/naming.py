"""What groups of runs are called in figures, no two alike, and by which names they have their colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from offbench.report.groups import Group
from offbench.report.labels import Labels
from offbench.report.palette import Style, styles_of


def algorithm_labels(groups: Iterable[Group], labels: Labels) -> dict[str, str]:
    """Label of each ``Group.algorithm``: that of the algorithm, with what tells its configurations apart if it must."""
    names: dict[str, list[str]] = {}
    for one in groups:
        record = one.records[0]
        short = labels.algorithm(record.algorithm, record.config)
        suffix = one.algorithm.removeprefix(record.algorithm)
        names.setdefault(one.algorithm, [short, labels.algorithm(record.algorithm) + suffix, one.algorithm])
    return _distinct(names)


def algorithm_styles(groups: Sequence[Group], labels: Labels) -> dict[str, Style]:
    """Style of each ``Group.algorithm``, in the order of figures.

    One that is called by its algorithm's label alone has that algorithm's, whatever tells it from other runs.
    """
    shown = algorithm_labels(groups, labels)
    keys = {}
    for one in groups:
        own = one.records[0].algorithm
        keys[one.algorithm] = own if shown[one.algorithm] == labels.algorithm(own) else one.algorithm
    styles = styles_of(keys.values())
    return {name: styles[keys[name]] for name in sorted(keys, key=lambda name: (labels.order(keys[name]), name))}


def dataset_labels(groups: Sequence[Group], labels: Labels) -> dict[str, str]:
    """Label of each ``Group.dataset``: that of the dataset, with what tells its versions and tasks apart."""
    short = labels.datasets(one.records[0].dataset for one in groups)
    names = {}
    for one in groups:
        dataset = one.records[0].dataset
        names[one.dataset] = [short[dataset] + one.dataset.removeprefix(dataset), one.dataset]
    return _distinct(names)


def _distinct(forms: dict[str, list[str]]) -> dict[str, str]:
    """The first form of each name that no other name has as its first."""
    chosen = {name: own[0] for name, own in forms.items()}
    for place in range(1, max(map(len, forms.values()), default=1)):
        shown = list(chosen.values())
        chosen |= {name: forms[name][place] for name, label in chosen.items() if shown.count(label) > 1}
    # What is left may be the first form of another one.
    return chosen if len(set(chosen.values())) == len(chosen) else {name: name for name in forms}
