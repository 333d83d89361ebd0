"""What a small model learns of a state that holds more than matters: value-gradient weighting among distractors.

Two dimensions matter, a damped oscillator (x, v) that is pushed; ten others are larger and decay, d' = 0.9 d + noise
of deviation 2, most of which no model can predict. The value is V = -(x^2 + 0.1 v^2). One hidden
layer of few units is fitted to the mean square error, to the value-weighted error of each dimension (VaGraM), or to the
first-order error of the value (the square of the inner product).

Source of the idea and the losses: Voelcker et al. 2022 (arXiv 2204.01464). This world is ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from offbench.basis.shapes import Array
from offbench.data.trajectories import Provenance, Trajectories
from offbench.data.transitions import Transitions
from offbench.dynamics.fitting import DynamicsConfig, Fitted, fit
from offbench.dynamics.value_aware import Loss, value_error, value_gradients
from offbench.studies.drawing import Say

DISTRACTORS, DECAY, NOISE = 10, 0.9, 2.0
TRANSITIONS, TESTED = 4000, 4000
HIDDEN = (4, 16, 128)
LOSSES: dict[str, Loss] = {"MSE": "likelihood", "VaGraM": "value_gradient", "inner product": "value_aware"}


def value(states: Float[Tensor, "rows observation"]) -> Float[Tensor, "1 rows"]:
    """V = -(x^2 + 0.1 v^2)."""
    return -(states[:, 0] ** 2 + 0.1 * states[:, 1] ** 2).unsqueeze(0)


def following(
    states: Float[Array, "rows observation"], actions: Float[Array, "rows 1"], rng: np.random.Generator
) -> Float[Array, "rows observation"]:
    """The next states."""
    x, v, d = states[:, 0], states[:, 1], states[:, 2:]
    push = 0.3 * actions[:, 0] - 0.4 * np.sin(2 * x)
    moved = DECAY * d + NOISE * rng.normal(size=d.shape)
    return np.concatenate([(x + 0.3 * v)[:, None], (0.9 * v + push)[:, None], moved], 1)


def data(transitions: int, seed: int) -> Trajectories:
    """Single steps from states and actions drawn at random, each an episode that is cut off; rewards are 0."""
    rng = np.random.default_rng(seed)
    own = NOISE / np.sqrt(1 - DECAY**2) * rng.normal(size=(transitions, DISTRACTORS))  # as wide as they stay
    states = np.concatenate([rng.normal(size=(transitions, 2)), own], 1)
    actions = rng.uniform(-1, 1, (transitions, 1))
    pairs = np.stack([states, following(states, actions, rng)], 1).reshape(-1, states.shape[1])
    every = np.ones(transitions, dtype=bool)
    return Trajectories(
        pairs.astype(np.float32),
        np.arange(transitions + 1),
        ~every,
        every,
        actions.astype(np.float32),
        np.zeros(transitions, np.float32),
        action_range=(-np.ones(1, np.float32), np.ones(1, np.float32)),
        provenance=Provenance(dataset="offbench/distractors"),
    )


def run(epochs: int, seeds: int, say: Say) -> dict[str, Any]:
    """A row for each width and loss, with lists over seeds, which differ in initialisation, hold-out and order.

    ``value_error`` is the mean of |V(s^') - V(s')|, ``mse`` the mean square error over dimensions of the next state.
    """
    rows, (view, test) = [], (Transitions(data(size, seed)) for seed, size in enumerate((TRANSITIONS, TESTED)))
    gradients = value_gradients(value, view)
    for hidden in HIDDEN:
        for name, loss in LOSSES.items():
            config = DynamicsConfig(
                members=1, elites=1, hidden=(hidden,), probabilistic=False, loss=loss, patience=epochs,
                most_epochs=epochs,
            )  # fmt: skip
            made = fit(view, config, range(seeds), gradients=None if loss == "likelihood" else gradients)
            found = _errors(config, made, test)
            rows.append({"hidden": hidden, "loss": name, **found})
            say(f"distractors: {hidden} units, {name}: value error {np.mean(found['value_error']):.3f}")
    return {"epochs": epochs, "seeds": seeds, "rows": rows}


def _errors(config: DynamicsConfig, made: Fitted, test: Transitions) -> dict[str, list[float]]:
    """Value error and mean square error of each seed's model on new transitions."""
    every = torch.arange(len(test)).expand(len(made.epochs), -1)
    batch, network = test.batch(every), config.network(test.observation_size, test.action_size)
    with torch.no_grad():
        predicted = network.predict(made.parameters, batch.observations, batch.actions).means[:, 0, :, :-1]
    pairs = list(zip(predicted, batch.next_observations, strict=True))
    return {
        "value_error": [float(value_error(value, own, true)) for own, true in pairs],
        "mse": [float(((own - true) ** 2).mean()) for own, true in pairs],
    }
