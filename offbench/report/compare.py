"""Methods compared with one of them, dataset by dataset and over all, as text."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from offbench.basis.plain import plain
from offbench.errors import OffbenchError, UnknownNameError
from offbench.evaluation.comparison import Comparison, compare
from offbench.evaluation.record import RunRecord
from offbench.evaluation.significance import Test, combined_t, holm, least_p, least_pairs, sign_flip
from offbench.evaluation.splits import split
from offbench.report.groups import Group, group
from offbench.report.markdown_table import markdown_text

Form = Literal["terminal", "markdown"]
MISSING = "–"  # noqa: RUF001 - the dash of printed tables
HEADER = ("Dataset", "Method", "Difference", "95% interval", "p", "p, Holm", "Seeds", "Starts")
LEVEL = 0.05

# What stands below a table, by test.
TESTS = {
    "sign-flip": "over the starts that both played. Interval: Student t of the pairs. p: sign-flip test of the pairs",
    "t": "over the starts that both played. Interval and p: Student t, which takes differences of pairs for normal",
    "two-sample": "over all starts, runs not paired. Interval: Welch's t. p: permutation of the runs",
}


@dataclass(frozen=True)
class Row:
    """One method against the baseline, on one dataset or over all of them.

    Attributes:
        dataset, method: labels.
        difference: points of score that the method has more.
        interval: 95% interval of it; None for one seed.
        p, adjusted: two-sided p, and the same after Holm's correction for all rows of datasets, or for all rows over
            datasets.
        seeds: pairs, or runs of the method and of the baseline.
        starts: episodes played from common starts.
        least: the smallest p that so many runs can give.
    """

    dataset: str
    method: str
    difference: float
    interval: tuple[float, float] | None
    p: float
    adjusted: float
    seeds: str
    starts: int
    least: float


@dataclass(frozen=True)
class Comparisons:
    """All rows, those over all datasets at the end, and what a reader has to know."""

    baseline: str
    test: Test
    statistic: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def build(
    records: Sequence[RunRecord], baseline: str, *, test: Test = "sign-flip", statistic: str = "last"
) -> Comparisons:
    """Compare every other method in the records with the baseline, on each dataset that both have.

    Args:
        records: evaluated runs, grouped and labelled as in the table of scores.
        baseline: name or label of an algorithm.
        test: see `offbench.evaluation.comparison.compare`.
        statistic: which evaluation of a run counts.

    Raises:
        OffbenchError: no run is of the baseline, none is of another method on its datasets, or the name fits several
            configurations on one dataset.
    """
    groups, notes = group(records)
    by_dataset: dict[str, list[Group]] = {}
    for one in groups:
        by_dataset.setdefault(one.dataset, []).append(one)
    found: list[tuple[str, str, Comparison]] = []
    for dataset, members in by_dataset.items():
        ours = _baseline(members, baseline)
        if ours is None:
            notes.append(f"left out: {dataset}, which has no run of {baseline}")
            continue
        for one in members:
            if one is not ours:
                compared = compare(one.records, ours.records, test=test, statistic=statistic)
                found.append((dataset, one.algorithm, compared))
                notes += [f"{one.algorithm} on {dataset}: {note}" for note in compared.notes]
                notes += _split(dataset, one.algorithm, compared)
    if not found:
        known = {one.algorithm for one in groups} | {one.records[0].algorithm for one in groups}
        if baseline not in known:
            raise UnknownNameError("algorithm in these runs", baseline, known)
        raise OffbenchError(f"no other method than {baseline} has runs on the datasets of {baseline}")
    rows = [*_rows(found), *_overall(found, test)]
    return Comparisons(baseline, test, statistic, tuple(rows), (*dict.fromkeys(notes), *_powerless(rows, test)))


def _baseline(members: Sequence[Group], name: str) -> Group | None:
    exact = [one for one in members if one.algorithm == name]
    fitting = exact or [one for one in members if one.records[0].algorithm == name]
    if len(fitting) > 1:
        labels = "; ".join(one.algorithm for one in fitting)
        raise OffbenchError(f"{name} has several configurations on {members[0].dataset}; name one of: {labels}")
    return fitting[0] if fitting else None


def _split(dataset: str, method: str, compared: Comparison) -> list[str]:
    two = split(compared.differences)
    if two is None:
        return []
    return [
        f"caution on {method} on {dataset}: {two.lower} of {two.seeds} pairs differ by some {two.low:+.0f} points "
        f"and {two.seeds - two.lower} by some {two.high:+.0f}; the mean difference is typical of none"
    ]


def _rows(found: Sequence[tuple[str, str, Comparison]]) -> list[Row]:
    adjusted = holm([one.p for _, _, one in found])
    rows = []
    for (dataset, method, one), corrected in zip(found, adjusted, strict=True):
        seeds = str(one.runs[0]) if one.starts else f"{one.runs[0]} and {one.runs[1]}"
        rows.append(
            Row(dataset, method, one.difference, one.interval, one.p, corrected, seeds, one.starts, one.least_p)
        )
    return rows


def _overall(found: Sequence[tuple[str, str, Comparison]], test: Test) -> list[Row]:
    """Rows over all datasets, for methods that have pairs on each of them."""
    datasets = list(dict.fromkeys(dataset for dataset, _, _ in found))
    if len(datasets) < 2 or test == "two-sample":
        return []
    results = []
    for method in sorted({method for _, method, _ in found}):
        covered = [one for _, name, one in found if name == method]
        differences = [one.differences for one in covered]
        if len(covered) < len(datasets) or any(values.size < 2 for values in differences):
            continue
        interval, p = combined_t(differences, [1 / len(datasets)] * len(datasets))
        p = sign_flip(differences) if test == "sign-flip" else p
        results.append((method, covered, differences, interval, p))
    adjusted = holm([p for *_, p in results])
    rows = []
    for (method, covered, differences, interval, p), corrected in zip(results, adjusted, strict=True):
        pairs = sum(values.size for values in differences)
        mean = float(np.mean([values.mean() for values in differences]))
        starts, least = sum(one.starts for one in covered), least_p(test, pairs, pairs)
        label = f"mean of {len(datasets)} datasets"
        rows.append(Row(label, method, mean, interval, p, corrected, str(pairs), starts, least))
    return rows


def _powerless(rows: Sequence[Row], test: Test) -> list[str]:
    """What so few seeds cannot show, whatever they score."""
    single = [row for row in rows if not row.dataset.startswith("mean of ")]
    # Adjusted p rise with each p, so that none is below what all least ones together give.
    bounds = holm([row.least for row in single])
    hopeless = [(row.least, bound) for row, bound in zip(single, bounds, strict=True) if bound > LEVEL]
    if not hopeless:
        return []
    least, adjusted = min(hopeless)
    told = (
        f"{len(hopeless)} of {len(single)} rows cannot be significant at {LEVEL:g}, whatever their scores are: so few "
        f"seeds give p of at least {least:.2g}"
    )
    if len(single) > 1:
        told += f", {adjusted:.2g} after correction for {len(single)} rows"
    if test == "sign-flip":
        told += f"; {least_pairs(len(single), LEVEL)} seeds could"
    return [told]


def render(compared: Comparisons, form: Form = "terminal", *, width: int = 120) -> str:
    """The comparisons as a table for a terminal or in Markdown, with what it shows below."""
    caption = (
        f"Difference: score of the method minus that of {compared.baseline}, {compared.statistic} evaluation, mean "
        f"over seeds and {TESTS[compared.test]}, two-sided. Holm: corrected for all rows of datasets, and for those "
        "over all datasets by themselves."
    )
    lines = [_cells(row) for row in compared.rows]
    told = [plain(line) for line in (caption, *compared.notes)]
    if form == "markdown":
        rows = [HEADER, ("---", "---", *("---:" for _ in HEADER[2:])), *lines]
        table = "\n".join(f"| {' | '.join(markdown_text(text) for text in row)} |" for row in rows)
        return "\n\n".join([table, *(markdown_text(line) for line in told)]) + "\n"
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("Dataset, method", overflow="fold")
    for name in HEADER[2:]:
        shown.add_column(name, justify="right", no_wrap=True)
    previous = None
    for dataset, method, *rest in lines:
        # The dataset stands on a line of its own, so that long names fit on a narrow terminal.
        if dataset != previous:
            shown.add_row(Text(dataset, style="italic"))
            previous = dataset
        shown.add_row(Text(f"  {method}"), *rest)
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, force_terminal=False, color_system=None, highlight=False)
    console.print(shown)
    for line in told:
        console.print(Text(line))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()).lstrip("\n") + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    interval = MISSING if row.interval is None else f"[{row.interval[0]:.1f}, {row.interval[1]:.1f}]"
    starts = str(row.starts) if row.starts else MISSING
    names = (plain(row.dataset), plain(row.method))
    return (*names, f"{row.difference:+.1f}", interval, f"{row.p:.3g}", f"{row.adjusted:.3g}", row.seeds, starts)
