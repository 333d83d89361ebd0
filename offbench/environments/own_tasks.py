"""Tasks of users: a `Task` made in Python, or a TOML file.

A file says what a table of ``datasets/tasks.toml`` says, without the name in brackets::

    name = "cart"                      # how tables and records call it; the file's name if left out
    environment = "my_module:Cart"     # or an id of Gymnasium
    episode_limit = 500
    arguments = { length = 0.5 }       # keyword arguments, where it takes any
    low = 20.0                         # or tables [low] and [high] with mean, policy and source,
    high = 480.0                       # as `offbench data references FILE.toml` measures and prints them

A class is imported because the user named it, when the environment is made.
"""

from __future__ import annotations

import json
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from offbench.environments.task import Task, first_error, task, tasks
from offbench.errors import OffbenchError, UnknownNameError

FIELDS = tuple(name for name in Task.model_fields if name != "aliases")
_NEEDED = ("environment", "episode_limit", "low", "high")


def chosen_task(given: str | Path | Task) -> Task:
    """The task that a user means: by a name or an alias, by the path of a TOML file, or the task itself.

    Raises:
        UnknownNameError: no task is called so.
        OffbenchError: the file is wrong, or the task is one that no record could hold or that takes another's name.
    """
    if isinstance(given, Task):
        return _checked(given, f"task {given.name}")
    if isinstance(given, Path) or given.endswith(".toml"):
        return read_task(given)
    return task(given)


def own(chosen: Task | None) -> Task | None:
    """The task, where it is none of offbench's: what a run has to keep whole, as its name says nothing."""
    return None if chosen is None or tasks().get(chosen.name) == chosen else chosen


def read_task(path: str | Path, *, referenced: bool = True) -> Task:
    """The task of a TOML file.

    Args:
        path: the file.
        referenced: whether it must have its two references; if not, what stands in for them means nothing.

    Raises:
        UnknownNameError: a field that tasks do not have; the message lists the nearest ones.
        OffbenchError: no such file, no TOML, a field that is missing or wrong, low references that are not below high
            ones, or a name that is one of offbench's own.
    """
    path = Path(path).expanduser()
    table = _table(path)
    for name in table:
        if name not in FIELDS:
            raise UnknownNameError(f"field of a task in {path}", name, FIELDS)
    if not referenced:
        table |= {"low": 0.0, "high": 1.0}
    missing = [name for name in _NEEDED if name not in table]
    if missing:
        advice = "" if missing[0] in _NEEDED[:2] else f"; offbench data references {path} measures them"
        raise OffbenchError(f"the task in {path} has no {' and no '.join(missing)}{advice}")
    try:
        made = Task.model_validate({"name": path.stem, **table})
    except ValidationError as error:
        raise OffbenchError(f"the task in {path}: {first_error(error)}") from error
    return _checked(made, f"the task in {path}")


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or error
        raise OffbenchError(f"the task {path} cannot be read ({reason}); give the path of a TOML file") from error
    except ValueError as error:  # of TOML, and of UTF-8
        raise OffbenchError(f"the task {path} is no valid TOML: {error}") from error


def _checked(made: Task, what: str) -> Task:
    """The task, if a run can keep it and it is what its name says; else an OffbenchError."""
    if own(made) is None:
        return made
    if made.name in tasks() or any(made.name in each.aliases for each in tasks().values()):
        raise OffbenchError(f"{what} is called {made.name!r} as one of offbench's own tasks is; give it another name")
    try:
        json.dumps(made.arguments, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise OffbenchError(
            f"the arguments of {what} cannot be kept in a record ({error}); numbers, texts, truth values, and lists "
            "and tables of them would be right"
        ) from error
    try:
        made.simulator_versions()
    except PackageNotFoundError as error:
        raise OffbenchError(
            f"{what} names the simulator {error.name!r}, and no such distribution is installed; install it, or name "
            "those whose versions records should carry"
        ) from error
    return made
