"""What has to be said below a table."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from offbench.evaluation.success import is_binary, success
from offbench.report.cells import ALGORITHM, DATASET, Cell
from offbench.report.statistic import Statistic


def remarks(cells: Sequence[Cell], fields: Collection[str], chosen: Statistic) -> list[str]:
    """What all cells share and no field shows, what is doubtful about a number, and the notes of the records."""
    successes = [] if chosen.name == "success" else _successes(cells)
    uneven = _uneven(cells) if chosen.each and {*fields} == {DATASET, ALGORITHM} else []
    return [*_constant(cells, fields), *uneven, *_cautions(cells), *_tunings(cells), *successes, *_notes(cells)]


def _constant(cells: Sequence[Cell], fields: Collection[str]) -> list[str]:
    said = []
    for name, values in (
        (DATASET, dict.fromkeys(cell.group.dataset for cell in cells)),
        (ALGORITHM, dict.fromkeys(cell.group.algorithm for cell in cells)),
    ):
        if name not in fields:
            said.append(f"{name}: {', '.join(values)}")
    return said


def _uneven(cells: Sequence[Cell]) -> list[str]:
    """What has to be told of an IQM over datasets with unequal numbers of runs."""
    datasets = {cell.group.dataset for cell in cells}
    seeds: dict[str, list[int]] = {}
    for cell in cells:
        seeds.setdefault(cell.group.algorithm, []).append(cell.summary.seeds)
    told = [
        f"{algorithm} has {min(own)} to {max(own)}"
        for algorithm, own in seeds.items()
        if len(own) == len(datasets) and min(own) < max(own)
    ]
    return [f"IQM: a dataset with more runs counts for more; {', '.join(told)} a dataset"] if told else []


def _cautions(cells: Sequence[Cell]) -> list[str]:
    """What has to be told of numbers that cannot be taken as they stand."""
    return [
        f"caution on {cell.group.algorithm} on {cell.group.dataset}: {cell.summary.caution}"
        for cell in cells
        if cell.summary.caution
    ]


_TUNERS = {"random": "random search", "tpe": "TPE"}
_OBJECTIVES = {
    "last": "the last evaluation",
    "best": "the best evaluation",
    "auc": "the area under the curve",
    "fqe": "fitted Q evaluation",
}


def _tunings(cells: Sequence[Cell]) -> list[str]:
    """How each configuration was chosen that offbench chose, and what that cost."""
    about: dict[str, list[Cell]] = {}
    for cell in cells:
        found = cell.group.records[0].tuning
        if found is None or found.role == "trial":
            continue
        failed = f", {found.failed} of which failed" if found.failed else ""
        by, seeds = _TUNERS.get(found.tuner, found.tuner), ", ".join(map(str, found.seeds))
        said = (
            f"{found.brief}; {found.trials} configurations by {by}{failed}, chosen by "
            f"{_OBJECTIVES[found.objective]} on the seeds {seeds}, none of which is scored here"
        )
        about.setdefault(said, []).append(cell)
    return [f"tuning of {_listed(those)}: {said}" for said, those in about.items()]


def _successes(cells: Sequence[Cell]) -> list[str]:
    """Success rates, where every return of a dataset's task is 0 or 1, with an interval for such outcomes."""
    told = []
    for dataset in dict.fromkeys(cell.group.dataset for cell in cells):
        row = [cell for cell in cells if cell.group.dataset == dataset]
        if not is_binary(record for cell in row for record in cell.group.records):
            continue
        for cell in row:
            found = success(cell.group.records)
            ends = f" [{found.interval[0]:.1%}, {found.interval[1]:.1%}]" if found.interval else ""
            told.append(
                f"success of {cell.group.algorithm} on {dataset}: {found.rate:.1%}{ends} of {found.episodes} episodes, "
                f"{found.statistic} evaluation; interval: {found.method}"
            )
    return told


def _notes(cells: Sequence[Cell]) -> list[str]:
    """Each note of the records once, with the cells that it is about unless it is about all of them."""
    about: dict[str, list[Cell]] = {}
    for cell in cells:
        for note in cell.notes:
            about.setdefault(note, []).append(cell)
    return [
        f"note: {note}" if len(those) == len(cells) else f"note on {_listed(those)}: {note}"
        for note, those in about.items()
    ]


def _listed(cells: Sequence[Cell]) -> str:
    datasets: dict[str, list[str]] = {}
    for cell in cells:
        datasets.setdefault(cell.group.dataset, []).append(cell.group.algorithm)
    # What is said of the same algorithms on many datasets is said once.
    alike: dict[str, list[str]] = {}
    for dataset, algorithms in datasets.items():
        alike.setdefault(", ".join(algorithms), []).append(dataset)
    return "; ".join(f"{algorithms} on {', '.join(names)}" for algorithms, names in alike.items())
