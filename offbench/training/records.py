"""From a run's plan and progress to its records."""

from __future__ import annotations

from datetime import UTC, datetime

from offbench.environments.task import Task
from offbench.evaluation.machine import describe_machine
from offbench.evaluation.record import RunRecord, TaskRecord, digest_of
from offbench.training.manifest import Progress
from offbench.training.plan import Plan


def make_records(plan: Plan, progress: Progress, task: Task | None) -> list[RunRecord]:
    """One record a seed of a run."""
    hardware, packages, commit = describe_machine()
    if plan.device == "cpu":
        hardware["threads"] = "1"  # of each process, whatever this one would use for something else
    hardware |= {"device": plan.device, "compiled": "yes" if plan.compiled else "no", "dtype": plan.dtype}
    shared = {
        "algorithm": plan.algorithm,
        "algorithm_digest": plan.algorithm_digest,
        "code_digest": plan.code_digest,
        "config": plan.config,
        "config_digest": digest_of(plan.config),
        "dataset": plan.dataset,
        "dataset_revision": plan.dataset_revision,
        "dataset_digest": plan.dataset_digest,
        "transforms": plan.transforms,
        "task": task and task_record(task),
        "steps": progress.step,
        "group_size": plan.group_size,
        "notes": plan.notes,
        "wall_seconds": progress.wall_seconds,
        "evaluation_seconds": progress.evaluation_seconds,
        "hardware": hardware,
        "packages": packages,
        "git_commit": commit,
        "tuning": plan.tuning,
        "tuning_runs": plan.tuning.runs if plan.tuning else 0,
        "created": datetime.now(UTC),
    }
    each = zip(plan.seeds, progress.evaluations, progress.losses, strict=True)
    return [
        RunRecord.model_validate({**shared, "seed": seed, "evaluations": evaluations, "losses": losses})
        for seed, evaluations, losses in each
    ]


def task_record(task: Task) -> TaskRecord:
    """What a record keeps of a task."""
    return TaskRecord(
        name=task.name,
        environment=task.environment,
        arguments=task.arguments,
        episode_limit=task.episode_limit,
        dynamics=task.dynamics,
        simulators=task.simulator_versions(),
        low=task.low.mean,
        high=task.high.mean,
        references_source=f"low: {task.low.source}; high: {task.high.source}",
    )
