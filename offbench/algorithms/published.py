"""Scores that others published, from ``leaderboards/published/*.csv``; its README says what the columns are."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from offbench.basis.resources import resources
from offbench.environments.task import first_error
from offbench.errors import OffbenchError

Statistic = Literal["last", "best", "last 3", "last 10", "unknown"]


class PublishedRow(BaseModel):
    """One published cell.

    Attributes:
        method: as its authors call it.
        algorithm: registered name; None where it is none of ours.
        settings: what differs from the algorithm's defaults and presets, as ``name=value``; empty for nothing.
        dataset: its id, or what the source averages over.
        statistic: which evaluations of a run count; a mean of the last 3 or 10, unknown where the source does not say.
        stage: before or after further training by acting; None where there is none.
        mean: over the seeds: D4RL's score, or success in % where the note says so.
        spread: over the seeds; None where there is none.
        spread_kind: what the spread is; std where the source does not say whether it is the population's.
        seeds: how many runs; None where the source does not say.
        updates: gradient updates of each run; likewise.
        episodes: of one evaluation; likewise.
        source: publication or project and commit.
        note: what is not as one would expect; empty for nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: str = Field(min_length=1)
    algorithm: str | None
    settings: str = ""
    dataset: str = Field(min_length=1)
    statistic: Statistic
    stage: Literal["offline", "online"] | None
    mean: float
    spread: float | None = Field(ge=0)
    spread_kind: Literal["population std", "std", "95% half-width"] | None
    seeds: int | None = Field(gt=0)
    updates: int | None = Field(gt=0)
    episodes: int | None = Field(gt=0)
    source: str = Field(min_length=1)
    note: str = ""

    @model_validator(mode="after")
    def _spread_has_a_kind(self) -> Self:
        if (self.spread is None) != (self.spread_kind is None):
            raise ValueError("spread and spread_kind belong together")
        if self.settings and self.algorithm is None:
            raise ValueError("settings are those of an algorithm of ours")
        return self


_TEXTS = {"settings", "note"}  # where an empty cell is an empty text; elsewhere it is nothing


def read_published(path: Path) -> list[PublishedRow]:
    """The rows of a CSV file, in its order.

    Raises:
        OffbenchError: it cannot be read, or a row is wrong; the line is named.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OffbenchError(f"cannot read the published scores {path}: {error}") from error
    rows = []
    for line, cells in enumerate(table, 2):
        values: dict[Any, Any] = {name: cell if name in _TEXTS else (cell or None) for name, cell in cells.items()}
        try:
            rows.append(PublishedRow.model_validate(values))
        except ValidationError as error:
            raise OffbenchError(f"line {line} of {path}: {first_error(error)}") from error
    return rows


@cache
def published_rows() -> tuple[PublishedRow, ...]:
    """All published scores, file by file; raises OffbenchError as `read_published` does."""
    return tuple(row for path in sorted(folder().glob("*.csv")) for row in read_published(path))


def folder() -> Path:
    """Where the files lie."""
    return resources("leaderboards") / "published"


def unknown_datasets() -> frozenset[str]:
    """Names that published rows use and that stand for no dataset of offbench, such as means over tasks."""
    return frozenset((folder() / "unknown.txt").read_text(encoding="utf-8").splitlines())


@dataclass(frozen=True)
class PublishedScore:
    """The D4RL score of the last evaluation on one dataset, of an algorithm of ours.

    Attributes:
        algorithm: registered name.
        settings: what differs from the algorithm's defaults and presets, as ``name=value``; empty for nothing.
        dataset: its id.
        mean, std: over the seeds, std the population's as far as the source says.
        seeds: how many runs.
        updates: gradient updates of each run; None where the source does not say.
        source: project and commit; ``leaderboards/published/README.md`` says more.
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
    """The last scores of a registered name, or of all, after offline training; empty where none were published."""
    return [
        PublishedScore(
            row.algorithm, row.settings, row.dataset, row.mean, row.spread, row.seeds, row.updates, row.source
        )
        for row in published_rows()
        if row.algorithm is not None and row.spread is not None and row.seeds is not None
        if row.statistic == "last" and row.stage is None and algorithm in (None, row.algorithm)
    ]
