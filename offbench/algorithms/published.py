"""Scores that others published for the algorithms here, from ``datasets/published/scores.csv``."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from offbench.basis.resources import resources


@dataclass(frozen=True)
class PublishedScore:
    """The D4RL score of the last evaluation on one dataset.

    Attributes:
        algorithm: registered name.
        settings: what differs from the algorithm's defaults and presets, as ``name=value``; empty for nothing.
        dataset: its id.
        mean, std: over the seeds, std the population's.
        seeds: how many runs.
        updates: gradient updates of each run; None where the source does not say.
        source: project and commit; ``datasets/published/README.md`` says more.
    """

    algorithm: str
    settings: str
    dataset: str
    mean: float
    std: float
    seeds: int
    updates: int | None
    source: str


def published_scores(algorithm: str | None = None) -> list[PublishedScore]:
    """The scores of a registered name, or of all; empty where none were published."""
    with (resources() / "published" / "scores.csv").open(encoding="utf-8", newline="") as file:
        found = [
            PublishedScore(
                algorithm=row["algorithm"],
                settings=row["settings"],
                dataset=row["dataset"],
                mean=float(row["mean"]),
                std=float(row["std"]),
                seeds=int(row["seeds"]),
                updates=int(row["updates"]) if row["updates"] else None,
                source=row["source"],
            )
            for row in csv.DictReader(file)
        ]
    return [score for score in found if algorithm in (None, score.algorithm)]
