"""Tables in full precision: CSV, which no spreadsheet runs, and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence

from offbench.basis.plain import plain
from offbench.report.beside import Beside
from offbench.report.cells import Cell, Overall, Table, each
from offbench.report.statistic import Statistic

# What spreadsheets take for the beginning of a formula, in either width.
FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001


def csv_text(table: Table, *, wide: bool) -> str:
    """A line for each cell with all columns; wide, a line for each row with number and deviation of each column."""
    return csv_of(_wide(table) if wide else [_row(cell, table.statistic) for cell in table.cells])


def csv_of(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows with the same columns as CSV; texts are on one line and begin no formula."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=[safe(name) for name in rows[0]] if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({safe(name): safe(value) if isinstance(value, str) else value for name, value in row.items()})
    return buffer.getvalue()


def safe(name: str) -> str:
    """A text on one line, which no spreadsheet takes for a formula."""
    shown = plain(name)
    return "'" + shown if shown.lstrip().startswith(FORMULAS) else shown


def json_text(table: Table) -> str:
    """An object with what the numbers are, the cells, the averages, what stands beside them, and the notes."""
    content = {
        "statistic": table.statistic.name,
        "meaning": table.statistic.meaning,
        "interval": table.method,
        "rows": table.rows,
        "columns": table.columns,
        "cells": [
            {
                **_row(cell, table.statistic),
                "seed_list": [record.seed for record in cell.group.records],
                "seed_scores": each(cell, table.statistic).tolist(),
            }
            for cell in table.cells
        ],
        "averages": [_overall(one) for one in (*table.averages, *table.overall)],
        "beside": [_beside(one) for one in table.beside],
        "notes": table.notes,
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _overall(one: Overall) -> dict[str, object]:
    low, high = one.interval or (None, None)
    return {
        "label": one.label,
        "algorithm_label": one.algorithm,
        "value": one.mean,
        "interval_low": low,
        "interval_high": high,
        "runs": one.runs,
        "episodes": one.episodes,
    }


def _beside(one: Beside) -> dict[str, object]:
    return {
        "kind": one.kind,
        "name": one.name,
        "dataset_label": one.dataset,
        "value": one.value,
        "population_std": one.std,
        "seeds": one.seeds,
        "source": one.source,
    }


def _row(cell: Cell, chosen: Statistic) -> dict[str, object]:
    record = cell.group.records[0]
    task = record.task
    low, high = cell.summary.interval or (None, None)
    return {
        "dataset": record.dataset,
        "dataset_revision": record.dataset_revision,
        "dataset_digest": record.dataset_digest,
        "task": task.name if task else None,
        "task_low": task.low if task else None,
        "task_high": task.high if task else None,
        "algorithm": record.algorithm,
        "algorithm_label": cell.group.algorithm,
        "algorithm_digest": record.algorithm_digest,
        "code_digest": record.code_digest,
        "config_digest": record.config_digest,
        "steps": cell.steps,
        "seeds": cell.summary.seeds,
        "episodes": cell.episodes,
        "mean": cell.summary.mean,
        "std": cell.summary.std,
        "population_std": cell.summary.population_std,
        "interval_low": low,
        "interval_high": high,
        "bold": cell.bold,
        "tuning_runs": max(one.tuning_runs for one in cell.group.records),
        "tuning_kind": record.tuning.kind if record.tuning else "none",
        "tuning_episodes": record.tuning.episodes if record.tuning else 0,
        "seed_list": " ".join(str(one.seed) for one in cell.group.records),
        "seed_scores": " ".join(repr(score) for score in each(cell, chosen).tolist()),
        "notes": "; ".join(cell.notes),
        "dataset_label": cell.group.dataset,
        "mark": cell.mark,
    }


def _wide(table: Table) -> list[dict[str, object]]:
    cells = {(cell.row, cell.column): cell for cell in table.cells}
    beside = {(one.dataset, one.name): one for one in table.beside} if table.usual else {}
    extra = list(dict.fromkeys((one.kind, one.name) for one in table.beside)) if table.usual else []
    rows = []
    for row in table.row_order:
        shown: dict[str, object] = dict(zip(table.rows, row, strict=True))
        for column in table.column_order:
            cell = cells.get((row, column))
            label = ", ".join(column)
            shown |= {label: cell.summary.mean if cell else None, f"{label} std": cell.summary.std if cell else None}
        for kind, name in extra:
            one = beside.get((row[0], name))
            shown[f"{name} ({kind})"] = one.value if one else None
        rows.append(shown)
    return rows
