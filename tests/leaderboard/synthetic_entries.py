"""Entries made up for tests, written as an organiser's folder of results holds them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from synthetic_records import make_evaluation, make_record, make_task

from offbench.evaluation.record import RunRecord
from offbench.evaluation.record_files import write_record
from offbench.leaderboard.entry import Check, Entry, EntryFile, Remeasured, Verification
from offbench.leaderboard.suite import Suite, SuiteTask

PENDULUM, STITCH, UMAZE = "offbench/pendulum/swingup-v0", "offbench/pointmaze/stitch-v0", "offbench/pointmaze/umaze-v0"
WHEN = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def make_suite(**changes: Any) -> Suite:
    tasks = [
        SuiteTask(dataset=PENDULUM, revision=1, domain="pendulum"),
        SuiteTask(dataset=STITCH, revision=1, domain="point maze"),
        SuiteTask(dataset=UMAZE, revision=1, domain="point maze"),
    ]
    fields: dict[str, Any] = {
        "name": "small",
        "version": 2,
        "title": "Small",
        "description": "Three small tasks.",
        "steps": 1000,
        "episodes": 4,
        "seeds": 3,
        "tuning": "Nothing.",
        "tasks": tuple(tasks),
    }
    return Suite(**fields | changes)


def make_run(dataset: str, algorithm: str, final: float, seed: int, spread: float = 3.0, **changes: Any) -> RunRecord:
    """A seed whose score rises to about ``final`` in four evaluations of four episodes."""
    generator = np.random.default_rng([seed, len(dataset), len(algorithm), int(abs(final))])
    task = make_task()
    level = final + generator.normal(scale=spread)
    evaluations = []
    for step in (0, 250, 500, 1000):
        scores = level * (1 - np.exp(-step / 300)) + generator.normal(scale=spread / 2, size=4)
        evaluations.append(make_evaluation(step, (task.low + scores / 100 * (task.high - task.low)).tolist()))
    fields = {"algorithm": algorithm, "dataset": dataset, "seed": seed, "evaluations": evaluations, **changes}
    return make_record(task=task, **fields)


def write_entry(
    results: Path,
    name: str,
    scores: Mapping[str, float],
    *,
    level: str | None = "re-evaluated",
    checks: Sequence[Check] = (Check(name="digests", passed=True, message="every file is as it was listed"),),
    seeds: int = 3,
    records: Sequence[RunRecord] | None = None,
    record_changes: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """Write ``results/SUITE/NAME`` with a record a dataset and seed, and its verification unless the level is None."""
    suite = changes.get("suite", "small")
    algorithm = changes.get("algorithm", "iql")
    folder = results / suite / name
    if records is None:
        changed = dict(record_changes or {})
        records = [make_run(d, algorithm, s, seed, **changed) for d, s in scores.items() for seed in range(seeds)]
    files = {}
    for record in records:
        path = folder / "records" / record.dataset.replace("/", "--") / f"seed-{record.seed}.json"
        write_record(record, path)
        content = path.read_bytes()
        files[path.relative_to(folder).as_posix()] = EntryFile(
            sha256=hashlib.sha256(content).hexdigest(), size=len(content)
        )
    fields: dict[str, Any] = {
        "suite": suite,
        "suite_version": 2,
        "method": "IQL",
        "team": "A team",
        "algorithm": algorithm,
        "paper": "https://example.org/paper.pdf",
        "code": "https://example.org/code",
        "files": files,
        "created": WHEN,
    }
    content = Entry(**fields | changes).model_dump_json(indent=2).encode()
    (folder / "entry.json").write_bytes(content)
    if level is not None:
        verified = Verification(
            entry_digest=hashlib.sha256(content).hexdigest(),
            level=level,
            checks=list(checks),
            remeasured=[
                Remeasured(
                    dataset=dataset,
                    claimed=score,
                    measured=score - 0.5,
                    replayed=score,
                    standard_error=0.8,
                    p_value=0.53,
                    p_value_seeds=0.61,
                    p_value_replayed=1.0,
                    seeds=seeds,
                    episodes=20,
                )
                for dataset, score in scores.items()
            ],
            verified=WHEN,
            packages={"onnxruntime": "1.31.1", "mujoco": "4.0.0"},
        )
        (folder / "verification.json").write_text(verified.model_dump_json(indent=2), encoding="utf-8")
    return folder


ALL = {PENDULUM: 80.0, STITCH: 60.0, UMAZE: 90.0}


def write_board(results: Path) -> None:
    """Entries of every kind: ranked ones, a claim, partial coverage, a failed check, another version, hostile names."""
    write_entry(results, "iql", ALL)
    write_entry(results, "td3-bc", {PENDULUM: 85.0, STITCH: 30.0, UMAZE: 70.0}, method="TD3+BC", algorithm="td3_bc")
    write_entry(results, "bc", {PENDULUM: 40.0, STITCH: 17.0, UMAZE: 30.0}, method="BC", algorithm="bc",
                level="retrained", team="a  TEAM")  # fmt: skip
    write_entry(results, "claimed", {PENDULUM: 99.0, STITCH: 98.0, UMAZE: 99.0}, method="Claimed", level=None,
                team="Others", paper=None, code=None)  # fmt: skip
    write_entry(results, "partly", {PENDULUM: 95.0, STITCH: 50.0}, method="Partly", team="Others")
    failed = [Check(name="returns", passed=False, message="seed 0 of the pendulum returns 12.0, not 90.0")]
    write_entry(results, "edited", {PENDULUM: 120.0, STITCH: 99.0, UMAZE: 99.0}, method="Edited", checks=failed,
                team="Others")  # fmt: skip
    write_entry(results, "older", ALL, method="Older", suite_version=1)
    write_entry(results, "hostile", {PENDULUM: 55.0, STITCH: 44.0, UMAZE: 33.0}, **HOSTILE)


HOSTILE: dict[str, Any] = {
    "method": "<script>alert(1)</script>\u202egnp.exe\u202c",
    "team": "\" onmouseover=\"alert(1)' x='{{ 7 * 7 }}",
    "paper": "https://example.org/?q=javascript:alert(1)&b=%22%3E",
    "record_changes": {"config": {"</script><script>alert(2)//": "<img src=x onerror=alert(3)>", "depth": 2}},
}
