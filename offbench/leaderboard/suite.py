"""Suites: the tasks that an entry is scored on, and what it may spend on them.

Suites are data: TOML files in ``leaderboards/suites``, which a person edits. The version rises whenever scores could
move, and entries under different versions are never in one table.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from offbench.basis.resources import resources
from offbench.environments.task import first_error
from offbench.errors import OffbenchError, UnknownNameError


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SuiteTask(_Strict):
    """One dataset, learned from and scored in one task.

    Attributes:
        dataset: its id.
        revision: of the dataset's card.
        domain: what it is averaged with.
        task: name of the task; the dataset's own if None.
        steps: gradient updates, where they are not the suite's.
    """

    dataset: str
    revision: PositiveInt
    domain: str
    task: str | None = None
    steps: PositiveInt | None = None

    @property
    def slug(self) -> str:
        """The dataset's id as the name of a folder."""
        return self.dataset.replace("/", "--")


class Suite(_Strict):
    """Tasks, and what may be spent on them.

    Attributes:
        name: that of its file.
        version: rises whenever scores could move.
        title: as the site shows it.
        description: one or two sentences.
        steps: gradient updates of each seed.
        episodes: of each seed's last evaluation, at least.
        seeds: at least so many, counted from 0 without a gap.
        tuning: what may be tuned, and on what.
        tasks: each dataset once.
    """

    name: str = Field(pattern="^[a-z0-9][a-z0-9-]*$")
    version: PositiveInt
    title: str
    description: str
    steps: PositiveInt
    episodes: PositiveInt
    seeds: PositiveInt
    tuning: str
    tasks: tuple[SuiteTask, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _datasets_differ(self) -> Self:
        names = [each.dataset for each in self.tasks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the suite has {', '.join(twice)} twice")
        return self

    def steps_of(self, task: SuiteTask) -> int:
        """Gradient updates of each seed on one of the tasks."""
        return task.steps or self.steps


def read_suite(path: Path) -> Suite:
    """The suite of a TOML file.

    Raises:
        OffbenchError: it cannot be read, is no TOML, or no suite of that name.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OffbenchError(f"cannot read the suite {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OffbenchError(f"{path} is no valid TOML: {error}") from error
    try:
        found = Suite.model_validate(table)
    except ValidationError as error:
        raise OffbenchError(f"the suite {path}: {first_error(error)}") from error
    if found.name != path.stem:
        raise OffbenchError(f"the suite {path} calls itself {found.name}; its file must be {found.name}.toml")
    return found


@cache
def suites() -> dict[str, Suite]:
    """All suites that come with offbench, by name."""
    folder = resources("leaderboards") / "suites"
    return {path.stem: read_suite(path) for path in sorted(folder.glob("*.toml"))}


def suite(name: str) -> Suite:
    """The suite of that name.

    Raises:
        UnknownNameError: there is none; the message lists the nearest names.
    """
    known = suites()
    if name not in known:
        raise UnknownNameError("suite", name, known)
    return known[name]
