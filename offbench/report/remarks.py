"""What has to be said below a table."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from offbench.report.cells import ALGORITHM, DATASET, Cell


def remarks(cells: Sequence[Cell], fields: Collection[str]) -> list[str]:
    """What all cells share and no field shows, what is doubtful about a number, and the notes of the records."""
    return [*_constant(cells, fields), *_cautions(cells), *_notes(cells)]


def _constant(cells: Sequence[Cell], fields: Collection[str]) -> list[str]:
    said = []
    for name, values in (
        (DATASET, dict.fromkeys(cell.group.dataset for cell in cells)),
        (ALGORITHM, dict.fromkeys(cell.group.algorithm for cell in cells)),
    ):
        if name not in fields:
            said.append(f"{name}: {', '.join(values)}")
    return said


def _cautions(cells: Sequence[Cell]) -> list[str]:
    return [
        f"{cell.group.algorithm} on {cell.group.dataset}: {caution}"
        for cell in cells
        if (caution := getattr(cell.summary, "caution", None))
    ]


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
