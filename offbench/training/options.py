"""The options of a run: the keywords of `offbench.train` and the flags of its command, written once."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offbench.algorithms import registry
from offbench.algorithms.limits import LARGEST_SEED
from offbench.basis.compiler import Compile
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.training.checks import check_count
from offbench.training.logs import listed
from offbench.training.plan import Precision
from offbench.training.views import DataOn


@dataclass(frozen=True)
class Options:
    """What is the same for every algorithm."""

    task: str | None = None
    """Task to score in, by its name or as a TOML file of your own; the dataset's own if not given."""
    seeds: int | tuple[int, ...] = 5
    """How many seeds, trained at once; or, where several numbers are given, which."""
    first_seed: int = 0
    """The first of them, where seeds says how many; a seed gives the same run alone as among others."""
    steps: int = 100_000
    """Gradient updates of each seed."""
    evaluate_every: int | None = None
    """Updates between evaluations; a tenth of the steps if not given. The last update is always evaluated."""
    episodes: int = 20
    """Episodes of each seed in one evaluation."""
    checkpoint_every: int | None = None
    """Updates between checkpoints; a twentieth of the steps if not given."""
    output: Path | None = None
    """Folder of the run; runs/ALGORITHM-DATASET-DIGEST if not given."""
    resume: bool = False
    """Go on with an interrupted run; a finished one is returned as it is."""
    device: str = "auto"
    """cpu, cuda, or auto for a GPU where there is one."""
    data_on: DataOn = "auto"
    """Where data are kept: on the device; on the host, from where batches are gathered ahead; or auto, as they fit."""
    dtype: Precision = "float32"
    """Precision; mixed is float32 with hidden layers' products in bfloat16, tf32 with all products in TF32 (GPU)."""
    compile: Compile = "auto"
    """Compile the update: where it pays, always, or never."""
    group: int | None = None
    """Seeds updated together; chosen for the machine if not given. It changes rounding and no more."""
    workers: int | None = None
    """Processes that share the seeds on a CPU, with one thread each; a core each, where that pays, if not given."""
    log: tuple[str, ...] = ()
    """Where metrics go beside metrics.csv: tensorboard, wandb; in Python also any log(step, seed, values)."""
    quiet: bool = False
    """Show no progress."""

    def __post_init__(self) -> None:
        """Raises OffbenchError at a number that cannot be meant."""
        for name in ("steps", "episodes", "evaluate_every", "checkpoint_every", "group", "workers"):
            check_count(name, getattr(self, name))
        if isinstance(self.seeds, int) and self.seeds > 0:  # the others are refused below
            check_count("seeds", self.seeds)
        chosen = self.chosen_seeds
        if not chosen or len(set(chosen)) < len(chosen) or min(chosen) < 0:
            raise OffbenchError(f"seeds must be different non-negative numbers and at least one, not {chosen}")
        if max(chosen) > LARGEST_SEED:
            raise OffbenchError(f"seeds must be below 2**63, not {max(chosen)}")

    @property
    def chosen_seeds(self) -> list[int]:
        """The seeds, one by one."""
        if isinstance(self.seeds, int):
            return list(range(self.first_seed, self.first_seed + self.seeds))
        return [int(seed) for seed in self.seeds]


NAMES = tuple(field.name for field in dataclasses.fields(Options))
BESIDE = "tuning"  # a keyword of `offbench.train` that is no flag


def parted(settings: Mapping[str, Any]) -> tuple[Options, dict[str, Any]]:
    """The options among the keywords of `train`, and the others, which are hyperparameters.

    Raises:
        OffbenchError: a number that cannot be meant.
    """
    given = {name: value for name, value in settings.items() if name in NAMES}
    if isinstance(given.get("seeds"), Sequence):
        given["seeds"] = tuple(given["seeds"])
    if given.get("output") is not None:
        given["output"] = Path(given["output"])
    given["log"] = tuple(one for one in listed(given.get("log", ())) if isinstance(one, str))
    if isinstance(given.get("task"), Task):
        given["task"] = given["task"].name
    return Options(**given), {name: value for name, value in settings.items() if name not in (*NAMES, BESIDE)}


def signed(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a function of ``**settings`` with the options by name, for whoever asks what it takes."""
    plain = inspect.signature(function)
    *first, rest = plain.parameters.values()
    keywords = [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in dataclasses.fields(Options)
    ]
    return plain.replace(parameters=[*first, *keywords, rest.replace(name="hyperparameters")])


def check_names(found: Any) -> None:
    """Refuse hyperparameters that are called as an option, with an OffbenchError."""
    taken = {"algorithm", "dataset", *NAMES, BESIDE}
    for field in registry.hyperparameters(found):
        if field.name in taken:
            raise OffbenchError(
                f"the field {field.name} of {registry.title(found)} is called as an option of train; give it another "
                "name (steps and device are in the budget that fit is given)"
            )
