"""``offbench train``: train an algorithm on a dataset, several seeds at once, and score it."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from offbench.algorithms import registry
from offbench.cli.scores import show_scores
from offbench.training.loop import Interrupted
from offbench.training.run import train

EXAMPLE = "Example: offbench train iql offbench/pointmaze/stitch-v0 --seeds 5 --steps 10000 --expectile 0.9"


@dataclasses.dataclass(frozen=True)
class Options:
    """What is the same for every algorithm."""

    task: str | None = None
    """Task to score in; the dataset's own if not given."""
    seeds: int = 5
    """Number of seeds, trained at once."""
    first_seed: int = 0
    """The first of them; a seed gives the same run alone as among others."""
    steps: int = 100_000
    """Gradient updates of each seed."""
    evaluate_every: int | None = None
    """Updates between evaluations; a tenth of the steps if not given."""
    episodes: int = 20
    """Episodes of each seed in one evaluation."""
    checkpoint_every: int | None = None
    """Updates between checkpoints; a twentieth of the steps if not given."""
    output: Path | None = None
    """Folder of the run; runs/ALGORITHM-DATASET-DIGEST if not given."""
    resume: bool = False
    """Go on with an interrupted run."""
    device: str = "auto"
    """cpu, cuda, or auto for a GPU where there is one."""
    dtype: Literal["float32", "float64"] = "float32"
    """Precision of parameters and data."""
    compile: Literal["auto", "always", "never"] = "auto"
    """Compile the update: where it pays, always, or never."""
    group: int | None = None
    """Seeds updated together; chosen for the machine if not given."""


def run(argv: list[str]) -> int:
    """Parse ``argv`` and train."""
    arguments = _parse(argv)
    options = {name: value for name, value in vars(arguments.options).items() if name != "first_seed"}
    first = arguments.options.first_seed
    options["seeds"] = list(range(first, first + arguments.options.seeds))
    hyperparameters = {f.name: getattr(arguments.config, f.name) for f in dataclasses.fields(arguments.config)}
    try:
        finished = train(arguments.algorithm, arguments.dataset, **options, **hyperparameters)
    except Interrupted as error:
        again = shlex.join(["offbench", "train", *(word for word in argv if word != "--resume"), "--resume"])
        raise Interrupted(f"{error}\n{again}") from None
    show_scores(finished.records)
    print(f"run: {finished.folder}")
    return 0


def _parse(argv: list[str]) -> Any:
    """The arguments; the two positional ones decide which hyperparameters there are and what they default to."""
    names = ", ".join(sorted(registry.names()))
    if len(argv) < 2 or argv[0].startswith("-") or argv[1].startswith("-"):
        found = registry.algorithm(argv[0]) if argv and not argv[0].startswith("-") else None
        default = found.Config() if found else None
    else:
        found = registry.algorithm(argv[0])
        default = registry.configure(found, argv[1], {})
    fields: list[Any] = [
        ("algorithm", Annotated[tyro.conf.Positional[str], tyro.conf.arg(help=f"One of {names}, or module:Class.")]),
        ("dataset", Annotated[tyro.conf.Positional[str], tyro.conf.arg(help="Dataset id, or path of a file.")]),
        ("options", tyro.conf.OmitArgPrefixes[Options], dataclasses.field(default=Options())),
    ]
    if found is not None:
        annotation = tyro.conf.OmitArgPrefixes[found.Config]  # type: ignore[name-defined]
        fields.append(("config", annotation, dataclasses.field(default=default)))
    description = (
        "Train an algorithm on a dataset, several seeds at once, and score it.\n\n"
        f"{EXAMPLE}\n\nHyperparameters of one algorithm: offbench train ALGORITHM --help"
    )
    made = dataclasses.make_dataclass("Arguments", fields)
    return tyro.cli(made, prog="offbench train", description=description, args=argv)
