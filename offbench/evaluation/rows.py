"""A run record as a row of plain values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from offbench.evaluation.record import RunRecord

Value = str | int | float | bool | None
Row = dict[str, Value]


@dataclass(frozen=True)
class Curve:
    """Means of all evaluations of a run, one entry an evaluation, in the order of their steps.

    Attributes:
        steps: gradient updates done before it.
        returns: mean over its episodes of the undiscounted returns.
        lengths: mean over its episodes of the environment steps.
        episodes: how many.
    """

    steps: tuple[int, ...]
    returns: tuple[float, ...]
    lengths: tuple[float, ...]
    episodes: tuple[int, ...]


def curve_of(record: RunRecord) -> Curve:
    """The means of a record's evaluations."""
    evaluations = record.evaluations
    return Curve(
        tuple(evaluation.step for evaluation in evaluations),
        tuple(math.fsum(evaluation.returns) / len(evaluation.returns) for evaluation in evaluations),
        tuple(sum(evaluation.lengths) / len(evaluation.lengths) for evaluation in evaluations),
        tuple(len(evaluation.returns) for evaluation in evaluations),
    )


def flat(values: Mapping[str, JsonValue], prefix: str) -> Row:
    """Fields of nested objects under dotted names, lists as JSON."""
    found: Row = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            found |= flat(value, f"{name}.")
        else:
            found[name] = json.dumps(value) if isinstance(value, list) else value
    return found


def run_row(record: RunRecord) -> Row:
    """What there is to know of a run but its curve; None stands for what it lacks, such as scores without evaluations.

    A configuration's fields are ``config.NAME``, nested ones ``config.NAME.INNER``; lists are JSON, times ISO 8601.
    """
    task, best = record.task, record.best
    last = record.evaluations[-1] if record.evaluations else None
    return {
        "algorithm": record.algorithm,
        "dataset": record.dataset,
        "dataset_revision": record.dataset_revision,
        "task": task.name if task else None,
        "seed": record.seed,
        "steps": record.steps,
        "tuning_runs": record.tuning_runs,
        "tuning_kind": record.tuning.kind if record.tuning else "none",
        "tuning_role": record.tuning.role if record.tuning else None,
        "tuning_episodes": record.tuning.episodes if record.tuning else 0,
        "final_score": record.final_score if last else None,
        "best_score": record.best_score if best else None,
        "best_step": best.step if best else None,
        "final_return": math.fsum(last.returns) / len(last.returns) if last else None,
        "final_length": sum(last.lengths) / len(last.lengths) if last else None,
        "episodes": len(last.returns) if last else None,
        "evaluations": len(record.evaluations),
        "environment": task.environment if task else None,
        "episode_limit": task.episode_limit if task else None,
        "low": task.low if task else None,
        "high": task.high if task else None,
        "group_size": record.group_size,
        "wall_seconds": record.wall_seconds,
        "evaluation_seconds": record.evaluation_seconds,
        "created": record.created.isoformat(),
        "dataset_digest": record.dataset_digest,
        "algorithm_digest": record.algorithm_digest,
        "code_digest": record.code_digest,
        "config_digest": record.config_digest,
        "benchmark_digest": record.benchmark_digest,
        "method_digest": record.method_digest,
        "git_commit": record.git_commit,
        "notes": "; ".join(record.notes),
        **flat(record.config, "config."),
        **flat(dict(record.hardware), "hardware."),
        **flat(dict(record.packages), "packages."),
        **(flat(dict(task.simulators), "simulators.") if task else {}),
    }


# What a row of one evaluation says of its run.
SHARED = (
    "algorithm",
    "dataset",
    "dataset_revision",
    "task",
    "seed",
    "steps",
    "tuning_runs",
    "tuning_kind",
    "tuning_role",
    "benchmark_digest",
    "method_digest",
    "path",
)


def evaluation_rows(row: Row, curve: Curve) -> list[Row]:
    """A row for each evaluation of a run: what was run, the step, and the means over its episodes."""
    shared = {name: value for name, value in row.items() if name in SHARED or name.startswith("config.")}
    low, high = row["low"], row["high"]
    found: list[Row] = []
    for i, step in enumerate(curve.steps):
        assert isinstance(low, float | int)  # a record with evaluations has a task
        assert isinstance(high, float | int)
        score = 100 * (curve.returns[i] - low) / (high - low)
        means: Row = {"score": score, "return": curve.returns[i], "length": curve.lengths[i]}
        found.append(shared | {"step": step, "episodes": curve.episodes[i]} | means)
    return found
