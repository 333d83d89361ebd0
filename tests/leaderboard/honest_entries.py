"""An honest entry on a small suite, made once: linear policies, scored as the harness scores them; ways to edit it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from offbench.algorithms import registry
from offbench.basis.code import package_digest
from offbench.environments.task import task as find_task
from offbench.evaluation.machine import describe_machine
from offbench.evaluation.record import RunRecord, digest_of
from offbench.evaluation.rollout import Evaluator
from offbench.leaderboard.suite import Suite, SuiteTask
from offbench.training.export import OnnxPolicy
from offbench.training.records import task_record

PENDULUM, MAZE = "offbench/pendulum/swingup-v0", "offbench/pointmaze/stitch-v0"
TASKS = {PENDULUM: "pendulum", MAZE: "pointmaze-stitch"}
SIZES = {PENDULUM: (3, 1), MAZE: (4, 2)}
EPISODES, SEEDS, STEPS = 12, 3, 100
ENTRY = {"suite": "tiny", "suite_version": 1, "method": "Linear", "team": "us", "algorithm": "bc"}


def tiny(*datasets: str) -> Suite:
    tasks = tuple(SuiteTask(dataset=each, revision=1, domain="small") for each in datasets or (PENDULUM, MAZE))
    return Suite(
        name="tiny",
        version=1,
        title="Tiny",
        description="Two small tasks.",
        steps=STEPS,
        episodes=EPISODES,
        seeds=SEEDS,
        tuning="nothing",
        tasks=tasks,
    )


# -------------------------------------------------------------------- policies


def value(name: str, kind: int, *shape: Any) -> Any:
    return helper.make_tensor_value_info(name, kind, ["environments", *shape])


def model(
    nodes: list[Any], weights: dict[str, Any], sizes: tuple[int, int] = (3, 1), memory: int = 0, **changes: Any
) -> bytes:
    """An ONNX file of a policy, with ``memory`` numbers called m."""
    inputs = [value("observations", TensorProto.FLOAT, sizes[0])]
    outputs = [value("actions", TensorProto.FLOAT, sizes[1])]
    if memory:
        inputs += [value("rewards", TensorProto.FLOAT), value("begins", TensorProto.BOOL)]
        inputs.append(value("memory.m", TensorProto.FLOAT, memory))
        outputs.append(value("next_memory.m", TensorProto.FLOAT, memory))
    tensors = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "policy", inputs, outputs, tensors)
    made = helper.make_model(graph, opset_imports=changes.get("opsets", [helper.make_opsetid("", 20)]))
    made.ir_version = 10
    for edit in changes.get("edits", ()):
        edit(made)
    return made.SerializeToString()


def linear(weights: np.ndarray, bias: np.ndarray, *more: Any, **changes: Any) -> bytes:
    nodes = [
        helper.make_node("MatMul", ["observations", "W"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["actions"]),
    ]
    arrays = {"W": np.float32(weights), "b": np.float32(bias)}
    return model([*nodes, *more], arrays, np.shape(weights), **changes)


def weights_of(dataset: str, seed: int, salt: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng([seed, len(dataset), salt])
    return generator.normal(size=SIZES[dataset]), generator.normal(size=SIZES[dataset][1]) / 4


def policy_of(dataset: str, seed: int, salt: int = 0) -> bytes:
    return linear(*weights_of(dataset, seed, salt))


# -------------------------------------------------------------------- records


def record_of(dataset: str, seed: int, policy: bytes, episodes: int = EPISODES, **changes: Any) -> RunRecord:
    """The record of a run that ended with this policy, scored by the harness."""
    task = find_task(TASKS[dataset])
    evaluator = Evaluator(task, [seed], episodes)
    evaluations = evaluator.evaluate(OnnxPolicy(policy), STEPS, 0)
    evaluator.close()
    config = {"batch_size": 256}
    fields: dict[str, Any] = {
        "algorithm": "bc",
        "algorithm_digest": registry.source_digest(registry.find("bc")),
        "code_digest": package_digest(),
        "config": config,
        "config_digest": digest_of(config),
        "dataset": dataset,
        "dataset_revision": 1,
        "dataset_digest": digest_of(dataset),
        "transforms": [],
        "task": task_record(task),
        "seed": seed,
        "steps": STEPS,
        "group_size": 3,
        "evaluations": evaluations,
        "losses": [],
        "wall_seconds": 1.5,
        "evaluation_seconds": 0.5,
        "hardware": {"cpu": "a processor"},
        "packages": describe_machine()[1],
        "git_commit": None,
        "created": datetime.now(UTC) - timedelta(hours=1),
    }
    return RunRecord(**fields | changes)


# -------------------------------------------------------------------- entries

Key = tuple[str, int]


@dataclass
class Draft:
    """An entry to be edited: JSON of its files, and what lies beside them."""

    entry: dict[str, Any]
    records: dict[Key, dict[str, Any]]
    policies: dict[Key, bytes]
    others: dict[str, bytes] = field(default_factory=dict)
    listed: bool = True  # whether entry.json lists what there is

    def last(self, dataset: str = PENDULUM, seed: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = self.records[dataset, seed]["evaluations"][-1]
        return found

    def write(self, folder: Path) -> Path:
        files = {f"records/{slug(d)}/seed-{s}.json": json.dumps(r).encode() for (d, s), r in self.records.items()}
        files |= {f"policies/{slug(d)}/seed-{s}.onnx": content for (d, s), content in self.policies.items()}
        files |= self.others
        if self.listed:
            digests = {name: {"sha256": hashlib.sha256(c).hexdigest(), "size": len(c)} for name, c in files.items()}
            self.entry = {**self.entry, "files": digests}
        files["entry.json"] = json.dumps(self.entry).encode()
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder


def slug(dataset: str) -> str:
    return dataset.replace("/", "--")


@cache
def _made(datasets: tuple[str, ...], salt: int) -> str:
    keys = [(dataset, seed) for dataset in datasets for seed in range(SEEDS)]
    policies = {key: policy_of(*key, salt) for key in keys}
    records = {key: record_of(*key, policies[key]).model_dump(mode="json") for key in keys}
    draft = {"records": [[*key, value] for key, value in records.items()]}
    return json.dumps(draft)


def honest(*datasets: str, salt: int = 0) -> Draft:
    """A fresh copy of the honest entry on these datasets; another ``salt``, another method."""
    chosen = datasets or (PENDULUM, MAZE)
    records = {(d, s): record for d, s, record in json.loads(_made(chosen, salt))["records"]}
    policies = {key: policy_of(*key, salt) for key in records}
    method = {"method": f"Linear {salt}" if salt else "Linear"}
    return Draft(ENTRY | method | {"created": datetime.now(UTC).isoformat()}, records, policies)


def edited(folder: Path, *changes: Callable[[Draft], object], datasets: tuple[str, ...] = ()) -> Path:
    draft = honest(*datasets)
    for change in changes:
        change(draft)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return draft.write(folder)
