"""Published scores as rows of the site's tables: beside what was measured here, marked, and never averaged with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from offbench.algorithms.published import PublishedRow

STATISTICS = {
    "last": "last evaluation",
    "best": "best evaluation of each run",
    "last 3": "mean of the last 3 evaluations",
    "last 10": "mean of the last 10 evaluations",
    "unknown": "which evaluation is not said",
}


def offline(rows: Sequence[PublishedRow]) -> list[PublishedRow]:
    """Those that were trained without acting."""
    return [row for row in rows if row.stage != "online"]


def suite_rows(rows: Sequence[PublishedRow], columns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a suite's table, those that cover the most tasks first.

    Args:
        rows: of any datasets.
        columns: of the table; those of kind task have a dataset as their key.
    """
    wanted = {column["key"] for column in columns if column["kind"] == "task"}
    methods: dict[tuple[str, ...], dict[str, PublishedRow]] = defaultdict(dict)
    for row in offline(rows):
        if row.dataset in wanted:
            methods[row.method, row.settings, row.statistic, row.source].setdefault(row.dataset, row)
    ordered = sorted(methods.items(), key=lambda item: (-len(item[1]), item[0]))
    return [_row(method, cells, columns) for (method, *_), cells in ordered]


def _row(method: str, cells: dict[str, PublishedRow], columns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    first = next(iter(cells.values()))
    said = ", ".join(part for part in (first.settings, STATISTICS[first.statistic], first.source) if part)
    return {
        "page": None,
        "method": method,
        "team": "",
        "level": None,
        "trust": -1,
        "accepted": True,
        "rank": None,
        "first": False,
        "reason": said,
        "iqm": None,
        "iqm_interval": None,
        "cells": [
            {"kind": "published", "value": cells.get(column["key"])}
            if column["kind"] == "task"
            else {"kind": "domain", "value": None}
            for column in columns
        ],
        "date": "",
    }


def dataset_rows(rows: Sequence[PublishedRow], dataset: str) -> list[dict[str, Any]]:
    """What others published on a dataset, by method."""
    found = sorted((row for row in offline(rows) if row.dataset == dataset), key=lambda row: (row.method, row.source))
    return [{**row.model_dump(mode="json"), "which": STATISTICS[row.statistic]} for row in found]
