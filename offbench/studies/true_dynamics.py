"""What is left of a method when its model becomes perfect: branches in the learned model, in the simulator, between.

A method that is careful because its model is unsure has nothing to be careful about in the simulator, and bootstraps
from states that no branch acts in as if it knew them. Source: Sims et al. 2024 (arXiv 2402.12527), whose figure goes
from a random over the learned to the true model on walker2d-medium-expert with 4 seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from offbench.studies.comparison import Comparison, Method

TEXT = (
    "Base is soft actor-critic on branches without pessimism (MBPO), MOPO subtracts the model's uncertainty, RAVL "
    "takes the smallest of critics that are kept apart. `truth` is how much of next states and rewards is the "
    "simulator's: 0 is the learned model alone, 1 the simulator alone, where MOPO is the base. Base and MOPO have "
    "OfflineRL-Kit's networks and learning rates, RAVL has its authors', so that rows of one method differ in `truth` "
    "alone, and methods in more than their pessimism: the control is RAVL with two critics and no diversity."
)
Budget = Literal["small", "medium", "full"]
_SETTINGS: Mapping[Budget, Mapping[str, Any]] = {
    "small": {
        "hidden": (128, 128), "rollout_count": 2000, "dynamics_hidden": (64, 64), "dynamics_epochs": 3, "workers": 2,
    },
    "medium": {"rollout_count": 5_000, "dynamics_epochs": 10},
    "full": {},
}  # fmt: skip
_STEPS: Mapping[Budget, int] = {"small": 10_000, "medium": 50_000, "full": 1_000_000}


def comparison(budget: Budget) -> Comparison:
    """The methods and the truths; small for an hour of two cores, medium for minutes of a GPU beside 16 cores."""
    full = budget == "full"
    base: Mapping[str, Any] = {"penalty": "none", "actor_schedule": "constant"}
    careful: Mapping[str, Any] = {"critics": 5} if budget == "small" else {}
    # The perfect model first, so that a study that is broken off has shown what it is about.
    methods = [
        Method(f"{name}, {_called(share)}", algorithm, {**settings, "truth": share})
        for share in ((1.0, 0.75, 0.5, 0.25, 0.0, -0.5, -1.0) if full else (1.0, 0.0, 0.5))
        for name, algorithm, settings in (("base", "mopo", base), ("RAVL", "ravl", careful))
    ]
    # What RAVL's networks and learning rates come to without its pessimism.
    methods.insert(2, Method("two critics, truth 1", "ravl", {"critics": 2, "diversity": 0.0, "truth": 1.0}))
    methods.append(Method("MOPO, truth 0", "mopo", {"penalty_weight": 5.0, "truth": 0.0}))
    return Comparison(
        "True dynamics",
        TEXT,
        "offbench/hopper/medium-expert-v0",
        methods,
        seeds=range(4 if full else 3),
        steps=_STEPS[budget],
        episodes=10,
        settings=_SETTINGS[budget],
    )


def _called(share: float) -> str:
    """What a share of the truth is called; below 0 a model that was never fitted has one."""
    return f"truth {share:g}" if share >= 0 else f"{-share:g} of a model never fitted"
