"""Run records made up for tests: valid, small, and changed field by field."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from offbench.evaluation.record import EvaluationRecord, LossRecord, RunRecord, TaskRecord, digest_of
from offbench.evaluation.tuning_record import TuningRecord


def make_task(**changes: Any) -> TaskRecord:
    fields: dict[str, Any] = {
        "name": "pendulum",
        "environment": "Pendulum-v1",
        "arguments": {},
        "episode_limit": 200,
        "simulators": {"gymnasium": "1.4.0"},
        "low": -1200.0,
        "high": -150.0,
        "references_source": "measured over 1,000 episodes",
    }
    return TaskRecord(**fields | changes)


def make_evaluation(step: int, returns: list[float], *, first_seed: int = 1000, length: int = 200) -> EvaluationRecord:
    seeds = list(range(first_seed, first_seed + len(returns)))
    return EvaluationRecord(step=step, environment_seeds=seeds, returns=returns, lengths=[length] * len(returns))


def make_tuning(**changes: Any) -> TuningRecord:
    fields: dict[str, Any] = {
        "role": "result",
        "kind": "online",
        "tuner": "random",
        "settings": {"seed": 0},
        "objective": "last",
        "space": {"rate": [1.0, 2.0]},
        "datasets": ["offbench/pendulum/mixed-v0"],
        "seeds": [0, 1, 2],
        "trials": 20,
        "trial": 7,
    }
    fields |= changes
    return TuningRecord(**{"space_digest": digest_of(fields["space"]), **fields})


def make_record(scores: list[float] | None = None, **changes: Any) -> RunRecord:
    """A record whose last evaluation has these scores, one an episode; any field can be given instead."""
    task = changes.pop("task", make_task())
    fields: dict[str, Any] = {
        "algorithm": "bc",
        "algorithm_digest": digest_of("source of bc"),
        "config": {"learning_rate": 3e-4, "hidden": (256, 256)},
        "dataset": "offbench/pendulum/mixed-v0",
        "dataset_revision": 1,
        "dataset_digest": digest_of("data"),
        "transforms": [{"step": "normalise_states", "epsilon": 1e-3}],
        "task": task,
        "seed": 0,
        "steps": 1000,
        "group_size": 5,
        "losses": [LossRecord(step=500, values={"loss": 1.0}), LossRecord(step=1000, values={"loss": 0.5})],
        "wall_seconds": 12.5,
        "evaluation_seconds": 3.0,
        "hardware": {"cpu": "a processor", "gpu": "none", "threads": "2"},
        "packages": {"torch": "2.13.0", "numpy": "2.4.6"},
        "git_commit": "0" * 40,
        "created": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    }
    fields |= changes
    if "config_digest" not in fields:
        fields["config_digest"] = digest_of(fields["config"])
    if "evaluations" not in fields:
        scores = [50.0, 60.0] if scores is None else scores
        returns = [task.low + score / 100 * (task.high - task.low) for score in scores]
        fields["evaluations"] = [make_evaluation(fields["steps"], returns)]
    return RunRecord(**fields)


def make_curves(
    algorithm: str, dataset: str, *, final: float, seeds: int, points: int = 20, noise: float = 4.0, **changes: Any
) -> list[RunRecord]:
    """Records of several seeds whose scores rise to ``final`` over ten thousand updates."""
    generator = np.random.default_rng([len(algorithm), len(dataset), int(final)])
    steps = np.linspace(0, 10_000, points + 1).astype(int)
    task = make_task()
    records = []
    for seed in range(seeds):
        level = final + generator.normal(scale=noise)
        evaluations = []
        for step in steps:
            mean = level * (1 - np.exp(-step / 2500)) + generator.normal(scale=noise / 2)
            returns = task.low + generator.normal(mean, 5.0, size=10) / 100 * (task.high - task.low)
            evaluations.append(make_evaluation(int(step), returns.tolist()))
        changed = {"steps": 10_000, "seed": seed, "evaluations": evaluations, **changes}
        records.append(make_record(algorithm=algorithm, dataset=dataset, task=task, **changed))
    return records


def seeds(scores: list[float], **changes: Any) -> list[Any]:
    """One record a seed; every seed has two episodes around its score."""
    return [make_record([score - 5, score + 5], seed=seed, **changes) for seed, score in enumerate(scores)]


def two_by_two() -> list[Any]:
    return [
        *seeds([10.0, 12.0, 14.0], algorithm="bc", dataset="maze_a"),
        *seeds([80.0, 90.0, 100.0], algorithm="iql", dataset="maze_a"),
        *seeds([50.0, 60.0], algorithm="bc", dataset="maze_b"),
        *seeds([55.0], algorithm="iql", dataset="maze_b"),
    ]
