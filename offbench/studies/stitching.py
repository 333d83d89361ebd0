"""Who stitches: methods on a maze whose short way no episode of the data takes as a whole.

Source: Zhou et al. 2024, "Free from Bellman Completeness" (MBRCSL, ICLR), whose point maze
``offbench/pointmaze/stitch-v0`` is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from offbench.studies.comparison import Comparison, Method

TEXT = (
    "Half of the episodes go down to a crossing and stay, half reach the goal by a detour: whoever joins a half of one "
    "with a half of the other earns more than any episode of the data. Imitation cannot do that but by luck; "
    "bootstrapped values can, and so can a model in which the short way is walked first and imitated then."
)
# Taken over from offbench/pointmaze/crossing-v0, not tuned here (docs/algorithms.md).
_IMITATION: Mapping[str, Any] = {"hidden": (128, 128), "learning_rate": 1e-3}
_VALUES: Mapping[str, Any] = {**_IMITATION, "discount": 0.98, "batch_size": 256, "normalise_states": True}
_TRANSFORMER: Mapping[str, Any] = {
    "steps": 3000, "evaluate_every": 300, "context": 10, "embedding": 64, "layers": 2, "warmup": 300,
    "learning_rate": 1e-3,
}  # fmt: skip
# Small enough for minutes of a core; what MBRCSL's code has is thirty times as much work (docs/algorithms.md).
_EPISODES: Mapping[str, Any] = {
    "dynamics_hidden": (128, 128), "dynamics_epochs": 15, "behaviour_width": 128, "behaviour_blocks": 2,
    "behaviour_updates": 6000, "behaviour_learning_rate": 3e-4, "rollout_batches": 20, "hidden": (256, 256),
    "learning_rate": 1e-3, "weight_decay": 1e-4, "return_scale": 100.0,
}  # fmt: skip
_BRANCHES: Mapping[str, Any] = {"rollout_count": 2000, "discount": 0.98, "hidden": (128, 128)}


def comparison(budget: Literal["small", "full"]) -> Comparison:
    """The methods, and how much is done: small for a core and twenty minutes, full for ten seeds."""
    small = budget == "small"
    fitting: Mapping[str, Any] = {"dynamics_hidden": (64, 64), "dynamics_epochs": 5} if small else {}
    slow = "five critics whose gradients are differentiated again" if small else ""
    methods = (
        Method("BC", "bc", _IMITATION),
        Method("10% BC", "bc", {**_IMITATION, "top_fraction": 0.1}),
        Method("DT", "dt", _TRANSFORMER, "a transformer takes longer than all others together" if small else ""),
        Method("RvS", "rvs", {"hidden": (256, 256)}),
        Method("IQL", "iql", {**_VALUES, "expectile": 0.9, "beta": 10.0}),
        Method("EDAC", "edac", {**_VALUES, "critics": 5}, slow),
        Method("MOPO", "mopo", {**_BRANCHES, **fitting}, "its branches take longer than all others" if small else ""),
        Method("RAVL", "ravl", {**_BRANCHES, **fitting, "critics": 5, "learning_rate": 1e-3}, slow),
        Method("MBRCSL", "mbrcsl", _EPISODES if small else {}),
    )
    return Comparison(
        "Who stitches",
        TEXT,
        "offbench/pointmaze/stitch-v0",
        methods,
        seeds=range(3 if small else 10),
        steps=3000 if small else 10_000,
        episodes=20 if small else 100,
    )
