"""``offbench train``: train an algorithm on one dataset or several, several seeds at once, and score it."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import tyro

from offbench.algorithms import registry
from offbench.basis.files import slug_of
from offbench.basis.foreign import staying
from offbench.basis.plain import plain
from offbench.basis.streams import tell
from offbench.catalog.identify import published
from offbench.cli.flags import part
from offbench.cli.scores import show_scores
from offbench.errors import OffbenchError
from offbench.training.finished import Run
from offbench.training.interruption import Interrupted
from offbench.training.options import NAMES, Options, check_names
from offbench.training.run import train

EXAMPLE = "Example: offbench train iql offbench/pointmaze/stitch-v0 --seeds 5 --steps 10000 --expectile 0.9"


def run(argv: list[str]) -> int:
    """Parse ``argv``, which begins with the algorithm and the datasets, and train on one after the other.

    Returns:
        0; 1 where one of several datasets failed, which keeps the others from nothing.
    """
    if argv[:1] in (["-h"], ["--help"]):
        argv = [*argv[1:], argv[0]]
    given = list(takewhile(lambda word: not word.startswith("-"), argv))
    if len(given) < 2 and not {"-h", "--help"} & set(argv):
        raise OffbenchError("train needs an algorithm and a dataset: offbench train ALGORITHM DATASET [options]")
    flags = argv[len(given) :]
    with staying():
        if len(given) < 2:
            _parse(given, flags)  # which shows the help, and ends there
        algorithm, *datasets = given
        jobs = [(dataset, *_parse([algorithm, dataset], flags)) for dataset in datasets]
    try:
        if len(jobs) > 1:
            return _train_all(algorithm, [(name, _in(options, name), changes) for name, options, changes in jobs])
        finished = _trained(algorithm, *jobs[0])
    except Interrupted as error:
        again = shlex.join(["offbench", "train", *(word for word in argv if word != "--resume"), "--resume"])
        raise Interrupted(f"{error}\n{again}") from None
    show_scores(finished.records)
    print(f"run: {plain(finished.folder)}")
    return 0


Job = tuple[str, Options, dict[str, Any]]  # dataset, options, hyperparameters


def _trained(algorithm: str, dataset: str, options: Options, changes: dict[str, Any]) -> Run:
    return train(algorithm, dataset, **dataclasses.asdict(options), **changes)


def _train_all(algorithm: str, jobs: Sequence[Job]) -> int:
    """Train on each dataset, those after one that failed as well, and print one table of all; 1 where any failed."""
    _check_folders(jobs)
    finished, failed = [], []
    for dataset, options, changes in jobs:
        try:
            done = _trained(algorithm, dataset, options, changes)
        except Interrupted:
            raise
        except OffbenchError as error:
            tell(f"error: {plain(dataset)}: {plain(error)}")
            failed.append(dataset)
            continue
        finished.append(done)
        print(f"run: {plain(done.folder)}", flush=True)
    if finished:
        show_scores([record for done in finished for record in done.records])
    if failed:
        tell(f"{len(failed)} of {len(jobs)} datasets failed: {', '.join(map(plain, failed))}")
    return int(bool(failed))


def _in(options: Options, dataset: str) -> Options:
    """The options of one of several datasets, whose run has a folder within the one that was asked for."""
    if options.output is None:
        return options
    name = Path(dataset).name if Path(dataset).exists() else slug_of(dataset)
    return dataclasses.replace(options, output=options.output / name)


def _refuse_lists(found: Any, given: Sequence[str], flags: Sequence[str]) -> None:
    """Name the command that trains with each of several values of a hyperparameter, with an OffbenchError."""
    for place, flag in enumerate(flags):
        name = flag.removeprefix("--").replace("-", "_")
        values = list(takewhile(lambda word: not word.startswith("--"), flags[place + 1 :]))
        known = [field.name for field in registry.hyperparameters(found)]
        if flag.startswith("--") and name in known and len(values) > 1 and not registry.is_list(found, name):
            again = shlex.join(["offbench", "sweep", *given, flag, *values])
            raise OffbenchError(f"a run has one {name}, not {len(values)}; this makes a run with each: {again}")


def _check_folders(jobs: Sequence[Job]) -> None:
    """Refuse datasets that are named twice, or whose folders would be one."""
    seen: dict[str, str] = {}
    for dataset, options, _ in jobs:
        folder = str(options.output or dataset)
        if folder in seen:
            same = seen[folder] == dataset
            what = f"{dataset} is named twice" if same else f"{seen[folder]} and {dataset} have one folder"
            raise OffbenchError(f"{what}; train on each by a command of its own, or name each once")
        seen[folder] = dataset


def _parse(given: list[str], flags: list[str]) -> tuple[Options, dict[str, Any]]:
    """Options, and hyperparameters by name, which depend on the algorithm and default to what the dataset wants."""
    fields: list[Any] = [part("run", Options())]
    known = []
    if given:
        found = registry.find(given[0])
        check_names(found)
        known = [field.name for field in registry.hyperparameters(found)]
        _refuse_lists(found, given, flags)
        default = registry.configure(found, published(given[1]) if len(given) > 1 else "", {})
        fields.append(part("hyperparameter", default))
    description = (
        "Train an algorithm on a dataset, several seeds at once, and score it.\n\n"
        f"ALGORITHM is one of {', '.join(sorted(registry.names()))}, or module:Class for one of your own: a subclass "
        "of Algorithm, or any class with fit(data, task, seed, budget). DATASET is an id (see: offbench data list) or "
        "the path of a file; of several, each has a run of its own, in a folder within --output where that is given. "
        f"Hyperparameters, with the presets of the dataset: offbench train ALGORITHM DATASET --help\n\n{EXAMPLE}"
    )
    prog = " ".join(["offbench train", *map(plain, given), *["ALGORITHM", "DATASET [DATASET ...]"][len(given) :]])
    parsed: Any = tyro.cli(dataclasses.make_dataclass("Train", fields), prog=prog, description=description, args=flags)
    options = Options(**{name: getattr(parsed.run, name) for name in NAMES})
    return options, {name: getattr(parsed.hyperparameter, name) for name in known}
