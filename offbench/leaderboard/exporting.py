"""A leaderboard's results in the layouts of others, so that pages elsewhere can show them.

- Hugging Face: ``eval.yaml`` of a benchmark's dataset repository and ``.eval_results/*.yaml`` of a model's, as said
  at https://huggingface.co/docs/hub/eval-results, which calls itself a work in progress and has no version.
- Every Eval Ever: one JSON file an entry, by version 0.3.0 of ``eval.schema.json`` of
  https://github.com/evaleval/every_eval_ever.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from offbench import __version__
from offbench.basis.files import atomic
from offbench.basis.plain import plain
from offbench.errors import OffbenchError
from offbench.leaderboard.results import Result
from offbench.leaderboard.suite import Suite, SuiteTask

Layout = Literal["huggingface", "every-eval-ever"]
SCHEMA = "0.3.0"
DEFINITION = "100 (return - low) / (high - low), mean over seeds of the means over episodes of the last evaluation"


def export(
    layout: Layout,
    results: Sequence[Result],
    suites: Mapping[str, Suite],
    output: Path,
    repository: str | None = None,
    now: datetime | None = None,
) -> list[Path]:
    """Write all entries that were not refused, on suites that are known in the version that they were made for.

    Args:
        layout: whose.
        results: entries.
        suites: by name.
        output: folder.
        repository: ``owner/name`` of the benchmark's dataset repository at Hugging Face, which its layout needs.
        now: time of the export; the true one if None.

    Returns:
        The files that were written.

    Raises:
        OffbenchError: there is nothing to write, or no repository where one is needed.
    """
    known = [
        (each, suites[each.entry.suite])
        for each in results
        if each.entry.suite in suites
        and suites[each.entry.suite].version == each.entry.suite_version
        and (each.verification is None or each.verification.accepted)
    ]
    if not known:
        raise OffbenchError("there are no entries to export: none that is accepted, on a suite of today's version")
    if layout == "every-eval-ever":
        return [_write_json(_record(each, suite, now or datetime.now(UTC)), output) for each, suite in known]
    if repository is None or not re.fullmatch(r"[A-Za-z0-9_.-]{1,96}/[A-Za-z0-9_.-]{1,96}", repository):
        raise OffbenchError("say with --repository OWNER/NAME which dataset repository is the benchmark's")
    chosen = {suite.name: suite for _, suite in known}.values()
    written = [_write_yaml(_benchmark(suite), output / suite.name / "eval.yaml") for suite in chosen]
    for each, suite in known:
        place = output / suite.name / each.folder.name / ".eval_results" / f"{suite.name}.yaml"
        written.append(_write_yaml(_evaluations(each, suite, repository), place))
    return written


def seed_scores(result: Result, task: SuiteTask) -> list[float]:
    """Final score of each seed of an entry on one task, computed from the raw returns; empty where it has none."""
    return [record.final_score for record in result.records if record.dataset == task.dataset]


# -------------------------------------------------------------------- Hugging Face


def _benchmark(suite: Suite) -> dict[str, Any]:
    tasks = [{"id": task.slug, "config": "default", "split": "train"} for task in suite.tasks]
    return {
        "name": f"offbench {suite.title}",
        "description": f"{suite.description} Score: {DEFINITION}.",
        "evaluation_framework": "offbench",
        "tasks": tasks,
    }


def _evaluations(result: Result, suite: Suite, repository: str) -> list[dict[str, Any]]:
    entry = result.entry
    written = []
    for task in suite.tasks:
        scores = seed_scores(result, task)
        if not scores:
            continue
        one: dict[str, Any] = {
            "dataset": {"id": repository, "task_id": task.slug},
            "value": round(float(np.mean(scores)), 4),
            "date": entry.created.date().isoformat(),
        }
        if entry.code or entry.paper:
            one["source"] = {"url": entry.code or entry.paper, "name": entry.method}
        one["notes"] = f"{entry.method}, {len(scores)} seeds, suite version {suite.version}, {result.level}"
        written.append(one)
    return written


def _write_yaml(content: Any, path: Path) -> Path:
    with atomic(path) as temporary:
        temporary.write_text("\n".join(_lines(content)) + "\n", encoding="utf-8")
    return path


def _lines(content: Any, indent: str = "") -> Iterable[str]:
    """Lines of YAML of dictionaries, lists and plain values; texts stand in double quotes, as in JSON."""
    if isinstance(content, list):
        for each in content:
            first, *rest = _lines(each, indent + "  ")
            yield f"{indent}- {first.lstrip()}"
            yield from rest
    elif isinstance(content, dict):
        for key, value in content.items():
            if isinstance(value, dict | list):
                yield f"{indent}{key}:"
                yield from _lines(value, indent + "  ")
            else:
                yield f"{indent}{key}: {_scalar(value)}"
    else:
        yield indent + _scalar(content)


def _scalar(value: Any) -> str:
    return json.dumps(plain(value) if isinstance(value, str) else value, ensure_ascii=False)


# -------------------------------------------------------------------- Every Eval Ever


def _record(result: Result, suite: Suite, now: datetime) -> dict[str, Any]:
    entry, stamp = result.entry, str(int(now.timestamp()))
    model = f"{_slug(entry.team)}/{_slug(entry.method)}"
    is_measured = result.level != "self-reported"
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"offbench-{suite.name}/{model}/{stamp}",
        "evaluation_timestamp": entry.created.isoformat(),
        "retrieved_timestamp": stamp,
        "source_metadata": {
            "source_name": f"offbench leaderboard, suite {suite.name} version {suite.version}",
            "source_type": "evaluation_run",
            "source_organization_name": "offbench" if is_measured else plain(entry.team),
            "evaluator_relationship": "third_party" if is_measured else "first_party",
            "additional_details": _texts(level=result.level, paper=entry.paper, code=entry.code),
        },
        "eval_library": {"name": "offbench", "version": _version(result)},
        "model_info": {
            "name": plain(entry.method),
            "id": model,
            "developer": plain(entry.team),
            "additional_details": _texts(
                deployment_type="self_deployed",
                model_availability="open_weights" if _has_policies(result) else "unknown",
                algorithm=entry.algorithm,
            ),
        },
        "evaluation_results": [_evaluation(result, suite, task) for task in suite.tasks if seed_scores(result, task)],
    }


def _evaluation(result: Result, suite: Suite, task: SuiteTask) -> dict[str, Any]:
    scores = np.array(seed_scores(result, task))
    spread: dict[str, Any] = {"num_samples": len(scores)}
    if len(scores) > 1:
        deviation = float(scores.std(ddof=1))
        error = {"value": deviation / len(scores) ** 0.5, "method": "analytic, over seeds"}
        spread |= {"standard_deviation": deviation, "standard_error": error}
    measured = next((each for each in _remeasured(result) if each.dataset == task.dataset), None)
    details = _texts(
        remeasured=None if measured is None else f"{measured.measured:.4f}",
        updates=str(suite.steps_of(task)),
        revision=str(task.revision),
    )
    return {
        "evaluation_result_id": f"{suite.name}-v{suite.version}/{task.dataset}/score",
        "evaluation_name": task.dataset,
        "source_data": {"dataset_name": task.dataset, "source_type": "other"},
        "metric_config": {
            "evaluation_description": DEFINITION,
            "metric_id": "offbench/score",
            "metric_name": "Normalised score",
            "metric_unit": "points",
            "lower_is_better": False,
        },
        "score_details": {"score": float(scores.mean()), "details": details, "uncertainty": spread},
    }


def _remeasured(result: Result) -> Sequence[Any]:
    return () if result.verification is None else result.verification.remeasured


def _has_policies(result: Result) -> bool:
    """Whether the policies are still there for others to have."""
    return any((result.folder / name).is_file() for name in result.entry.files if name.startswith("policies/"))


def _version(result: Result) -> str:
    if result.verification is not None:
        return plain(result.verification.packages.get("offbench", __version__))
    return next(
        (plain(record.packages["offbench"]) for record in result.records if "offbench" in record.packages), "unknown"
    )


def _texts(**details: str | None) -> dict[str, str]:
    return {name: plain(value) for name, value in details.items() if value is not None}


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.") or "unnamed"


def _write_json(record: Mapping[str, Any], output: Path) -> Path:
    """Below data/BENCHMARK/DEVELOPER/MODEL, as that collection is laid out, under a name made of the content."""
    content = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    benchmark, developer, model, _ = record["evaluation_id"].split("/")
    name = hashlib.sha256(content.encode()).hexdigest()
    unique = "-".join([name[:8], name[8:12], f"4{name[13:16]}", f"8{name[17:20]}", name[20:32]])  # a UUID's form
    path: Path = output / "data" / benchmark / developer / model / f"{unique}.json"
    with atomic(path) as temporary:
        temporary.write_text(content, encoding="utf-8")
    return path
