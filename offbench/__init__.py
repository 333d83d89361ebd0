"""offbench: datasets and a benchmark suite for offline reinforcement learning.

import offbench

data = offbench.load("offbench/pointmaze/stitch-v0")
run = offbench.train("iql", "offbench/pointmaze/stitch-v0", seeds=5, steps=10_000)
print(run.scores)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from offbench.catalog.cards import Card, card
    from offbench.catalog.listing import datasets, tasks
    from offbench.catalog.loading import load
    from offbench.catalog.recovering import recover_environment
    from offbench.conformance.report import check
    from offbench.data.concatenation import concatenate
    from offbench.data.preferences import Preferences
    from offbench.data.sequences import Sequences
    from offbench.data.supervision import SemiSupervised
    from offbench.data.trajectories import Trajectories
    from offbench.data.transitions import Transitions
    from offbench.environments.task import Reference, Task, task
    from offbench.errors import OffbenchError
    from offbench.evaluation.frame import records
    from offbench.formats.arrays import from_arrays
    from offbench.formats.saving import save
    from offbench.training.elsewhere import evaluate
    from offbench.training.finished import Run
    from offbench.training.labelling import label
    from offbench.training.learner import Budget
    from offbench.training.run import train

__all__ = [
    "Budget",
    "Card",
    "OffbenchError",
    "Preferences",
    "Reference",
    "Run",
    "SemiSupervised",
    "Sequences",
    "Task",
    "Trajectories",
    "Transitions",
    "__version__",
    "card",
    "check",
    "concatenate",
    "datasets",
    "evaluate",
    "from_arrays",
    "label",
    "load",
    "records",
    "recover_environment",
    "save",
    "task",
    "tasks",
    "train",
]

# Resolved at first use, so that importing offbench loads neither torch nor a simulator.
_HOMES = {
    "Budget": "offbench.training.learner",
    "Card": "offbench.catalog.cards",
    "OffbenchError": "offbench.errors",
    "Preferences": "offbench.data.preferences",
    "Reference": "offbench.environments.task",
    "Run": "offbench.training.finished",
    "SemiSupervised": "offbench.data.supervision",
    "Sequences": "offbench.data.sequences",
    "Task": "offbench.environments.task",
    "Trajectories": "offbench.data.trajectories",
    "Transitions": "offbench.data.transitions",
    "card": "offbench.catalog.cards",
    "check": "offbench.conformance.report",
    "concatenate": "offbench.data.concatenation",
    "datasets": "offbench.catalog.listing",
    "evaluate": "offbench.training.elsewhere",
    "from_arrays": "offbench.formats.arrays",
    "label": "offbench.training.labelling",
    "load": "offbench.catalog.loading",
    "records": "offbench.evaluation.frame",
    "recover_environment": "offbench.catalog.recovering",
    "save": "offbench.formats.saving",
    "task": "offbench.environments.task",
    "tasks": "offbench.catalog.listing",
    "train": "offbench.training.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(_unknown(name))
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """What is public here, resolved yet or not: what completion shows."""
    return sorted(__all__)


def _unknown(name: str) -> str:
    """What an unknown name is answered, with the names that are spelt like it."""
    from difflib import get_close_matches

    near = get_close_matches(name, __all__, n=3)
    nearest = f"; nearest: {', '.join(near)}" if near and not name.startswith("_") else ""
    return f"module 'offbench' has no attribute {name!r}{nearest}"
