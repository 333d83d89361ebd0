"""``offbench report table`` and ``offbench report records``: run records as tables and as data."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from offbench.basis.files import atomic
from offbench.basis.plain import plain
from offbench.evaluation.frame import Per, rows
from offbench.evaluation.index import IndexedRun, read_indexed
from offbench.report.choosing import choose
from offbench.report.labels import read_labels
from offbench.report.rendering import Format, Layout, render
from offbench.report.sheet import Spread
from offbench.report.table import build
from offbench.report.terminal_table import terminal_width
from offbench.report.values import csv_of

Runs = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
Where = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="FIELD=VALUE")]
Measure = Literal["mean", "median", "iqm", "best", "success", "cvar"]


def table(
    runs: Runs,
    /,
    format: Format = "terminal",
    output: Path | None = None,
    where: Where = (),
    rows: tuple[str, ...] = ("dataset",),
    columns: tuple[str, ...] = ("algorithm",),
    layout: Layout = "auto",
    statistic: Measure = "mean",
    spread: Spread = "std",
    published: tuple[str, ...] = (),
    data: bool = False,
    labels: Path | None = None,
    full_names: bool = False,
) -> None:
    """Print the scores of runs with standard deviation and 95% interval over seeds.

    Examples:
        offbench report table runs/demo
        offbench report table runs --layout wide --where 'algorithm=iql' --columns config.expectile
        offbench report table runs/iql runs/bc --format latex --output scores.tex

    Args:
        runs: Run folders, searched at any depth for seed-*.json, or such files.
        format: Layout: csv and json have full precision, latex needs the package booktabs, html is a page by itself.
        output: File to write instead of printing.
        where: Only runs of this kind; several times for several conditions: algorithm=iql, dataset='*medium*',
            steps>=100000, config.expectile=0.9, expectile!=0.7.
        rows: What has a row each: dataset, algorithm, or fields such as config.expectile.
        columns: What has a column each, likewise.
        layout: long has a line for each cell, wide a column for each method; auto is wide for latex and html.
        statistic: What the numbers are: mean, median or interquartile mean over seeds of the last evaluation, mean of
            the best one, share of successful episodes, mean of the worst 10% of the episodes.
        spread: What stands beside a number in a wide table.
        published: Algorithms whose published scores stand beside ours, marked; '*' for all.
        data: Whether to show what the mean and the best episode of each dataset score.
        labels: TOML file with short names.
        full_names: Whether to show ids in place of short names.
    """
    names = dataclasses.replace(read_labels(labels), short=not full_names)
    chosen = [run.record for run in _chosen(runs, where)]
    built = build(chosen, labels=names, measure=statistic, rows=rows, columns=columns, others=published, data=data)
    if output is None:
        on_terminal = sys.stdout.isatty()
        width = terminal_width()
        color = on_terminal and "NO_COLOR" not in os.environ
        sys.stdout.write(render(built, format, color=color, width=width, layout=layout, spread=spread))
    else:
        _write(output, render(built, format, width=120, layout=layout, spread=spread))


def records(
    runs: Runs,
    /,
    format: Literal["csv", "json"] = "csv",
    output: Path | None = None,
    where: Where = (),
    per: Per = "run",
) -> None:
    """Print run records as data: one row a record, or one an evaluation.

    Examples:
        offbench report records runs/demo --output runs.csv
        offbench report records runs --format json --where algorithm=iql --per evaluation

    Args:
        runs: Run folders, searched at any depth for seed-*.json, or such files.
        format: Layout: csv, or json as a list of objects.
        output: File to write instead of printing.
        where: Only runs of this kind; several times for several conditions: algorithm=iql, steps>=100000.
        per: What has a row: a run, or each of its evaluations.
    """
    found = rows(_chosen(runs, where), per)
    text = csv_of(found) if format == "csv" else json.dumps(found, indent=1, allow_nan=False) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        _write(output, text)


def _chosen(runs: tuple[Path, ...], where: tuple[str, ...]) -> list[IndexedRun]:
    return choose([(run.row, run) for run in read_indexed(runs)], where)


def _write(output: Path, text: str) -> None:
    with atomic(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"wrote {plain(output)}", file=sys.stderr)
