"""Flags of the commands that make many runs: who makes them, where they lie, and values of hyperparameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from offbench.algorithms import registry
from offbench.algorithms.method import read_value
from offbench.basis.files import slug_of
from offbench.errors import OffbenchError
from offbench.sweep.local import process_count, run_here, run_processes
from offbench.sweep.plan import OPTIONS
from offbench.sweep.running import Engine
from offbench.training.options import Options, check_names


@dataclass(frozen=True)
class Making:
    """How the runs of a sweep are made; none of it changes a result by more than rounding."""

    engine: Literal["local", "ray"] = "local"
    """Who makes them: processes of this machine, or a Ray cluster."""
    processes: int | None = None
    """Processes of the local engine; a core each, or a GPU each, as far as there is memory, if not given."""
    address: str | None = None
    """Of the Ray cluster, auto for the one that this machine belongs to; one of this machine alone if not given."""
    cores: int = 1
    """Cores of each run on a Ray cluster."""
    gpus: float = 0
    """GPUs of each run on a Ray cluster; a share lets several runs have one."""


@dataclass(frozen=True)
class Place:
    """Where the runs lie and what is shown; with an algorithm these are options of the run."""

    output: Path | None = None
    """Folder for the runs, METHOD/DATASET within it; runs/sweep-NAME if not given."""
    device: str = "auto"
    """cpu, cuda, or auto for a GPU where there is one."""
    quiet: bool = False
    """Show no progress."""


def picked(kind: Any, parsed: Any) -> Any:
    """The part of the flags that is of a dataclass, which checks it."""
    return kind(**{field.name: getattr(parsed, field.name) for field in dataclasses.fields(kind)})


def space_flags(found: Any) -> Any:
    """A dataclass whose fields, the hyperparameters of an algorithm, are flags that take several values or a range."""
    check_names(found)
    words = Annotated[tuple[str, ...], tyro.conf.arg(metavar="VALUE [VALUE ...]")]
    helped = Annotated[words, tyro.conf.arg(help="One value, several, or a range to draw from: LOW..HIGH[:log].")]
    names = [each.name for each in registry.hyperparameters(found)]
    return dataclasses.make_dataclass("Hyperparameters", [(n, helped, dataclasses.field(default=())) for n in names])()


def space_given(flags: Any) -> dict[str, Any]:
    """The space that such flags were given, as `offbench.sweep.space` takes it."""
    given = {each.name: getattr(flags, each.name) for each in dataclasses.fields(flags)}
    return {name: _values(words) for name, words in given.items() if words}


def options_given(asked: Options, usual: Options, what: str) -> dict[str, Any]:
    """The options of every run that differ from the usual ones.

    Raises:
        OffbenchError: one that says how a single run is made.
    """
    for name, why in (
        ("resume", f"{what} always goes on"),
        ("workers", "--processes says how many runs are made at once"),
    ):
        if getattr(asked, name) != getattr(usual, name):
            raise OffbenchError(f"{name} is no option of {what}: {why}")
    return {name: value for name in OPTIONS if (value := getattr(asked, name)) != getattr(usual, name)}


def title_of(algorithm: str, datasets: Sequence[str]) -> str:
    """What a folder of runs on these is called."""
    first = Path(datasets[0]).name if Path(datasets[0]).exists() else datasets[0]
    return f"{slug_of(algorithm)}-{slug_of(first)}"


def _values(words: Sequence[str]) -> Any:
    """The values of a hyperparameter as `offbench.sweep.space` takes them."""
    if len(words) == 1 and ".." in words[0]:
        ends, _, scale = words[0].partition(":")
        low, _, high = ends.partition("..")
        return {"low": read_value(low), "high": read_value(high), "scale": scale or "linear"}
    return [read_value(word) for word in words]


def engine_for(runs: int, making: Making, place: Place) -> tuple[Engine, int]:
    """Who makes so many runs, and how many at once."""
    if making.engine == "ray":
        from offbench.sweep.cluster import run_on_cluster

        return (
            lambda left, listener: run_on_cluster(left, listener, making.address, making.cores, making.gpus),
            runs,
        )
    count = process_count(making.processes, runs, place.device)
    options = {"device": place.device, "quiet": True}
    if count == 1:
        return lambda left, listener: run_here(left, listener, **options), 1
    return lambda left, listener: run_processes(left, listener, min(count, len(left)), **options), count
