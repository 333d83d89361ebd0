"""Plans of sweeps: methods, datasets and options in a TOML file, and the runs that they come to.

datasets = ["offbench/pointmaze/stitch-v0", "offbench/pendulum/swingup-v0"]   # or: suite = "starter"
seeds = 5
steps = 20000
draws = 20                                              # of each method; without it, all of the grid

[[methods]]
algorithm = "iql"
expectile = [0.5, 0.7, 0.9]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from offbench.algorithms.method import Method
from offbench.basis.files import slug_of
from offbench.basis.toml import read_toml
from offbench.catalog.loading import find, is_split
from offbench.errors import OffbenchError, UnknownNameError
from offbench.sweep.job import Job
from offbench.sweep.space import expanded
from offbench.training.checks import check_count
from offbench.training.options import Options

# Options of a run that a plan may state: those that say what it is, not where and how it is made.
OPTIONS = tuple(
    name.name
    for name in dataclasses.fields(Options)
    if name.name not in ("output", "resume", "device", "workers", "quiet")
)


@dataclass(frozen=True)
class Plan:
    """What a sweep is made of.

    Attributes:
        methods: what is trained, each on every dataset.
        datasets: ids or paths; none where a suite is named.
        suite: whose datasets and budget it is.
        options: of every run, see `OPTIONS`.
        output: folder for the runs; ``runs/sweep-NAME`` if None.
    """

    methods: Sequence[Method]
    datasets: Sequence[str] = ()
    suite: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    output: Path | None = None


def read_plan(path: Path) -> Plan:
    """The plan of a TOML file, in which paths are as seen from where the command is given.

    Raises:
        OffbenchError: it cannot be read, is no TOML or no plan, or a method does not take what it is given.
    """
    return of_file(path, parsed)


Read = TypeVar("Read")


def of_file(path: Path, parse: Callable[[Mapping[str, Any]], Read]) -> Read:
    """What ``parse`` makes of a TOML file.

    Raises:
        OffbenchError: it cannot be read, is no TOML, or what ``parse`` raises, the file named.
    """
    table = read_toml(path, "the plan")
    try:
        return parse(table)
    except OffbenchError as error:
        error.args = (f"the plan {path}: {error}", *error.args[1:])
        raise


def parsed(table: Mapping[str, Any]) -> Plan:
    """The plan of a table, as `read_plan` finds it in a file.

    Raises:
        OffbenchError: see `read_plan`.
    """
    own = ("methods", "datasets", "suite", "output", "draws", "seed")
    for name in table:
        if name not in (*own, *OPTIONS):
            raise UnknownNameError("entry", name, (*own, *OPTIONS), "docs/sweeps.md shows a plan")
    methods, draws = table.get("methods"), table.get("draws")
    if not (isinstance(methods, list) and methods and all(isinstance(each, Mapping) for each in methods)):
        raise OffbenchError('it has no methods; a table [[methods]] with algorithm = "iql" would be right')
    datasets = table.get("datasets", [])
    if not (isinstance(datasets, list) and all(isinstance(name, str) for name in datasets)):
        raise OffbenchError(f"datasets is {datasets!r}; a list of ids or paths would be right")
    if bool(datasets) == (table.get("suite") is not None):
        raise OffbenchError("it must name either datasets or a suite")
    check_count("draws", draws)
    output = table.get("output")
    return Plan(
        [each for given in methods for each in _methods(given, draws, table.get("seed", 0))],
        datasets,
        table.get("suite"),
        options_of(table),
        None if output is None else Path(output),
    )


def _methods(given: Mapping[str, Any], draws: int | None, seed: int) -> list[Method]:
    algorithm = given.get("algorithm")
    if not isinstance(algorithm, str):
        raise OffbenchError('a table [[methods]] has no algorithm = "NAME"')
    space = {name: value for name, value in given.items() if name != "algorithm"}
    return expanded(algorithm, space, draws if space else None, seed)


def options_of(table: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run among the entries of a plan."""
    given = {name: table[name] for name in OPTIONS if name in table}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def jobs(plan: Plan, output: Path) -> list[Job]:
    """All runs of a plan that names datasets, each in its own folder ``output/METHOD/DATASET``.

    Raises:
        OffbenchError: an unknown dataset, an option that cannot be meant, or two runs that would have one folder.
    """
    for dataset in plan.datasets:
        find(dataset.partition("?")[0] if is_split(dataset) else dataset)
    Options(**plan.options)  # refuses numbers that cannot be meant
    made = [
        Job(method, dataset, output / method.slug / folder_of(dataset), plan.options)
        for method in plan.methods
        for dataset in plan.datasets
    ]
    check_folders(made)
    return made


def folder_of(dataset: str) -> str:
    """What the folder of a run on a dataset is called."""
    return Path(dataset).name if Path(dataset).exists() else slug_of(dataset)


def check_folders(made: Sequence[Job]) -> None:
    """Refuse runs that would have one folder, with an OffbenchError."""
    seen: dict[Path, Job] = {}
    for job in made:
        other = seen.setdefault(job.folder, job)
        if other is not job:
            same = other.title == job.title
            what = f"{job.title} is named twice" if same else f"{other.title} and {job.title} have one folder"
            raise OffbenchError(f"{what}; name each once, or make a sweep of each")
