"""A table of scores as lines of text, before any format: long with a line a cell, or wide with a column a method."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from offbench.basis.plain import plain
from offbench.evaluation.statistics import Interval
from offbench.report.beside import DATA_BEST, DATA_MEAN, Beside
from offbench.report.cells import Cell, Mark, Overall, Table
from offbench.report.ties import HOW

MISSING = "–"  # noqa: RUF001 - the dash of printed tables
DAGGER = "†"
Spread = Literal["std", "interval", "none"]
_TITLES = {"dataset": "Dataset", "algorithm": "Algorithm"}


@dataclass(frozen=True)
class Entry:
    """What stands in one place.

    Attributes:
        text: a name or a number.
        spread: standard deviation or interval beside a number.
        mark: whether it is the best of its dataset or tied with it.
    """

    text: str
    spread: str = ""
    mark: Mark = ""


@dataclass(frozen=True)
class Line:
    """One line.

    Attributes:
        entries: as many as the header has.
        section: lines of different sections are parted.
    """

    entries: tuple[Entry, ...]
    section: str


@dataclass(frozen=True)
class Sheet:
    """Lines with what is said about them.

    Attributes:
        header: of each column.
        names: how many columns, from the left, are names; the others are numbers.
        lines: from top to bottom.
        wide: whether a column is a method.
        caption: what the numbers are, without what the marks look like.
        notes: further sentences.
        marks: which marks there are.
        ties: what tied means.
    """

    header: tuple[str, ...]
    names: int
    lines: tuple[Line, ...]
    wide: bool
    caption: str
    notes: tuple[str, ...]
    marks: frozenset[Mark]
    ties: str


def long_sheet(table: Table) -> Sheet:
    """A line for each cell, with standard deviation, interval and counts."""
    fields = (*table.rows, *table.columns)
    names = tuple(_TITLES.get(name, name.removeprefix("config.")) for name in fields)
    tuned = any(cell.group.records[0].tuning is not None for cell in table.cells)
    header = (*names, table.statistic.title, "± Std", "95% interval", "Seeds", "Episodes", "Steps")
    header += ("Tuning",) if tuned else ()
    beside: dict[str, list[Beside]] = defaultdict(list)
    for one in table.beside if table.usual else ():
        beside[one.dataset].append(one)
    lines: list[Line] = []
    for i, cell in enumerate(table.cells):
        lines.append(_cell_line(cell, tuned))
        if i + 1 == len(table.cells) or table.cells[i + 1].group.dataset != cell.group.dataset:
            lines += [_beside_line(one) for one in beside.pop(cell.group.dataset, [])]
    lines += [_overall_line(one) for one in (*table.averages, *table.overall)]
    missing = Entry(MISSING)
    lines = [Line((*one.entries, *[missing] * (len(header) - len(one.entries))), one.section) for one in lines]
    return _sheet(table, header, len(fields), lines, wide=False, spread="std and interval")


def wide_sheet(table: Table, spread: Spread = "std") -> Sheet:
    """A line for each row and a column for each method, each number with its spread."""
    cells = {(cell.row, cell.column): cell for cell in table.cells}
    extra = list(dict.fromkeys((one.kind, one.name) for one in table.beside)) if table.usual else []
    beside = {(one.dataset, one.kind, one.name): one for one in table.beside}
    titles = tuple(_TITLES.get(name, name.removeprefix("config.")) for name in table.rows)
    columns = [", ".join(plain(value) for value in column) for column in table.column_order]
    header = (*titles, *columns, *(_beside_name(kind, name) for kind, name in extra))
    lines = []
    domains = [table.domains.get(row[0], "") if table.usual else "" for row in table.row_order]
    for i, row in enumerate(table.row_order):
        entries = [Entry(plain(value)) for value in row]
        entries += [_score(cells.get((row, column)), spread) for column in table.column_order]
        entries += [_beside_entry(beside.get((row[0], *key)), spread) for key in extra]
        lines.append(Line(tuple(entries), domains[i]))
        if domains[i] and (i + 1 == len(domains) or domains[i + 1] != domains[i]):
            lines += _average_lines(
                table, [one for one in table.averages if one.domain == domains[i]], len(extra), spread
            )
    lines += _average_lines(table, table.overall, len(extra), spread)
    return _sheet(table, header, len(titles), lines, wide=True, spread=spread)


def _average_lines(table: Table, those: list[Overall] | tuple[Overall, ...], extra: int, spread: Spread) -> list[Line]:
    """One line of averages, with a dash for each method that lacks a dataset."""
    if not those:
        return []
    by_method: dict[tuple[str, ...], Overall] = {(one.algorithm,): one for one in those}
    entries = [Entry(those[0].label)]
    for column in table.column_order:
        one = by_method.get(column)
        shown = _interval(one.interval) if one and spread == "interval" else ""
        entries.append(Entry(f"{one.mean:.1f}", shown) if one else Entry(MISSING))
    return [Line((*entries, *(Entry(MISSING) for _ in range(extra))), those[0].label)]


def _cell_line(cell: Cell, tuned: bool) -> Line:
    summary = cell.summary
    names = [Entry(plain(value)) for value in (*cell.row, *cell.column)]
    std = MISSING if summary.std is None else f"{summary.std:.1f}"
    counts = (Entry(str(summary.seeds)), Entry(str(cell.episodes)), Entry(str(cell.steps)))
    score = Entry(f"{summary.mean:.1f}", mark=cell.mark)
    tuning = (Entry(_tuning(cell)),) if tuned else ()
    return Line((*names, score, Entry(std), Entry(_interval(summary.interval)), *counts, *tuning), names[0].text)


def _tuning(cell: Cell) -> str:
    """Kind of the tuning and what it has spent; notes say more."""
    said = cell.group.records[0].tuning
    if said is None:
        return MISSING
    return "a trial" if said.role == "trial" else f"{said.kind}, {said.runs:,} runs"


def _overall_line(one: Overall) -> Line:
    numbers = (f"{one.mean:.1f}", MISSING, _interval(one.interval), str(one.runs), str(one.episodes), MISSING)
    return Line(tuple(Entry(text) for text in (one.label, plain(one.algorithm), *numbers)), one.label)


def _beside_line(one: Beside) -> Line:
    numbers = [
        MISSING if one.value is None else f"{one.value:.1f}",
        MISSING if one.std is None else f"{one.std:.1f}",
        MISSING,
        MISSING if one.seeds is None else str(one.seeds),
        MISSING,
        MISSING,
    ]
    names = (plain(one.dataset), _beside_name(one.kind, one.name))
    return Line(tuple(Entry(text) for text in (*names, *numbers)), names[0])


def _beside_name(kind: str, name: str) -> str:
    return f"{plain(name)} {DAGGER}" if kind == "published" else name


def _beside_entry(one: Beside | None, spread: Spread) -> Entry:
    if one is None or one.value is None:
        return Entry(MISSING)
    return Entry(f"{one.value:.1f}", f"± {one.std:.1f}" if one.std is not None and spread == "std" else "")


def _score(cell: Cell | None, spread: Spread) -> Entry:
    if cell is None:
        return Entry(MISSING)
    summary = cell.summary
    shown = ""
    if spread == "std" and summary.std is not None:
        shown = f"± {summary.std:.1f}"
    if spread == "interval" and summary.interval is not None:
        shown = _interval(summary.interval)
    return Entry(f"{summary.mean:.1f}", shown, cell.mark)


def _interval(interval: Interval | None) -> str:
    return MISSING if interval is None else f"[{interval[0]:.1f}, {interval[1]:.1f}]"


def _sheet(table: Table, header: tuple[str, ...], names: int, lines: list[Line], *, wide: bool, spread: str) -> Sheet:
    ties = _ties(table)
    marks = frozenset(entry.mark for line in lines for entry in line.entries)
    notes = tuple(plain(note) for note in (*table.notes, *_about_beside(table)))
    return Sheet(header, names, tuple(lines), wide, _caption(table, spread, wide=wide), notes, marks, ties)


def _ties(table: Table) -> str:
    """What tied means; a run alone is neither tied nor told apart by a test, which has to be said."""
    if not table.statistic.each:
        return "within its interval"
    sizes: dict[str, list[int]] = defaultdict(list)
    for cell in table.cells:
        sizes[cell.group.dataset].append(cell.summary.seeds)
    untested = any(len(seeds) > 1 and min(seeds) == 1 for seeds in sizes.values())
    return HOW + ("; one seed alone is not tested" if untested else "")


def _caption(table: Table, spread: str, *, wide: bool) -> str:
    said = [f"{table.statistic.title}: {table.statistic.meaning}."]
    if "std" in spread:
        said.append(
            "Std: sample standard deviation over seeds." if not wide else "±: sample standard deviation over seeds."
        )
    if "interval" in spread:
        averages = "; of averages: stratified bootstrap" if table.averages or table.overall else ""
        said.append(f"95% interval: {table.method}{averages}.")
    if wide and table.cells:
        seeds = sorted({cell.summary.seeds for cell in table.cells})
        episodes = sorted({cell.episodes for cell in table.cells})
        steps = sorted({cell.steps for cell in table.cells})
        said.append(f"Seeds: {_range(seeds)}; episodes of all seeds: {_range(episodes)}; updates: {_range(steps)}.")
    if wide and any(
        (row, column) not in {(c.row, c.column) for c in table.cells}
        for row in table.row_order
        for column in table.column_order
    ):
        said.append(f"{MISSING}: no runs; an average is given where all its datasets have runs.")
    return " ".join(said)


def _range(values: list[int]) -> str:
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"


def _about_beside(table: Table) -> list[str]:
    said: dict[str, dict[str, None]] = defaultdict(dict)
    for one in table.beside:
        if one.kind == "published":
            said[one.source][one.name] = None
    notes = [
        f"{DAGGER} published, not run here: {', '.join(names)} ({source}; std divided by n)"
        for source, names in said.items()
    ]
    data: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in table.beside:
        if one.kind == "data" and one.value is None and one.name in (DATA_MEAN, DATA_BEST):
            data[one.name, one.source].append(one.dataset)
    return notes + [f"{name} of {', '.join(those)} is missing: {source}" for (name, source), those in data.items()]
