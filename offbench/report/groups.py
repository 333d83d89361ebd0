"""Which run records may be averaged, and what each such group is called.

A group is one algorithm in one configuration on one version of one dataset, scored in one task; its records differ in
the seed alone. Whatever else differs makes another group, and its label then names what differs, so that nothing is
averaged that is not the same and no two groups look alike.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from offbench.errors import OffbenchError
from offbench.evaluation.record import NUMERIC, RunRecord, digest_of
from offbench.report.labels import Labels

# A label that names more differences than these gives the digest instead.
MOST_DIFFERENCES = 4

Facts = Mapping[str, JsonValue]


@dataclass(frozen=True)
class Group:
    """Seeds of one run.

    Attributes:
        dataset: label of what was scored on: the dataset's name and, where several versions of it or several tasks are
            compared, what tells them apart.
        algorithm: label of what was scored: the algorithm's name and, where several configurations of it are compared
            on one dataset, the fields that differ.
        records: by increasing seed.
    """

    dataset: str
    algorithm: str
    records: tuple[RunRecord, ...]


def group(
    records: Sequence[RunRecord], labels: Labels | None = None, without: Collection[str] = (), trials: bool = False
) -> tuple[list[Group], list[str]]:
    """Groups in the order of dataset and algorithm, and a note for each thing that was left out.

    Trials of a tuning are left out beside anything else, for their scores are no result; alone they are shown as what
    they are.

    Args:
        records: runs.
        labels: short names; by default names stand as they are in the records.
        without: what labels of algorithms need not tell apart, because it is shown beside them: fields of the
            configuration (``expectile``, ``net.width``), and ``steps``.
        trials: whether all runs count alike, because nothing is reported of them as a result.

    Raises:
        OffbenchError: no record was ever evaluated, or a seed of a run is there twice.
    """
    evaluated = [record for record in records if record.evaluations]
    notes = _left_out([record for record in records if not record.evaluations])
    if not evaluated:
        raise OffbenchError(f"none of the {len(records)} run records has an evaluation, so there is no score to report")
    if not trials:
        evaluated, told = _results(evaluated)
        notes += told
    members: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    for record in evaluated:
        members[record.benchmark_digest, _method_key(record)].append(record)
    shown = labels.datasets(record.dataset for record in evaluated) if labels else {}
    benchmarks = _benchmark_labels(evaluated, shown)
    methods = _method_labels(evaluated, _algorithm_names(evaluated, labels), without)
    groups = []
    for key, runs in members.items():
        runs.sort(key=lambda record: record.seed)
        seeds = [record.seed for record in runs]
        if len(set(seeds)) < len(seeds):
            raise OffbenchError(f"{runs[0].algorithm} on {runs[0].dataset} has a seed twice among {seeds}")
        groups.append(Group(benchmarks[key[0]], methods[key], tuple(runs)))
    return sorted(groups, key=lambda g: (g.dataset, g.algorithm)), notes


def _left_out(records: Sequence[RunRecord]) -> list[str]:
    counts: dict[str, int] = defaultdict(int)
    for record in records:
        counts[f"{record.algorithm} on {record.dataset}"] += 1
    return [
        f"left out, because never evaluated: {name}, {count} {'seed' if count == 1 else 'seeds'}"
        for name, count in sorted(counts.items())
    ]


def _results(records: list[RunRecord]) -> tuple[list[RunRecord], list[str]]:
    """The records without those of trials, unless there are no others, and what is to be said of them."""
    results = [record for record in records if not record.is_trial]
    trials = [record for record in records if record.is_trial]
    if results or not trials:
        counts: dict[str, int] = defaultdict(int)
        for record in trials:
            counts[f"{record.algorithm} on {record.dataset}"] += 1
        said = "left out, because a configuration was chosen by them"
        return results, [f"{said}: {name}, {count} runs" for name, count in sorted(counts.items())]
    return trials, [
        "caution: these are the trials of a tuning, and the best of them was chosen by these very scores: that of the "
        "result, of other seeds, is what to report"
    ]


def _method_key(record: RunRecord) -> str:
    """What of the methods may be averaged: the same, chosen in the same way."""
    if record.tuning is None:
        return record.method_digest
    said = "trial" if record.is_trial else record.tuning.model_dump(mode="json")
    return digest_of([record.method_digest, said])


def _algorithm_names(records: Sequence[RunRecord], labels: Labels | None) -> list[str]:
    """What each record's algorithm is called; two that would be called the same keep their names."""
    if labels is None:
        return [record.algorithm for record in records]
    short = [labels.algorithm(record.algorithm, record.config) for record in records]
    meant: dict[str, set[str]] = defaultdict(set)
    for label, record in zip(short, records, strict=True):
        meant[label].add(record.algorithm)
    named = {record.algorithm for record in records}
    return [
        record.algorithm if len(meant[label]) > 1 or label in named - {record.algorithm} else label
        for label, record in zip(short, records, strict=True)
    ]


