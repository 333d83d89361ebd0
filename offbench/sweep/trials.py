"""The trials of a tuning and the file that keeps them: what was asked for, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from offbench.algorithms.method import Method
from offbench.basis.files import atomic
from offbench.errors import OffbenchError
from offbench.sweep.study import Study

FILE = "tuning.json"


@dataclass(frozen=True)
class Outcome:
    """What a trial has come to.

    Attributes:
        value: of the objective; None where a run of it failed.
        failed: why, by dataset, where runs failed.
    """

    value: float | None
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """One configuration.

    Attributes:
        number: from 0.
        method: algorithm and hyperparameters.
        outcome: None as long as it is not known.
    """

    number: int
    method: Method
    outcome: Outcome | None = None

    @property
    def value(self) -> float | None:
        """Of the objective; None where it failed, or is not known yet."""
        return None if self.outcome is None else self.outcome.value


def best(trials: Sequence[Trial]) -> Trial:
    """The trial with the greatest value, the first of several.

    Raises:
        OffbenchError: all have failed.
    """
    done = [trial for trial in trials if trial.value is not None]
    if not done:
        raise OffbenchError(f"all {len(trials)} trials have failed, so there is nothing to choose")
    return max(done, key=lambda trial: trial.value if trial.value is not None else 0.0)


class Notebook:
    """The trials of one tuning in its folder.

    Attributes:
        study: what is tuned.
        made_by: the code and the libraries that the trials are made by, as they were when the first was asked for.
        trials: by number.
    """

    def __init__(self, study: Study, folder: Path, made_by: Mapping[str, str | None]) -> None:
        self.study, self.folder, self.made_by, self.trials = study, folder, dict(made_by), list[Trial]()

    @classmethod
    def opened(cls, study: Study, folder: Path, made_by: Mapping[str, str | None]) -> Self:
        """The notebook in a folder, or a new one where there is none.

        Raises:
            OffbenchError: the one that is there is of another tuning, or damaged.
        """
        notebook = cls(study, folder, made_by)
        path = folder / FILE
        if not path.exists():
            return notebook
        table = read_table(folder)
        wanted, has = (_flat(one) for one in (json.loads(json.dumps(study.to_json())), table["study"]))
        changed = [name for name in (*wanted, *has) if wanted.get(name) != has.get(name)]
        if changed:
            name = changed[0]
            raise OffbenchError(
                f"{folder} holds another tuning: {name} is {has.get(name)} there and {wanted.get(name)} is wanted; "
                "give another --output"
            )
        notebook.made_by = table["made_by"]
        notebook.trials = [_trial(study, number, one) for number, one in enumerate(table["trials"])]
        return notebook

    @property
    def waiting(self) -> list[Trial]:
        """Trials that were asked for and have come to nothing yet."""
        return [trial for trial in self.trials if trial.outcome is None]

    def first_like(self, trial: Trial) -> Trial:
        """The first trial of the same configuration, whose runs are those of this one as well."""
        return next(each for each in self.trials if each.method == trial.method)

    @property
    def distinct(self) -> list[Trial]:
        """The first trial of each configuration."""
        return [trial for trial in self.trials if self.first_like(trial) is trial]

    def ask(self, methods: Sequence[Method]) -> None:
        """Keep configurations as further trials."""
        self.trials += [Trial(number, one) for number, one in enumerate(methods, start=len(self.trials))]
        self.write()

    def tell(self, outcomes: Mapping[int, Outcome]) -> None:
        """Keep what trials have come to, by number."""
        self.trials = [Trial(each.number, each.method, outcomes.get(each.number, each.outcome)) for each in self.trials]
        self.write()

    def write(self) -> None:
        """Write it, atomically."""
        table = {
            "schema_version": 1,
            "study": self.study.to_json(),
            "made_by": self.made_by,
            "trials": [_table(trial) for trial in self.trials],
        }
        with atomic(self.folder / FILE) as temporary:
            temporary.write_text(json.dumps(table, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_table(folder: Path) -> dict[str, Any]:
    """What a folder's file says of its tuning.

    Raises:
        OffbenchError: there is none, or it is damaged.
    """
    path = folder / FILE
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        if table["schema_version"] != 1:
            raise ValueError(f"it is of version {table['schema_version']}, and 1 is known")
        kinds = {"study": dict, "made_by": dict, "trials": list}
        if not all(isinstance(table[name], kind) for name, kind in kinds.items()):
            raise ValueError("study, made_by or trials are not what they should be")
    except OSError as error:
        raise OffbenchError(f"{folder} holds no tuning: {FILE} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise OffbenchError(f"{path} is not the file of a tuning: {error}") from error
    return dict(table)


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a study, those of its tables one by one."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        found |= {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
    return found


def _table(trial: Trial) -> dict[str, Any]:
    table: dict[str, Any] = {"number": trial.number, "changes": trial.method.changes}
    if trial.outcome is not None:
        table |= {"value": trial.outcome.value, "failed": dict(trial.outcome.failed)}
    return table


def _trial(study: Study, number: int, table: Mapping[str, Any]) -> Trial:
    try:
        changes = {name: tuple(v) if isinstance(v, list) else v for name, v in table["changes"].items()}
        outcome = Outcome(table["value"], dict(table["failed"])) if "value" in table else None
        return Trial(number, Method(study.algorithm, changes), outcome)
    except (KeyError, TypeError, AttributeError) as error:
        raise OffbenchError(f"trial {number} in the file of a tuning is damaged: {error!r}") from error
