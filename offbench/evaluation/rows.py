"""Run records as rows of plain values, for data frames, CSV and JSON: one a record, or one an evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, get_args

from pydantic import JsonValue

from offbench.errors import UnknownNameError
from offbench.evaluation.index import IndexedRun
from offbench.evaluation.record import RunRecord

Value = str | int | float | bool | datetime | None
Per = Literal["run", "evaluation"]


def rows(runs: Sequence[IndexedRun], per: Per = "run") -> list[dict[str, Value]]:
    """Rows in the order of the runs, and of the steps within one; all have the same columns.

    A configuration's fields are columns ``config.NAME``, nested ones ``config.NAME.INNER``; what a record lacks is
    None, as are the scores of a run that was never evaluated. Lists are JSON.

    Args:
        runs: records.
        per: ``run`` for a row a record, ``evaluation`` for a row an evaluation.

    Raises:
        UnknownNameError: ``per`` is neither.
    """
    if per not in get_args(Per):
        raise UnknownNameError("kind of rows", per, get_args(Per))
    found = [row for run in runs for row in ([_run(run)] if per == "run" else _evaluations(run))]
    columns: dict[str, None] = {}
    for keys in dict.fromkeys(tuple(row) for row in found):
        columns |= dict.fromkeys(keys)
    ordered = [name for name in columns if "." not in name] + sorted(name for name in columns if "." in name)
    return [{name: row.get(name) for name in ordered} for row in found]


def flat(values: Mapping[str, JsonValue], prefix: str) -> dict[str, Value]:
    """Fields of nested objects under dotted names, lists as JSON."""
    found: dict[str, Value] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            found |= flat(value, f"{name}.")
        else:
            found[name] = json.dumps(value) if isinstance(value, list) else value
    return found


def what_was_run(record: RunRecord) -> dict[str, Value]:
    """What runs are told apart by: algorithm, data, task, seed, steps, configuration."""
    task = record.task
    return {
        "algorithm": record.algorithm,
        "dataset": record.dataset,
        "dataset_revision": record.dataset_revision,
        "task": task.name if task else None,
        "seed": record.seed,
        "steps": record.steps,
        "tuning_runs": record.tuning_runs,
        **flat(record.config, "config."),
    }


def _run(run: IndexedRun) -> dict[str, Value]:
    record, task, best = run.record, run.record.task, run.record.best
    last = record.evaluations[-1] if record.evaluations else None
    return what_was_run(record) | {
        "final_score": record.final_score if last else None,
        "best_score": record.best_score if best else None,
        "best_step": best.step if best else None,
        "final_return": run.curve.returns[-1] if last else None,
        "final_length": run.curve.lengths[-1] if last else None,
        "episodes": len(last.returns) if last else None,
        "evaluations": len(run.curve.steps),
        "environment": task.environment if task else None,
        "episode_limit": task.episode_limit if task else None,
        "low": task.low if task else None,
        "high": task.high if task else None,
        "group_size": record.group_size,
        "wall_seconds": record.wall_seconds,
        "evaluation_seconds": record.evaluation_seconds,
        "created": record.created,
        "dataset_digest": record.dataset_digest,
        "algorithm_digest": record.algorithm_digest,
        "code_digest": record.code_digest,
        "config_digest": record.config_digest,
        "benchmark_digest": record.benchmark_digest,
        "method_digest": record.method_digest,
        "git_commit": record.git_commit,
        "notes": "; ".join(record.notes),
        "path": str(run.path),
        **flat(dict(record.hardware), "hardware."),
        **flat(dict(record.packages), "packages."),
        **(flat(dict(task.simulators), "simulators.") if task else {}),
    }


def _evaluations(run: IndexedRun) -> list[dict[str, Value]]:
    record, curve, task = run.record, run.curve, run.record.task
    shared = what_was_run(record) | {
        "benchmark_digest": record.benchmark_digest,
        "method_digest": record.method_digest,
        "path": str(run.path),
    }
    return [
        shared
        | {
            "step": curve.steps[i],
            "score": 100 * (curve.returns[i] - task.low) / (task.high - task.low) if task else None,
            "return": curve.returns[i],
            "length": curve.lengths[i],
            "episodes": curve.episodes[i],
        }
        for i in range(len(curve.steps))
    ]
