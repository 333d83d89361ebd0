"""Whether a method goes by what a dataset is called: the same data under another name must give the same numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from offbench.algorithms import registry
from offbench.algorithms.method import Method, with_preset
from offbench.data.trajectories import Trajectories
from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.training.run import train

OTHER = "hidden/0a1b2c3d"  # as the hidden datasets are called


def renamed(data: Trajectories, name: str = OTHER) -> Trajectories:
    """The same data called otherwise; nothing is left that says what they were called."""
    return replace(data, provenance=replace(data.provenance, dataset=name, like="", notes=()))


def check_renaming(method: Method, data: Trajectories, *, steps: int, seeds: int, episodes: int, folder: Path) -> None:
    """Train on data under their own and under another name, with equal seeds, and compare every number.

    Args:
        method: what is trained.
        data: what it learns from.
        steps: gradient updates of each seed.
        seeds: how many.
        episodes: of an evaluation.
        folder: a new folder for the two runs.

    Raises:
        OffbenchError: they differ, or one of them fails.
    """
    explicit = with_preset(method, data.provenance.like or data.provenance.dataset)
    # Compiling takes long and rounds otherwise; the fit of a learner knows nothing of it.
    options: dict[str, Any] = {"compile": "never"} if registry.is_algorithm(registry.find(method.algorithm)) else {}
    options |= {"seeds": seeds, "steps": steps, "episodes": episodes, "quiet": True}
    runs = [
        train(method.algorithm, each, output=folder / name, **options, **explicit.changes)
        for name, each in (("own", data), ("other", renamed(data)))
    ]
    for one, other in zip(runs[0].records, runs[1].records, strict=True):
        differing = _difference(one, other)
        if differing:
            raise OffbenchError(
                f"{method.name} gives other {differing} where {one.dataset} is called {OTHER}: seed {one.seed}; what a "
                "dataset is called may change nothing"
            )


def _difference(one: RunRecord, other: RunRecord) -> str | None:
    """What differs between two runs that should be one, in words."""
    if one.config != other.config:
        return "hyperparameters"
    if one.transforms != other.transforms:
        return "transforms of the data"
    if one.losses != other.losses:
        return "losses"
    return "returns" if one.evaluations != other.evaluations else None
