"""The page of an entry: scores, learning curves, what was verified, every run and its configuration."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from offbench.evaluation.record import RunRecord
from offbench.leaderboard.board_page import cell_json, day
from offbench.leaderboard.charts import curve_of, learning_curve
from offbench.leaderboard.page_text import flat
from offbench.leaderboard.results import Result, entry_digest
from offbench.leaderboard.site_model import Board, Model, entry_name, entry_page
from offbench.leaderboard.standings import Cell, Standing, cells_of, team_key


def page(found: Model, board: Board, result: Result) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Where the page stands, the context of its template, and the same as JSON."""
    cells = cells_of(result.records, board.suite.seeds)
    standing = next((one for one in board.standings if one.result is result), None)
    return entry_page(result), _context(found, board, result, cells, standing), _as_json(result, cells, standing)


def _context(
    found: Model, board: Board, result: Result, cells: dict[str, Cell], standing: Standing | None
) -> dict[str, Any]:
    entry, verification = result.entry, result.verification
    mine = [other for other in found.results if other.entry.suite == entry.suite]
    return {
        "name": entry_name(result),
        "entry": entry,
        "suite": board.suite,
        "suite_page": board.page,
        "level": result.level,
        "accepted": verification is None or verification.accepted,
        "standing": _standing(board, result, standing),
        "of_team": sum(team_key(other) == team_key(result) for other in mine),
        "created": day(result),
        "verification": verification,
        "verified": verification.verified.date().isoformat() if verification else None,
        "digest": entry_digest(result.folder),
        "scores": [
            {
                "label": found.label(name),
                "cell": cell,
                "page": found.datasets[name].page if name in found.datasets else None,
            }
            for name, cell in cells.items()
        ],
        "curves": _curves(found, result),
        "runs": [_run(found, record) for record in result.records],
        "configurations": _configurations(found, result.records),
        "notes": sorted({note for record in result.records for note in record.notes}),
        "packages": sorted({f"{name} {v}" for record in result.records for name, v in record.packages.items()}),
        "others": _others(found, result),
        "dataset_label": found.label,
    }


def _standing(board: Board, result: Result, standing: Standing | None) -> str:
    if standing is None:
        return f"not ranked: the suite is at version {board.suite.version}, and this is an entry of another one"
    if standing.rank is None:
        return f"not ranked: {standing.reason}"
    ranked = sum(one.rank is not None for one in board.standings)
    return f"{standing.rank} of {ranked} ranked entries"


def _by_dataset(records: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    found: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        if record.evaluations:
            found[record.dataset].append(record)
    return found


def _curves(found: Model, result: Result) -> list[dict[str, Any]]:
    drawn = []
    for dataset, records in _by_dataset(result.records).items():
        curve = curve_of(records)
        if curve is not None:
            label = found.label(dataset)
            name = f"Learning curve on {label}: {curve.mean[0]:.1f} at step {curve.steps[0]:,}, "
            name += f"{curve.mean[-1]:.1f} at step {curve.steps[-1]:,}"
            drawn.append({"label": label, "chart": learning_curve(curve, name)})
    return drawn


def _run(found: Model, record: RunRecord) -> dict[str, Any]:
    return {
        "label": found.label(record.dataset),
        "record": record,
        "score": record.final_score if record.evaluations else None,
        "episodes": len(record.evaluations[-1].returns) if record.evaluations else 0,
        "hardware": ", ".join(f"{name}: {value}" for name, value in sorted(record.hardware.items())),
    }


def _configurations(found: Model, records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Settings that all runs share, then for each group of datasets those that only its runs have."""
    settings = [{key: _value(value) for key, value in flat(record.config).items()} for record in records]
    if not settings:
        return []
    shared = {key: value for key, value in settings[0].items() if all(each.get(key) == value for each in settings)}
    made = [{"title": "All runs", "runs": len(records), "settings": sorted(shared.items())}] if shared else []
    groups: dict[tuple[tuple[str, str], ...], list[RunRecord]] = defaultdict(list)
    for record, each in zip(records, settings, strict=True):
        groups[tuple(sorted((k, v) for k, v in each.items() if k not in shared))].append(record)
    for rest, those in groups.items():
        if rest:
            names = dict.fromkeys(found.label(record.dataset) for record in those)
            made.append({"title": ", ".join(names), "runs": len(those), "settings": rest})
    return made


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _others(found: Model, result: Result) -> list[dict[str, Any]]:
    key = result.entry.method.casefold()
    return [
        {
            "page": entry_page(other),
            "method": other.entry.method,
            "suite": other.entry.suite,
            "version": other.entry.suite_version,
            "team": other.entry.team,
        }
        for other in found.results
        if other is not result and other.entry.method.casefold() == key
    ]


def _as_json(result: Result, cells: dict[str, Cell], standing: Standing | None) -> dict[str, Any]:
    curves = {}
    for dataset, records in _by_dataset(result.records).items():
        curve = curve_of(records)
        if curve is not None:
            curves[dataset] = {"steps": curve.steps, "mean": curve.mean, "interval": curve.interval}
            curves[dataset] |= {"seeds": {str(seed): line for seed, line in curve.seeds.items()}}
    return {
        "entry": result.entry.model_dump(mode="json", exclude={"files"}),
        "digest": entry_digest(result.folder),
        "trust": result.level,
        "rank": standing.rank if standing else None,
        "verification": result.verification.model_dump(mode="json") if result.verification else None,
        "scores": {name: cell_json(cell) for name, cell in cells.items()},
        "curves": curves,
        "configurations": {f"{r.dataset} seed {r.seed}": r.config for r in result.records},
    }
