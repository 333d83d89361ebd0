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
    from offbench.catalog.loading import load
    from offbench.conformance.report import check
    from offbench.data.trajectories import Trajectories
    from offbench.environments.task import Reference, Task
    from offbench.evaluation.frame import records
    from offbench.formats.saving import save
    from offbench.training.elsewhere import evaluate
    from offbench.training.finished import Run
    from offbench.training.learner import Budget
    from offbench.training.run import train

__all__ = [
    "Budget",
    "Reference",
    "Run",
    "Task",
    "Trajectories",
    "__version__",
    "check",
    "evaluate",
    "load",
    "records",
    "save",
    "train",
]

# Resolved at first use, so that importing offbench loads neither torch nor a simulator.
_HOMES = {
    "Budget": "offbench.training.learner",
    "check": "offbench.conformance.report",
    "load": "offbench.catalog.loading",
    "save": "offbench.formats.saving",
    "Trajectories": "offbench.data.trajectories",
    "Reference": "offbench.environments.task",
    "Task": "offbench.environments.task",
    "records": "offbench.evaluation.frame",
    "Run": "offbench.training.finished",
    "evaluate": "offbench.training.elsewhere",
    "train": "offbench.training.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'offbench' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
