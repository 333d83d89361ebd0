"""What a tuning is: an algorithm, datasets, a space, a tuner with its budget, and two sets of seeds that share none.

datasets = ["offbench/pendulum/swingup-v0"]
algorithm = "iql"
trials = 20
seeds = 3            # tuning seeds: how many from first_seed on, or which
test_seeds = 5       # of the result: how many after the last tuning seed, or which
steps = 20000

[space]
expectile = {low = 0.5, high = 0.9}
learning_rate = {low = 1e-4, high = 1e-2, scale = "log"}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from offbench.algorithms import registry
from offbench.algorithms.base import Algorithm
from offbench.algorithms.method import Method, made
from offbench.catalog.loading import find, is_split
from offbench.errors import OffbenchError, UnknownNameError
from offbench.evaluation.record import digest_of
from offbench.evaluation.tuning_record import TuningRecord
from offbench.selection.fqe import FQEConfig
from offbench.sweep.job import Job
from offbench.sweep.plan import OPTIONS, check_folders, folder_of, of_file, options_of
from offbench.sweep.space import Range, Values, values_of, written
from offbench.training.checks import check_count
from offbench.training.options import Options

SEEDS = 3  # tuning seeds, where none are named
STARTUP = 10  # trials that TPE draws by chance before it models anything


@dataclass(frozen=True)
class Search:
    """How a configuration is chosen, and how it is scored then."""

    trials: int = 20
    """Configurations that are tried; those that fail count."""
    tuner: Literal["random", "tpe"] = "random"
    """Who proposes them: chance, or the tree-structured Parzen estimator of Optuna."""
    objective: Literal["last", "best", "auc"] = "last"
    """What is made as large as possible, a mean over tuning seeds and datasets: score of the last or the best
    evaluation, or the area under the curve."""
    select: Literal["online", "fqe"] = "online"
    """What the choice is made by: episodes in the environment, or fitted Q evaluation on the data alone."""
    test_seeds: int | tuple[int, ...] = 5
    """Seeds that the chosen configuration is trained and scored with: how many after the last tuning seed, or which."""
    search_seed: int = 0
    """Of what is proposed."""
    batch: int = 4
    """Trials that TPE proposes at a time, whatever the number of processes, so that they change no result."""

    def __post_init__(self) -> None:
        """Raises OffbenchError at a number that cannot be meant, or a name that is none."""
        for count in ("trials", "batch"):
            check_count(count, getattr(self, count))
        known = {"tuner": ("random", "tpe"), "objective": ("last", "best", "auc"), "select": ("online", "fqe")}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise UnknownNameError(name, str(getattr(self, name)), values)
        if self.select == "fqe" and self.objective != "last":
            raise OffbenchError(
                f"the objective {self.objective} is read from episodes, which a choice by FQE has none of; leave it out"
            )


@dataclass(frozen=True)
class Study:
    """A tuning, once `study` has found that it can be meant.

    Attributes:
        algorithm: registered name or ``module:Class``.
        datasets: ids or paths; one configuration is chosen for all of them.
        space: values of each hyperparameter.
        search: see there.
        options: of every run, without seeds.
        seeds, test_seeds: see `Search`.
        fqe: of the choice by FQE.
        output: folder; ``runs/tune-NAME`` if None.
    """

    algorithm: str
    datasets: Sequence[str]
    space: Mapping[str, Values]
    search: Search
    options: Mapping[str, Any]
    seeds: Sequence[int]
    test_seeds: Sequence[int]
    fqe: FQEConfig = field(default_factory=FQEConfig)
    output: Path | None = None

    @cached_property
    def written_space(self) -> dict[str, Any]:
        """The space as JSON holds it."""
        return {name: written(values) for name, values in self.space.items()}

    @property
    def by_fqe(self) -> bool:
        """Whether nothing is chosen by episodes."""
        return self.search.select == "fqe"

    def settings(self, version: str | None) -> dict[str, Any]:
        """Those of the tuner, as records keep them; ``version`` is that of Optuna, if it proposes."""
        settings: dict[str, Any] = {"seed": self.search.search_seed}
        if self.search.tuner == "tpe":
            settings |= {"batch": self.search.batch, "startup": STARTUP, "optuna": version}
        if self.by_fqe:
            settings["fqe"] = dataclasses.asdict(self.fqe)
        return settings

    def record(self, version: str | None, role: Literal["trial", "result"], trial: int, **spent: int) -> dict[str, Any]:
        """What a run's records say of the tuning, as JSON holds it."""
        made = TuningRecord(
            role=role,
            kind="ope" if self.by_fqe else "online",
            tuner=self.search.tuner,
            settings=self.settings(version),
            objective="fqe" if self.by_fqe else self.search.objective,
            space=self.written_space,
            space_digest=digest_of(self.written_space),
            datasets=[Path(name).name if Path(name).exists() else name for name in self.datasets],
            seeds=list(self.seeds),
            trials=self.search.trials,
            trial=trial,
            **spent,
        )
        return made.model_dump(mode="json")

    def jobs(self, method: Method, folder: Path, seeds: Sequence[int], tuning: Mapping[str, Any]) -> list[Job]:
        """The runs of a configuration, one a dataset."""
        options = {**self.options, "seeds": tuple(seeds)}
        what = "result" if tuning["role"] == "result" else f"trial {tuning['trial']}"
        return [
            Job(method, name, folder / folder_of(name), options, label=f"{name}, {what}", tuning=tuning)
            for name in self.datasets
        ]

    def to_json(self) -> dict[str, Any]:
        """All that a result depends on, as JSON holds it: what a folder is of."""
        searched = dataclasses.asdict(self.search)
        if self.search.tuner == "random":
            del searched["batch"]
        table = {
            "algorithm": self.algorithm,
            "datasets": list(self.datasets),
            "space": self.written_space,
            "search": searched | {"test_seeds": list(self.test_seeds)},
            "options": {**self.options, "seeds": list(self.seeds)},
        }
        if self.by_fqe:
            table["fqe"] = dataclasses.asdict(self.fqe)
        return table


