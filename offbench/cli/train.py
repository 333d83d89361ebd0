"""``offbench train``: train an algorithm on a dataset, several seeds at once, and score it."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

import tyro

from offbench.algorithms import registry
from offbench.basis.foreign import staying
from offbench.basis.plain import plain
from offbench.catalog.identify import published
from offbench.cli.flags import part
from offbench.cli.scores import show_scores
from offbench.errors import OffbenchError
from offbench.training.interruption import Interrupted
from offbench.training.options import NAMES, Options, check_names
from offbench.training.run import train

EXAMPLE = "Example: offbench train iql offbench/pointmaze/stitch-v0 --seeds 5 --steps 10000 --expectile 0.9"


def run(argv: list[str]) -> int:
    """Parse ``argv``, which begins with the algorithm and the dataset, and train."""
    if argv[:1] in (["-h"], ["--help"]):
        argv = [*argv[1:], argv[0]]
    given = [word for word in argv[:2] if not word.startswith("-")]
    if len(given) < 2 and not {"-h", "--help"} & set(argv):
        raise OffbenchError("train needs an algorithm and a dataset: offbench train ALGORITHM DATASET [options]")
    with staying():
        options, changes = _parse(given, argv[len(given) :])
    algorithm, dataset = given
    try:
        finished = train(algorithm, dataset, **dataclasses.asdict(options), **changes)
    except Interrupted as error:
        again = shlex.join(["offbench", "train", *(word for word in argv if word != "--resume"), "--resume"])
        raise Interrupted(f"{error}\n{again}") from None
    show_scores(finished.records)
    print(f"run: {plain(finished.folder)}")
    return 0


def _parse(given: list[str], flags: list[str]) -> tuple[Options, dict[str, Any]]:
    """Options, and hyperparameters by name, which depend on the algorithm and default to what the dataset wants."""
    fields: list[Any] = [part("run", Options())]
    known = []
    if given:
        found = registry.find(given[0])
        check_names(found)
        known = [field.name for field in registry.hyperparameters(found)]
        default = registry.configure(found, published(given[1]) if len(given) > 1 else "", {})
        fields.append(part("hyperparameter", default))
    description = (
        "Train an algorithm on a dataset, several seeds at once, and score it.\n\n"
        f"ALGORITHM is one of {', '.join(sorted(registry.names()))}, or module:Class for one of your own: a subclass "
        "of Algorithm, or any class with fit(data, task, seed, budget). DATASET is an id (see: offbench data list) or "
        "the path of a file. Hyperparameters, with the presets of the dataset: offbench train ALGORITHM DATASET "
        f"--help\n\n{EXAMPLE}"
    )
    prog = " ".join(["offbench train", *map(plain, given), *["ALGORITHM", "DATASET"][len(given) :]])
    parsed: Any = tyro.cli(dataclasses.make_dataclass("Train", fields), prog=prog, description=description, args=flags)
    options = Options(**{name: getattr(parsed.run, name) for name in NAMES})
    return options, {name: getattr(parsed.hyperparameter, name) for name in known}
