"""Tables of scores, every number with its uncertainty and the count of runs behind it.

A cell is one algorithm on one dataset. Its score is the mean over seeds of the mean score of the last evaluation's
episodes; the last one, because choosing the best would need evaluations that an offline learner does not have. Other
statistics are in `offbench.report.statistic`. Of the cells of a dataset the best is marked, and every other one that a
test does not tell apart from it. Algorithms that cover all datasets of a domain have its average, and those that cover
all datasets the interquartile mean (IQM) over all their runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.evaluation.rows import Row, run_row
from offbench.report.averages import averages, overall
from offbench.report.beside import of_data, published
from offbench.report.cells import ALGORITHM, DATASET, Cell, Mark, Table
from offbench.report.choosing import field, number, text
from offbench.report.groups import Group, group
from offbench.report.labels import TABLES, Labels
from offbench.report.remarks import remarks
from offbench.report.statistic import Statistic, statistic
from offbench.report.ties import tied

_AS_THEY_ARE = Labels({name: {} for name in TABLES}, short=False)


def build(
    records: Sequence[RunRecord],
    *,
    labels: Labels | None = None,
    measure: str = "mean",
    rows: Sequence[str] = (DATASET,),
    columns: Sequence[str] = (ALGORITHM,),
    others: Sequence[str] = (),
    data: bool = False,
) -> Table:
    """The table of all evaluated records; see ``groups`` for which of them are averaged.

    Args:
        records: runs.
        labels: short names; by default names stand as they are in the records.
        measure: name of a statistic.
        rows, columns: what they are made of: ``dataset``, ``algorithm``, and fields of
            `offbench.evaluation.rows.run_row`, those of the configuration with or without ``config.``.
        others: names of algorithms, with ``*``, whose published scores stand beside ours.
        data: whether to show what the data's mean and best episode score.

    Raises:
        OffbenchError: a field or statistic is unknown, or two groups that must not be averaged would share a cell.
    """
    chosen = statistic(measure)
    facts = [run_row(record) for record in records if record.evaluations]
    rows, columns = _fields(rows, facts), _fields(columns, facts)
    groups, notes = group(records, labels, [name.removeprefix("config.") for name in (*rows, *columns)])
    cells = _cells(groups, chosen, rows, columns)
    _check_single(cells, rows, columns)
    named = labels or _AS_THEY_ARE
    cells, row_order, column_order = _sorted(_marked(cells, chosen), rows, columns, named)
    # By label, for a dataset may be there in several versions or tasks.
    shown = {cell.group.dataset: cell.group.records[0] for cell in cells}
    beside = [*published(shown, others, named), *(of_data(shown) if data else [])]
    domains = {label: domain for label, record in shown.items() if (domain := named.domain(record.dataset))}
    usual = (tuple(rows), tuple(columns)) == ((DATASET,), (ALGORITHM,))
    return Table(
        cells=tuple(cells),
        averages=tuple(averages(cells, domains, chosen) if usual else ()),
        overall=tuple(overall(cells, chosen) if usual else ()),
        notes=(*notes, *remarks(cells, {*rows, *columns}, chosen)),
        statistic=chosen,
        rows=rows,
        columns=columns,
        row_order=row_order,
        column_order=column_order,
        beside=tuple(beside),
        domains=domains,
    )


def _fields(names: Sequence[str], facts: Sequence[Row]) -> tuple[str, ...]:
    if not names:
        raise OffbenchError("rows and columns need a field each, such as dataset and algorithm")
    return tuple(name if name in (DATASET, ALGORITHM) or not facts else field(name, facts) for name in names)


def _cells(groups: Sequence[Group], chosen: Statistic, rows: Sequence[str], columns: Sequence[str]) -> list[Cell]:
    cells = []
    for one in groups:
        row = run_row(one.records[0])
        episodes = sum(len(record.evaluations[-1].returns) for record in one.records)
        place = [tuple(_value(name, one, row) for name in names) for names in (rows, columns)]
        cells.append(Cell(one, chosen.measure(one.records), episodes, "", *place))
    return cells


def _value(name: str, one: Group, row: Row) -> str:
    if name in (DATASET, ALGORITHM):
        return one.dataset if name == DATASET else one.algorithm
    return text(row.get(name))


def _check_single(cells: Sequence[Cell], rows: Sequence[str], columns: Sequence[str]) -> None:
    places: dict[tuple[tuple[str, ...], tuple[str, ...]], Cell] = {}
    for cell in cells:
        first = places.setdefault((cell.row, cell.column), cell)
        if first is not cell:
            one, other = (f"{each.group.algorithm} on {each.group.dataset}" for each in (first, cell))
            what = "differ" if one == other else f"are {one} and {other}"
            raise OffbenchError(
                f"two groups of runs would share the cell {', '.join((*cell.row, *cell.column))} and {what}; they are "
                "not averaged: name what differs in --rows or --columns, or choose with --where"
            )


def _marked(cells: Sequence[Cell], chosen: Statistic) -> list[Cell]:
    """With the best of each dataset marked, and what is tied with it."""
    by_dataset: dict[str, list[int]] = defaultdict(list)
    for i, cell in enumerate(cells):
        by_dataset[cell.group.dataset].append(i)
    marks: dict[int, Mark] = {}
    for members in by_dataset.values():
        if len(members) < 2:
            continue
        best = max(members, key=lambda i: cells[i].summary.mean)
        others = [i for i in members if i != best]
        marks[best] = "best"
        for i, alike in zip(others, _alike(cells[best], [cells[i] for i in others], chosen), strict=True):
            if cells[i].summary.mean == cells[best].summary.mean:
                marks[i] = "best"
            elif alike:
                marks[i] = "tied"
    return [replace(cell, mark=marks.get(i, "")) for i, cell in enumerate(cells)]


def _alike(best: Cell, others: Sequence[Cell], chosen: Statistic) -> list[bool]:
    """Whether each is tied with the best; `offbench.report.captions` says how."""
    if chosen.each is not None:
        evaluation = "best" if chosen.name == "best" else "last"
        return tied(best.group.records, [cell.group.records for cell in others], evaluation)
    low = best.summary.interval[0] if best.summary.interval else best.summary.mean
    return [cell.summary.mean >= low for cell in others]


Place = tuple[str, ...]


def _sorted(
    cells: Sequence[Cell], rows: Sequence[str], columns: Sequence[str], labels: Labels
) -> tuple[list[Cell], tuple[Place, ...], tuple[Place, ...]]:
    """Cells by row and column, and the order of either."""
    keys: list[dict[Place, tuple[object, ...]]] = [{}, {}]
    for cell in cells:
        for found, names, place in zip(keys, (rows, columns), (cell.row, cell.column), strict=True):
            key = tuple(_key(name, value, cell, labels) for name, value in zip(names, place, strict=True))
            found[place] = min(found.get(place, key), key)
    by_row, by_column = keys
    ordered = sorted(cells, key=lambda cell: (by_row[cell.row], by_column[cell.column]))
    return ordered, tuple(sorted(by_row, key=by_row.__getitem__)), tuple(sorted(by_column, key=by_column.__getitem__))


def _key(name: str, value: str, cell: Cell, labels: Labels) -> tuple[object, ...]:
    """Sorts datasets by domain, names as the labels say, numbers by size and before words."""
    record = cell.group.records[0]
    if name == DATASET:
        return labels.domain_order(record.dataset), labels.order(record.dataset)[0], value
    if name == ALGORITHM:
        return labels.order(record.algorithm)[0], value
    return number(value) is None, number(value) or 0.0, value
