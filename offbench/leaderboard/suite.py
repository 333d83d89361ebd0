"""Suites: the tasks that an entry is scored on, and what it may spend on them.

Suites are data: TOML files in ``leaderboards/suites``, which a person edits. The version rises whenever scores could
move, and entries under different versions are never in one table.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from offbench.basis.files import slug_of
from offbench.basis.resources import resources
from offbench.basis.toml import read_toml
from offbench.environments.task import first_error
from offbench.errors import OffbenchError, UnknownNameError


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Pairs(_Strict):
    """Preferences that stand in the place of rewards; see `offbench.data.preferences.Preferences.from_teacher`.

    Attributes:
        pairs: how many are drawn.
        length: steps of each segment.
        seed: of the draw.
        ties: difference of returns up to which a pair is a tie; none are if None.
    """

    pairs: PositiveInt
    length: PositiveInt
    seed: NonNegativeInt = 0
    ties: float | None = 0.0


class SuiteTask(_Strict):
    """One dataset, learned from and scored in one task.

    Attributes:
        dataset: its id, with the name of a split where actions or rewards are hidden.
        revision: of the dataset's card.
        domain: what it is averaged with.
        task: name of the task; the dataset's own if None.
        steps: gradient updates, where they are not the suite's.
        episodes: of the last evaluation, where they are not the suite's.
        target: score that has to be reached, in a suite that counts seconds.
        preferences: what is learned from instead of rewards.
    """

    dataset: str
    revision: PositiveInt
    domain: str
    task: str | None = None
    steps: PositiveInt | None = None
    episodes: PositiveInt | None = None
    target: float | None = None
    preferences: Pairs | None = None

    @property
    def card_id(self) -> str:
        """The dataset's id without the name of a split."""
        return self.dataset.partition("?")[0]

    @property
    def learned(self) -> str:
        """The id of what is learned from, as records have it: with the preferences that stand in the place of rewards.

        It is what `offbench.catalog.loading.load` takes.
        """
        asked = self.preferences
        if asked is None:
            return self.dataset
        ties = "" if asked.ties == 0 else f"&ties={'none' if asked.ties is None else repr(asked.ties)}"
        return f"{self.dataset}?preferences={asked.pairs}x{asked.length}{ties}&seed={asked.seed}"

    @property
    def slug(self) -> str:
        """The dataset's id as the name of a folder."""
        return slug_of(self.dataset)


class Suite(_Strict):
    """Tasks, and what may be spent on them.

    Attributes:
        kind: whether scores are compared, or the seconds until a stated score.
        name: that of its file.
        version: rises whenever scores could move.
        title: as the site shows it.
        description: one or two sentences.
        steps: gradient updates of each seed.
        episodes: of each seed's last evaluation, at least.
        seeds: at least so many, counted from 0 without a gap.
        tuning: what may be tuned, and on what.
        runs: timed runs of each task, at least, where seconds are counted.
        hardware: what they are timed on.
        commitment: to the secret that hidden tasks are drawn from, see `offbench.leaderboard.secret`.
        salt: of the commitment, hexadecimal.
        hidden: datasets of the suite of which the organiser has another, made in the same way from a secret seed.
        tasks: each dataset once.
    """

    kind: Literal["score", "time"] = "score"
    name: str = Field(pattern="^[a-z0-9][a-z0-9-]*$")
    version: PositiveInt
    title: str
    description: str
    steps: PositiveInt
    episodes: PositiveInt
    seeds: PositiveInt
    tuning: str
    runs: PositiveInt | None = None
    hardware: str | None = None
    commitment: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    salt: str | None = Field(default=None, pattern="^[0-9a-f]{32}$")
    hidden: tuple[str, ...] = ()
    tasks: tuple[SuiteTask, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _datasets_differ(self) -> Self:
        names = [each.dataset for each in self.tasks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the suite has {', '.join(twice)} twice")
        return self

    @model_validator(mode="after")
    def _kind_has_its_parts(self) -> Self:
        is_time = self.kind == "time"
        if any((each.target is not None) != is_time for each in self.tasks):
            raise ValueError("target is the score that each task of a suite of kind time has, and no other one")
        if any((each is not None) != is_time for each in (self.runs, self.hardware)):
            raise ValueError("runs and hardware say how seconds are counted: suites of kind time have them, no others")
        return self

    @model_validator(mode="after")
    def _hidden_tasks_have_a_sibling(self) -> Self:
        unknown = [each for each in self.hidden if each not in {task.dataset for task in self.tasks}]
        if unknown or len(set(self.hidden)) < len(self.hidden):
            raise ValueError(f"hidden names datasets of the suite, each once, and not {unknown or 'one twice'}")
        if (self.commitment is None) != (self.salt is None):
            raise ValueError("commitment and salt belong together")
        return self

    def episodes_of(self, task: SuiteTask) -> int:
        """Episodes of each seed's last evaluation on one of the tasks."""
        return task.episodes or self.episodes

    def steps_of(self, task: SuiteTask) -> int:
        """Gradient updates of each seed on one of the tasks."""
        return task.steps or self.steps


def read_suite(path: Path) -> Suite:
    """The suite of a TOML file.

    Raises:
        OffbenchError: it cannot be read, is no TOML, or no suite of that name.
    """
    table = read_toml(path, "the suite")
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
    """The suite of that name, or that of a TOML file, which is an organiser's own.

    Raises:
        UnknownNameError: there is none; the message lists the nearest names.
        OffbenchError: see `read_suite`.
    """
    if name.endswith(".toml"):
        return read_suite(Path(name))
    known = suites()
    if name not in known:
        raise UnknownNameError("suite", name, known)
    return known[name]
