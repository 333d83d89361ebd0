"""Reward models on published preferences, by cross-validation: who judges pairs that it has not seen as people do.

Beside what always the majority comes to, and what models learn from labels that were shuffled: with a hundred pairs an
accuracy alone says little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from offbench.basis.files import atomic
from offbench.data.preferences import Preferences
from offbench.errors import OffbenchError
from offbench.evaluation.rollout import one_torch_thread
from offbench.formats.preference_files import read_ipl
from offbench.labelling.cross_validation import FOLDS, Judged, Score, accuracy, cross_entropy, cross_validate, majority
from offbench.labelling.reward_models import RewardConfig, described
from offbench.studies.drawing import Say

Record = dict[str, Any]
MAJORITY = "majority"
MODELS = {"markovian": "MLP on state and action", "lstm": "LSTM", "transformer": "Preference Transformer"}


@dataclass(frozen=True)
class Budget:
    """How much is done.

    Attributes:
        configs: of the models by name.
        seeds: of each model.
    """

    configs: Mapping[str, RewardConfig]
    seeds: int


def _budget(seeds: int, **options: Any) -> Budget:
    return Budget({name: RewardConfig(model=name, **options) for name in MODELS}, seeds)  # type: ignore[arg-type]


BUDGETS: Mapping[str, Budget] = {
    "small": _budget(3, hidden=(64, 64), embedding=32, heads=2, updates=100, validate_every=10),
    "full": _budget(10, hidden=(256, 256), embedding=256, updates=2000),
}


def parts(files: Sequence[Path]) -> dict[str, tuple[Path, str]]:
    """The parts of the study, a file and a model each, by the names of their records.

    Raises:
        OffbenchError: two files have one name.
    """
    names = [path.stem for path in files]
    if len(set(names)) < len(names):
        raise OffbenchError(
            f"of the files {', '.join(names)} two have one name; a study each, or other names, are right"
        )
    return {f"{path.stem}-{model}": (path, model) for path in files for model in (MAJORITY, *MODELS)}


def run(path: Path, model: str, budget: Budget, say: Say) -> Record:
    """The record of a model on a file: scores of true and of shuffled labels, plain numbers with what they are of."""
    pairs = read_ipl(path)
    about: Record = {
        "file": path.stem, "model": model, "pairs": len(pairs), "digest": pairs.digest, "labels": _counted(pairs),
        "budget": identity(model, budget), "learned": {},
    }  # fmt: skip
    if model == MAJORITY:
        return about | {"learned": {"true": _scores(majority(pairs))}}
    config = budget.configs[model]
    with one_torch_thread():
        for kind in ("true", "shuffled"):
            say(f"{path.stem}: {MODELS[model]}, {kind} labels")
            made = cross_validate(pairs, config, range(budget.seeds), shuffled=kind == "shuffled", say=say)
            about["learned"][kind] = _scores(made)
    return about


def otherwise(record: Record, files: Sequence[Path], budget: Budget) -> str:
    """What a record is of, where that is another file or budget than these; else nothing."""
    path = next(path for path in files if path.stem == record["file"])
    if record["digest"] != read_ipl(path).digest:
        return f"of other pairs than {path} holds"
    return "of another budget" if record["budget"] != identity(record["model"], budget) else ""


def identity(model: str, budget: Budget) -> Record:
    """What the numbers of a record depend on besides the file."""
    if model == MAJORITY:
        return {"folds": FOLDS}
    return {"folds": FOLDS, "seeds": budget.seeds, **described(budget.configs[model])}


def _counted(pairs: Preferences) -> list[int]:
    """How many prefer the first, neither and the second."""
    return [int((pairs.labels == label).sum()) for label in (0, 0.5, 1)]


def _scores(judged: Judged) -> Record:
    each = [accuracy(Judged(own[None], judged.labels)).value for own in judged.probabilities]
    return {
        "accuracy": accuracy(judged)._asdict(),
        "cross_entropy": cross_entropy(judged)._asdict(),
        "accuracies_of_seeds": [float(np.round(value, 6)) for value in each],
    }


def write_page(records: Mapping[str, Record], output: Path) -> list[Path]:
    """Write ``page.md``, a table a file, and return its path."""
    page = output / "page.md"
    lines = [
        "# Reward models on published preferences", "",
        f"{FOLDS}-fold cross-validation: each pair is judged by models that saw neither it nor a pair that shares a "
        "step with it. Accuracy is over pairs without a tie, cross-entropy (nats; a coin's is 0.693) over all, both of "
        "the mean prediction of the seeds, with 95% percentile-bootstrap intervals over pairs. Models that learn from "
        "shuffled labels are judged by the true ones.", "",
    ]  # fmt: skip
    for file in dict.fromkeys(record["file"] for record in records.values()):
        lines += _table([record for record in records.values() if record["file"] == file])
    with atomic(page) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")
    return [page]


def _table(records: Sequence[Record]) -> list[str]:
    first, neither, second = records[0]["labels"]
    lines = [
        f"## {records[0]['file']}", "",
        f"{records[0]['pairs']} pairs: the first is preferred in {first}, the second in {second}, neither in "
        f"{neither}.", "",
        "| model | labels | accuracy | cross-entropy | seeds |", "|---|---|---:|---:|---:|",
    ]  # fmt: skip
    for record in records:
        name, seeds = MODELS.get(record["model"], "always the majority"), record["budget"].get("seeds", "")
        for kind, scores in record["learned"].items():
            cells = [_cell(Score(**scores[what])) for what in ("accuracy", "cross_entropy")]
            lines.append(f"| {name} | {kind} | {cells[0]} | {cells[1]} | {seeds} |")
    return [*lines, ""]


def _cell(score: Score) -> str:
    low, high = score.interval
    return f"{score.value:.3f} [{low:.3f}, {high:.3f}]"
