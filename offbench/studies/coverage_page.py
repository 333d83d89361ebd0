"""The tables of the coverage study, made of its records at any time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from offbench.basis.files import atomic
from offbench.studies.coverage_aggregates import SHARES
from offbench.studies.drawing import ABSENT

Records = Mapping[str, dict[str, Any]]


def write_page(records: Records, folder: Path) -> list[Path]:
    """Write ``page.md`` and return its path."""
    page = folder / "page.md"
    with atomic(page) as temporary:
        text = "\n\n".join(["# Coverage of intervals", *tables(records).values()])
        temporary.write_text(text + "\n", encoding="utf-8")
    return [page]


def tables(records: Records) -> dict[str, str]:
    """Each table in Markdown, by name; of the parts that there are records of."""
    made = {
        "means": _means, "missed": _missed, "rule": _rule, "successes": _successes, "aggregates": _aggregates,
        "cvar": _cvar,
    }  # fmt: skip
    part = {"missed": "means", "cvar": "aggregates"}
    return {
        name: table(records[part.get(name, name)]["rows"])
        for name, table in made.items()
        if part.get(name, name) in records
    }


def _means(rows: Sequence[Mapping[str, Any]]) -> str:
    methods = list(rows[0]["coverage"])
    lines = []
    for row in rows:
        cells = [f"{_percent(row['coverage'][name])} ({_points(row['width'][name])})" for name in methods]
        lines.append([row["scenario"], str(row["seeds"]), *cells])
    return _table(["seeds are", "seeds", *methods], lines)


def _missed(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        if not row["scenario"].endswith(" succeed"):
            continue
        share = float(row["scenario"].partition("%")[0]) / 100
        alike = share ** row["seeds"] + (1 - share) ** row["seeds"]
        shares = [alike, row["split"], row["student_of_split"], row["student_of_others"]]
        lines.append([row["scenario"], str(row["seeds"]), *map(_percent, shares)])
    header = ["seeds are", "seeds", "all alike", "seen split", "Student t covers where split", "and elsewhere"]
    return _table(header, lines)


def _rule(rows: Sequence[Mapping[str, Any]]) -> str:
    seeds = list(dict.fromkeys(row["seeds"] for row in rows))
    called = {(row["groups"], row["scenario"], row["seeds"]): row["called"] for row in rows}
    kinds = list(dict.fromkeys((row["groups"], row["scenario"]) for row in rows))
    lines = [
        [f"{'one group' if groups == 1 else 'two groups'}: {name}", *(_percent(called[groups, name, n]) for n in seeds)]
        for groups, name in sorted(kinds, key=lambda kind: kind[0])
    ]
    return _table(["scores", *(f"{n} seeds" for n in seeds)], lines)


def _successes(rows: Sequence[Mapping[str, Any]]) -> str:
    methods = list(rows[0]["coverage"])
    lines = []
    for row in rows:
        cells = [f"{_percent(row['coverage'][name])} ({_points(100 * row['width'][name])})" for name in methods]
        lines.append([f"{row['rate']:.0%}", f"{row['correlation']:g}", str(row["seeds"]), *cells])
    return _table(["success rate", "correlation", "seeds", *methods], lines)


def _aggregates(rows: Sequence[Mapping[str, Any]]) -> str:
    several = [row for row in rows if "CVaR" not in row["coverage"]]
    methods = list(several[0]["coverage"])
    lines = []
    for row in several:
        widths = {name: row["width"][name] * (100 if name in SHARES else 1) for name in methods}
        cells = [f"{_percent(row['coverage'][name], 0)} ({_points(widths[name])})" for name in methods]
        lines.append([row["suite"], str(row["seeds"]), *cells])
    return _table(["six tasks", "runs a task", *methods], lines)


def _cvar(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        [str(row["seeds"]), f"{_percent(row['coverage']['CVaR'], 0)} ({_points(row['width']['CVaR'])})"]
        for row in rows
        if "CVaR" in row["coverage"]
    ]
    return _table(["seeds", "CVaR at 0.1"], lines)


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [header, ["---", *("---:" for _ in header[1:])], *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _percent(share: float | None, digits: int = 1) -> str:
    return ABSENT if share is None else f"{100 * share:.{digits}f}%"


def _points(width: float | None) -> str:
    return "unbounded" if width is None else f"{width:.1f}"