def _benchmark_labels(records: Sequence[RunRecord], shown: Mapping[str, str]) -> dict[str, str]:
    variants: dict[str, dict[str, Facts]] = defaultdict(dict)
    for record in records:
        variants[record.dataset][record.benchmark_digest] = _benchmark_facts(record)
    labels = {}
    for name, facts in variants.items():
        differing = _differing(list(facts.values()))
        for digest, fact in facts.items():
            labels[digest] = _label(shown.get(name, name), digest, fact, differing)
    return labels


def _benchmark_facts(record: RunRecord) -> Facts:
    facts: dict[str, JsonValue] = {"revision": record.dataset_revision, "data": record.dataset_digest[:6]}
    if record.task is not None:
        task = record.task
        facts |= {"task": task.name, "environment": task.environment, "episode_limit": task.episode_limit}
        facts |= (
            {"dynamics": task.dynamics, "low": task.low, "high": task.high} | _flat(task.arguments) | task.simulators
        )
    return facts


def _method_labels(
    records: Sequence[RunRecord], names: Sequence[str], without: Collection[str]
) -> dict[tuple[str, str], str]:
    variants: dict[str, dict[str, dict[str, Facts]]] = defaultdict(lambda: defaultdict(dict))
    for record, name in zip(records, names, strict=True):
        told = {key: value for key, value in _method_facts(record).items() if key not in without}
        variants[name][record.benchmark_digest][_method_key(record)] = told
    labels = {}
    for name, benchmarks in variants.items():
        # Presets make configurations differ between datasets; only differences within a dataset need a name. The same
        # fields are named on every dataset, so that a configuration keeps its label across them.
        differing: dict[str, None] = {}
        for facts in benchmarks.values():
            differing |= dict.fromkeys(_differing(list(facts.values())))
        for benchmark, facts in benchmarks.items():
            for digest, fact in facts.items():
                labels[benchmark, digest] = _label(name, digest, fact, list(differing))
    return labels


def _method_facts(record: RunRecord) -> Facts:
    facts = _flat(record.config) | {"steps": record.steps, "source": record.algorithm_digest[:6]}
    facts["tuning"] = "none" if record.tuning is None else record.tuning.brief
    facts |= {"code": record.code_digest[:6]} | {name: record.packages.get(name) for name in NUMERIC}
    # Most transforms follow from the configuration; a step is a dictionary of whatever it was fitted to.
    return facts | {f"transform {i}": step for i, step in enumerate(record.transforms)}


def _flat(values: Mapping[str, JsonValue], prefix: str = "") -> dict[str, JsonValue]:
    flat: dict[str, JsonValue] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _differing(variants: Sequence[Facts]) -> list[str]:
    """Keys whose values are not the same in all variants, transforms only where nothing else tells them apart."""
    keys = list(dict.fromkeys(key for facts in variants for key in facts))
    differing = [key for key in keys if len({_text(facts, key) for facts in variants}) > 1]
    plain = [key for key in differing if not key.startswith("transform ")]
    told_apart = len({tuple(_text(facts, key) for key in plain) for facts in variants}) == len(variants)
    return plain if told_apart else differing


def _label(name: str, digest: str, facts: Facts, differing: Sequence[str]) -> str:
    if not differing:
        return name
    listed = ", ".join(f"{key}={_text(facts, key)}" for key in differing)
    too_long = len(differing) > MOST_DIFFERENCES or len(listed) > 80
    return f"{name} ({digest[:6]})" if too_long else f"{name} ({listed})"


def _text(facts: Facts, key: str) -> str:
    if key not in facts:
        return "absent"
    value = facts[key]
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