def study(
    algorithm: str,
    datasets: Sequence[str],
    space: Mapping[str, Any],
    search: Search,
    options: Mapping[str, Any],
    fqe: FQEConfig | None = None,
    output: Path | None = None,
) -> Study:
    """A tuning of what a plan or a command line names.

    Args:
        algorithm: registered name or ``module:Class``.
        datasets: ids or paths.
        space: what the hyperparameters are given, see `offbench.sweep.space`.
        search: how the configuration is chosen.
        options: of every run; ``seeds`` and ``first_seed`` are those of the tuning.
        fqe: of the choice by FQE.
        output: folder.

    Raises:
        OffbenchError: an unknown name, a space that is empty or holds values that the algorithm does not take, or seeds
            of which one is in both sets.
    """
    found = registry.find(algorithm)
    if not space:
        raise OffbenchError(
            f"the space of {algorithm} is empty, so there is nothing to choose; name values or a range of at least one "
            "hyperparameter"
        )
    if search.select == "fqe":
        _check_fqe(algorithm, found)
    elif fqe is not None:
        raise OffbenchError("settings of FQE say how it chooses, and the choice is by episodes; it takes --select fqe")
    for dataset in datasets:
        find(dataset.partition("?")[0] if is_split(dataset) else dataset)
    given = Options(**{"seeds": SEEDS, **options})
    seeds, test = given.chosen_seeds, search.test_seeds
    chosen = Options(seeds=test, first_seed=max(seeds) + 1 if isinstance(test, int) else 0).chosen_seeds
    both = sorted(set(seeds) & set(chosen))
    if both:
        raise OffbenchError(
            f"seed {both[0]} is both a tuning seed and a test seed; a result is scored with seeds that nothing was "
            "chosen by"
        )
    values = {name: _checked(algorithm, name, values_of(algorithm, name, one)) for name, one in space.items()}
    kept = {name: value for name, value in options.items() if name not in ("seeds", "first_seed")}
    name = registry.name_of(algorithm)
    made_study = Study(name, tuple(datasets), values, search, kept, seeds, chosen, fqe or FQEConfig(), output)
    check_folders([Job(Method(name), each, Path(folder_of(each))) for each in datasets])
    return made_study


def _check_fqe(algorithm: str, found: Any) -> None:
    """Refuse what FQE cannot choose among before anything of it is trained, with an OffbenchError."""
    if not registry.is_algorithm(found):
        raise OffbenchError(f"the policies of {algorithm} are not kept, so FQE cannot choose among them")
    if found.acting is not Algorithm.acting:
        raise OffbenchError(
            f"policies of {algorithm} remember what happened, so there is no Q of a state, and FQE cannot choose among "
            "them"
        )


def _checked(algorithm: str, name: str, values: Values) -> Values:
    """The values of one hyperparameter, once the algorithm is known to take each of them, or both ends of a range."""
    for value in (values.low, values.high) if isinstance(values, Range) else values:
        made(algorithm, {name: value})
    return values


def read_study(path: Path) -> Study:
    """The tuning of a TOML file, as the top of this file shows one.

    Raises:
        OffbenchError: it cannot be read, is no TOML, or see `study`.
    """
    return of_file(path, _parsed)


def _parsed(table: Mapping[str, Any]) -> Study:
    own = ("algorithm", "datasets", "output", "space", "fqe")
    searched = tuple(each.name for each in dataclasses.fields(Search))
    for name in table:
        if name not in (*own, *searched, *OPTIONS):
            raise UnknownNameError("entry", name, (*own, *searched, *OPTIONS), "docs/tuning.md shows a plan")
    algorithm, datasets, output = table.get("algorithm"), table.get("datasets"), table.get("output")
    if not isinstance(algorithm, str):
        raise OffbenchError('it has no algorithm = "NAME"')
    if not (isinstance(datasets, list) and datasets and all(isinstance(each, str) for each in datasets)):
        raise OffbenchError(f"datasets is {datasets!r}; a list of ids or paths would be right")
    search = {name: table[name] for name in searched if name in table}
    if isinstance(search.get("test_seeds"), list):
        search["test_seeds"] = tuple(search["test_seeds"])
    return study(
        algorithm,
        datasets,
        _table(table, "space"),
        Search(**search),
        options_of(table),
        _fqe(_table(table, "fqe")) if "fqe" in table else None,
        None if output is None else Path(output),
    )


def _table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    given = table.get(name, {})
    if not isinstance(given, Mapping):
        raise OffbenchError(f"{name} is {given!r}; a table [{name}] would be right")
    return given


def _fqe(given: Mapping[str, Any]) -> FQEConfig:
    known = [each.name for each in dataclasses.fields(FQEConfig)]
    for name in given:
        if name not in known:
            raise UnknownNameError("setting of FQE", name, known)
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    return FQEConfig(**values)
