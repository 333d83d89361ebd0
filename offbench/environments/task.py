"""Tasks: an environment, its time limit and the two returns between which a score is drawn.

Tasks are data: they live in ``datasets/tasks.toml``, one table a task, and a person edits them there. Those of users
are made in Python or read from files of their own (`offbench.environments.own_tasks`).
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from offbench.basis.resources import resources
from offbench.errors import OffbenchError, UnknownNameError


class Reference(BaseModel):
    """The mean return of one known policy.

    Attributes:
        mean: mean undiscounted return.
        standard_error: of that mean, where it was measured here.
        episodes: how many were measured.
        policy: what acted, in one sentence.
        source: who measured it and how.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float = Field(allow_inf_nan=False)
    standard_error: float | None = Field(default=None, ge=0)
    episodes: int | None = Field(default=None, gt=0)
    policy: str
    source: str


class Task(BaseModel):
    """What a policy is scored in.

    Attributes:
        name: short name, ``hopper-v4``.
        aliases: other names that `task` understands.
        environment: Gymnasium id, or ``module:Class``.
        arguments: keyword arguments of the environment.
        episode_limit: steps after which an episode is truncated.
        observation: entries of a dictionary observation that are joined, in this order; empty for a plain array.
        dynamics: those of the installed simulator, or those that D4RL's data were recorded in
            (`offbench.environments.d4rl_dynamics`).
        simulator: Python distributions that decide how the environment behaves; records carry their versions.
        low: return that scores 0; a bare number is one of whose policy nothing is said.
        high: return that scores 100; likewise.
        known_differences: how it is known to behave otherwise than the environment that its data come from, one
            sentence each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    aliases: tuple[str, ...] = ()
    environment: str
    arguments: dict[str, Any] = {}
    episode_limit: int = Field(gt=0)
    observation: tuple[str, ...] = ()
    dynamics: Literal["installed", "d4rl"] = "installed"
    simulator: tuple[str, ...] = ("gymnasium",)
    low: Reference
    high: Reference
    known_differences: tuple[str, ...] = ()

    @field_validator("low", "high", mode="before")
    @classmethod
    def _of_number(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"mean": value, "policy": "not said", "source": "given as a number"}
        return value

    @model_validator(mode="after")
    def _low_below_high(self) -> Task:
        if not self.low.mean < self.high.mean:
            raise ValueError(f"the low reference {self.low.mean} must lie below the high one {self.high.mean}")
        return self

    def score(self, returns: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """100 (return - low) / (high - low), elementwise: 0 is the low policy, 100 the high one."""
        return self.scale(np.asarray(returns, dtype=np.float64) - self.low.mean)

    def scale(self, deviations: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """A difference or standard deviation of returns on the scale of scores: scaled and never shifted."""
        scaled: npt.NDArray[np.float64] = np.multiply(deviations, 100.0 / (self.high.mean - self.low.mean))
        return scaled

    def simulator_versions(self) -> dict[str, str]:
        """Installed version of each distribution in ``simulator``."""
        return {name: version(name) for name in self.simulator}


@cache
def tasks() -> dict[str, Task]:
    """All tasks by name, in the order of the file.

    Raises:
        OffbenchError: ``tasks.toml`` cannot be parsed or one of its tables is no task.
    """
    path = resources() / "tasks.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise OffbenchError(f"{path} is no valid TOML: {error}") from error
    found = {}
    for name, table in tables.items():
        try:
            found[name] = Task.model_validate({"name": name, **table})
        except ValidationError as error:
            raise OffbenchError(f"task {name} in {path}: {first_error(error)}") from error
    return found


def first_error(error: ValidationError) -> str:
    """The first thing that is wrong with a task, in one line."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{field or 'table'}: {first['msg'].removeprefix('Value error, ')}"


def task(name: str) -> Task:
    """The task of that name or alias.

    Raises:
        UnknownNameError: no task is called so; the message lists the nearest names.
    """
    known = tasks()
    if name in known:
        return known[name]
    aliases = {alias: entry for entry in known.values() for alias in entry.aliases}
    if name in aliases:
        return aliases[name]
    raise UnknownNameError("task", name, [*known, *aliases])
