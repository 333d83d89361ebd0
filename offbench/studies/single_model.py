"""A single model with a smoothed critic against an ensemble, on few data.

All variants learn in a model of 2,000 transitions of the pendulum, without a penalty, and differ in nothing else: one
network; one with the critic's adversarial change in its loss, at two weights; one with the critic's hidden layers
bounded; and seven networks, of which the five best are drawn from. All models are fitted for as many epochs, but two
that stop once they got no better for five, as dynamics do by default: of seven networks one gets better more often.

Source: Zheng et al. 2023 (arXiv 2302.01244), who act in the world while they learn; see `offbench.nn.smoothness`.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from offbench.dynamics.fitting import chosen, fit
from offbench.studies.drawing import Say
from offbench.studies.swing_up import learner, returns_of, view_of

EPISODES = 10  # of 200 transitions
HIDDEN = (200, 200)
VARIANTS: dict[str, dict[str, Any]] = {
    "single": {"dynamics_members": 1},
    "stopped": {"dynamics_members": 1},
    "smoothed": {"dynamics_members": 1, "critic_smoothing": 0.1},
    "smoothed-stopped": {"dynamics_members": 1, "critic_smoothing": 0.1},
    "smoother": {"dynamics_members": 1, "critic_smoothing": 1.0},
    "bounded": {"dynamics_members": 1, "critic_norm": 3.0},
    "ensemble": {"dynamics_members": 7},
}


def run(variant: str, seeds: int, epochs: int, updates: int, evaluations: int, say: Say) -> dict[str, Any]:
    """Returns (evaluations, seeds), seconds of one core that fitting took, and bytes of model, gradient and moments."""
    options, view = VARIANTS[variant], view_of(EPISODES)
    algorithm = learner(view, range(seeds), updates, dynamics_hidden=HIDDEN, **options)
    started = time.process_time()
    config = chosen("offlinerl-kit", HIDDEN, epochs, options["dynamics_members"])
    if not variant.endswith("stopped"):
        config = replace(config, patience=epochs)
    made = fit(view, config, range(seeds))
    seconds = time.process_time() - started
    for name, value in made.parameters.items():
        algorithm.networks["dynamics"][name].copy_(value)
    say(f"{variant}: {int(made.epochs.max())} epochs of the model, {seconds:.0f} seconds")
    returns = returns_of(algorithm, view, updates, evaluations, lambda line: say(f"{variant}: {line}"))
    size = sum(value[0].numel() * value.element_size() for value in made.parameters.values())
    return {
        "variant": variant, "seeds": seeds, "updates": updates, "returns": returns, "fit_seconds": seconds / seeds,
        "epochs": made.epochs.tolist(), "hold_out": made.errors[:, 0].tolist(), "bytes": 4 * size,
    }  # fmt: skip
