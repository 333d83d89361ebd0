"""The page of a suite and the first page: what their templates show, and the same as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from offbench.algorithms.published import published_rows
from offbench.evaluation.aggregates import performance_profile
from offbench.leaderboard.charts import bar_of, profile
from offbench.leaderboard.entry import LEVELS
from offbench.leaderboard.page_text import slug
from offbench.leaderboard.published_page import suite_rows
from offbench.leaderboard.results import Result
from offbench.leaderboard.site_model import Board, Dataset, Model, entry_page
from offbench.leaderboard.standings import Cell, Standing, leading

PUBLISHED = "Published by others, as their sources have it; not measured here"
MOST_PROFILES = 12  # panels of a figure


def index(found: Model) -> dict[str, Any]:
    """Context of the first page."""
    boards = [
        {
            "suite": board.suite,
            "page": board.page,
            "entries": len(board.standings) + len(board.earlier),
            "ranked": sum(one.rank is not None for one in board.standings),
            "first": _first(board),
            "last": max((day(one.result) for one in board.standings), default=None),
        }
        for board in found.boards
    ]
    return {"boards": boards, "datasets": [_listed(dataset) for dataset in found.datasets.values()]}


def index_json(found: Model) -> dict[str, Any]:
    """The same as data."""
    return {
        "suites": [
            {**board.suite.model_dump(mode="json"), "page": board.page, "entries": len(board.standings)}
            for board in found.boards
        ],
        "datasets": [
            {"id": one.id, "page": one.page, "entries": len(one.scored), "suites": [suite.name for suite in one.suites]}
            for one in found.datasets.values()
        ],
    }


def context(found: Model, board: Board) -> dict[str, Any]:
    """Context of the page of a suite."""
    suite = board.suite
    domains = _domains(found, board)
    columns = [column for domain in domains for column in domain["columns"]]
    best = {task.dataset: leading(board.standings, task.dataset) for task in suite.tasks}
    rows = [_row(one, columns, best) for one in board.standings]
    groups = [
        {"title": "" if ranked else "Not ranked", "rows": [row for row in rows if (row["rank"] is not None) is ranked]}
        for ranked in (True, False)
    ]
    groups.append({"title": PUBLISHED, "rows": suite_rows(published_rows(), columns)})
    return {
        "suite": suite,
        "name": suite.name,
        "levels": LEVELS,
        "domains": domains,
        "columns": columns,
        "groups": [group for group in groups if group["rows"]],
        "entries": len(rows),
        "cautions": any(cell.summary.caution for one in board.standings for cell in one.cells.values()),
        "profiles": _profiles(board),
        "figure": _figure(rows),
        "earlier": [
            {
                "page": entry_page(result),
                "method": result.entry.method,
                "version": result.entry.suite_version,
                "team": result.entry.team,
                "date": day(result),
            }
            for result in board.earlier
        ],
        "tasks": [
            {**task.model_dump(), **_listed(found.datasets[task.dataset]), "steps": suite.steps_of(task)}
            for task in suite.tasks
        ],
    }


def as_json(board: Board) -> dict[str, Any]:
    """The table of a suite as data: every seed's score, and what is made of them."""
    return {
        "suite": board.suite.model_dump(mode="json"),
        "entries": [
            {
                "entry": one.result.folder.name,
                "page": entry_page(one.result),
                "method": one.result.entry.method,
                "team": one.result.entry.team,
                "entries_of_team": one.of_team,
                "algorithm": one.result.entry.algorithm,
                "trust": one.result.level,
                "rank": one.rank,
                "not_ranked": one.reason,
                "iqm": one.overall.iqm if one.overall else None,
                "iqm_interval": one.overall.interval if one.overall else None,
                "domains": one.domains,
                "created": one.result.entry.created.isoformat(),
                "tasks": {name: cell_json(cell) for name, cell in one.cells.items()},
            }
            for one in board.standings
        ],
    }


