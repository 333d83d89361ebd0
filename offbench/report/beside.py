"""What stands beside our scores in a table: scores that others published, and what the data themselves score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

from offbench.algorithms.published import published_scores
from offbench.catalog.cards import cards
from offbench.catalog.loading import load_card
from offbench.catalog.store import is_cached
from offbench.errors import OffbenchError, UnknownNameError
from offbench.evaluation.record import RunRecord, TaskRecord
from offbench.report.labels import Labels

Kind = Literal["published", "data"]
DATA_MEAN, DATA_BEST = "Data, mean episode", "Data, best episode"


@dataclass(frozen=True)
class Beside:
    """A number that no run of ours made.

    Attributes:
        kind: ``published`` by others, or of the ``data``.
        name: what it is a score of: an algorithm's label, or which episode of the data.
        dataset: label of the dataset, as in the table.
        value: score; None where it is not at hand.
        std: population standard deviation over seeds, of published ones.
        seeds: how many, of published ones.
        source: where it is from.
    """

    kind: Kind
    name: str
    dataset: str
    value: float | None
    std: float | None
    seeds: int | None
    source: str


def published(shown: Mapping[str, RunRecord], patterns: Sequence[str], labels: Labels) -> list[Beside]:
    """Published scores of algorithms whose names match a pattern, on the datasets of a table.

    Args:
        shown: a record of each dataset of the table, by its label.
        patterns: names of algorithms, with ``*`` and the like.
        labels: short names.

    Raises:
        UnknownNameError: nothing at all is published of a pattern.
    """
    if not patterns:
        return []
    every = published_scores()
    for pattern in patterns:
        if not any(fnmatchcase(score.algorithm, pattern) for score in every):
            raise UnknownNameError("published algorithm", pattern, {score.algorithm for score in every})
    found = []
    labelled: dict[str, list[str]] = {}
    for label, record in shown.items():
        labelled.setdefault(record.dataset, []).append(label)
    for score in every:
        if score.dataset in labelled and any(fnmatchcase(score.algorithm, pattern) for pattern in patterns):
            settings = dict(part.partition("=")[::2] for part in score.settings.split(", ") if part)
            name = labels.algorithm(score.algorithm, settings)
            plainly = labels.algorithm(score.algorithm)
            name = f"{name} ({score.settings})" if settings and name == plainly else name
            source = f"{score.source}, last evaluation, {score.seeds} seeds"
            found += [
                Beside("published", name, label, score.mean, score.std, score.seeds, source)
                for label in labelled[score.dataset]
            ]
    sources: dict[str, set[str]] = {}
    for one in found:
        sources.setdefault(one.name, set()).add(one.source)
    # Where several sources have an algorithm, its name says which.
    return [replace(one, name=f"{one.name}, {one.source}") if len(sources[one.name]) > 1 else one for one in found]


def of_data(shown: Mapping[str, RunRecord]) -> list[Beside]:
    """Mean and best episode of each dataset of a table, as far as they are at hand without a download.

    From the data where they are cached in the revision that was trained on; else the mean that a card knows.
    """
    found = []
    for label, record in shown.items():
        if record.task is not None:
            mean, best, source = _episodes(record)
            scores = [_score(value, record.task) for value in (mean, best)]
            found += [
                Beside("data", name, label, score, None, None, source)
                for name, score in zip((DATA_MEAN, DATA_BEST), scores, strict=True)
            ]
    return found


def _score(value: float | None, task: TaskRecord) -> float | None:
    return None if value is None else 100 * (value - task.low) / (task.high - task.low)


def _episodes(record: RunRecord) -> tuple[float | None, float | None, str]:
    """Mean and largest return of the data's episodes, and where they are from."""
    card = cards().get(record.dataset)
    if card is None:
        return None, None, "no card"
    if card.revision != record.dataset_revision:
        return None, None, f"the card has revision {card.revision}, trained on was {record.dataset_revision}"
    if is_cached(card):
        try:
            returns = load_card(card).returns
        except OffbenchError as error:
            return None, None, f"cannot be read: {error}"
        return float(returns.mean()), float(returns.max()), "the data"
    expected = card.recipe.expected if card.recipe else None
    mean = card.mean_return
    if mean is None and expected is not None:
        mean = expected.mean_return
    return mean, None, "the data are not in the cache"
