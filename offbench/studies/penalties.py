"""Which way of being unsure of a model serves best: MOPO's penalties side by side at equal tuning budget.

Source: Lu et al. 2022, "Revisiting Design Choices in Offline Model-Based Reinforcement Learning" (arXiv 2110.04135),
whose point is that penalties must be compared each at its own weight and length of branches.
"""

from __future__ import annotations

from typing import Literal

from offbench.dynamics.penalties import PENALTIES
from offbench.studies.comparison import Comparison, Method
from offbench.studies.swing_up import SETTINGS

TEXT = (
    "MOPO with each of its penalties, each with the same number of weights and lengths of branches to choose from, and "
    "once without. A penalty is as good as the best of its rows, as long as all have as many; that best row is chosen "
    "by the score shown, so that it flatters each of them alike."
)
# Penalties are of different sizes. With these factors each has, over the data's own transitions, the mean that MOPO's
# has: 0.37, 0.048, 0.38, 0.011 and 5.0 in the ensemble that the small budget fits to the pendulum, seed 0.
UNIT = {
    "max_aleatoric": 1.0,
    "ensemble_std": 7.7,
    "ensemble_variance": 0.98,
    "pairwise_difference": 35.0,
    "loo_kl": 0.075,
}


def comparison(budget: Literal["small", "full"]) -> Comparison:
    """The penalties, and how much is done: small for a quarter of an hour of one core, full for a GPU."""
    small = budget == "small"
    weights = (0.5, 2.5) if small else (0.2, 0.5, 1.0, 2.5, 5.0)
    lengths = (SETTINGS["rollout_length"],) if small else (1, 5, 10)
    methods = [Method("no penalty", "mopo", {"penalty": "none", "rollout_length": lengths[-1]})]
    methods += [
        Method(
            f"{penalty}, weight {weight * UNIT[penalty]:g}, {length} steps",
            "mopo",
            {"penalty": penalty, "penalty_weight": weight * UNIT[penalty], "rollout_length": length},
        )
        for penalty in PENALTIES
        if penalty != "none"
        for weight in weights
        for length in lengths
    ]
    # A model of the size that UNIT was measured in.
    settings = {**SETTINGS, "dynamics_hidden": (64, 64), "dynamics_epochs": 8}
    return Comparison(
        "Penalties of a model that is unsure",
        TEXT,
        "offbench/pendulum/swingup-v0" if small else "offbench/hopper/medium-v0",
        methods,
        seeds=range(3),
        steps=3000 if small else 1_000_000,
        episodes=10,
        settings=settings if small else {},
    )