def cell_json(cell: Cell) -> dict[str, Any]:
    """A score as data."""
    return {
        "mean": cell.summary.mean,
        "std": cell.summary.std,
        "interval": cell.summary.interval,
        "scores": {str(seed): score for seed, score in cell.scores.items()},
        "episodes": cell.episodes,
        "steps": cell.steps,
        "enough_seeds": cell.complete,
    }


def day(result: Result) -> str:
    """The day on which an entry was packed."""
    return result.entry.created.date().isoformat()


def _first(board: Board) -> dict[str, Any] | None:
    if not board.standings or board.standings[0].rank is None:
        return None
    one = board.standings[0]
    return {"page": entry_page(one.result), "method": one.result.entry.method, "standing": one}


def _listed(dataset: Dataset) -> dict[str, Any]:
    return {
        "id": dataset.id,
        "label": dataset.label,
        "page": dataset.page,
        "suites": dataset.suites,
        "scored": dataset.scored,
    }


def _domains(found: Model, board: Board) -> list[dict[str, Any]]:
    """Tasks by domain, each with its columns: one a task, and their mean where there are several."""
    members: dict[str, list[str]] = {}
    for task in board.suite.tasks:
        members.setdefault(task.domain, []).append(task.dataset)
    made = []
    for name, datasets in members.items():
        columns = [{"kind": "task", "title": found.label(dataset), "key": dataset} for dataset in datasets]
        averaged = len(datasets) > 1
        if averaged:
            columns.append({"kind": "domain", "title": "Mean", "key": name})
        made.append({"name": name, "tasks": datasets, "columns": columns, "averaged": int(averaged)})
    return made


def _row(one: Standing, columns: Sequence[dict[str, Any]], best: dict[str, set[str]]) -> dict[str, Any]:
    """A row of the table, in the order of its columns."""
    entry = one.result.entry
    cells: list[dict[str, Any]] = []
    for column in columns:
        key = column["key"]
        if column["kind"] == "task":
            bold = one.rank is not None and one.result.folder.name in best[key]
            cells.append({"kind": "task", "value": one.cells.get(key), "best": bold})
        else:
            cells.append({"kind": "domain", "value": one.domains.get(key)})
    verification = one.result.verification
    return {
        "page": entry_page(one.result),
        "name": slug(one.result.folder.name),
        "method": entry.method,
        "team": entry.team,
        "of_team": one.of_team,
        "level": one.result.level,
        "trust": LEVELS.index(one.result.level),
        "accepted": verification is None or verification.accepted,
        "rank": one.rank,
        "first": one.rank == 1,
        "reason": one.reason,
        "iqm": one.overall.iqm if one.overall else None,
        "iqm_interval": one.overall.interval if one.overall else None,
        "cells": cells,
        "date": day(one.result),
    }


def _profiles(board: Board) -> list[dict[str, Any]]:
    """The performance profile of each ranked entry, with those of all others behind it; none for fewer than two."""
    ranked = [one for one in board.standings if one.rank is not None][:MOST_PROFILES]
    if len(ranked) < 2:
        return []
    thresholds = np.linspace(0, 120, 61)
    lines = [performance_profile([list(c.scores.values()) for c in one.cells.values()], thresholds) for one in ranked]
    return [
        {
            "method": one.result.entry.method,
            "chart": profile(lines[place], [*lines[:place], *lines[place + 1 :]], thresholds, f"Rank {one.rank}"),
        }
        for place, one in enumerate(ranked)
    ]


def _figure(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Intervals of all ranked entries that have one, on one scale; None for fewer than two."""
    ranked = [row for row in rows if row["rank"] is not None and row["iqm_interval"] is not None]
    if len(ranked) < 2:
        return None
    low = min(min(row["iqm_interval"][0] for row in ranked), 0.0)
    high = max(max(row["iqm_interval"][1] for row in ranked), 100.0)
    return {
        "low": low,
        "high": high,
        "rows": [
            {**row, "bar": bar_of(row["iqm_interval"][0], row["iqm"], row["iqm_interval"][1], (low, high))}
            for row in ranked
        ],
    }
