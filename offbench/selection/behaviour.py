"""The policy that made the data, as far as a Gaussian of the state can be it, and how much likelier another one is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from offbench.basis.shapes import Array
from offbench.data.transitions import Transitions
from offbench.nn.adam import Adam
from offbench.nn.mlp import MLP, Parameters
from offbench.nn.policies import gaussian_log_prob
from offbench.nn.random import stream
from offbench.selection.importance import CLIP

LOG_STD_RANGE = (-5.0, 2.0)
UPDATES, BATCH_SIZE, LEARNING_RATE = 5_000, 256, 1e-3
ROWS = 50_000  # whose densities are taken at a time


class Behaviour:
    """N(mean(s), std(s)^2) over scaled actions, fitted by likelihood."""

    def __init__(self, network: MLP, parameters: Parameters) -> None:
        self.network, self.parameters = network, parameters

    def log_prob(
        self, states: Float[Tensor, "rows observation"], actions: Float[Tensor, "rows action"]
    ) -> Float[Tensor, " rows"]:
        """Log-density of actions, the view's states and actions."""
        return _log_prob(self.network, self.parameters, states.unsqueeze(0), actions.unsqueeze(0))[0]


def clone(
    view: Transitions, seed: int = 0, updates: int = UPDATES, say: Callable[[str], None] = lambda line: None
) -> Behaviour:
    """Fit the behaviour to all transitions of a view."""
    network = MLP(view.observation_size, (256, 256), 2 * view.action_size)
    drawn = network.initialise([seed], "behaviour").items()
    parameters = {name: value.to(view.device, view.dtype) for name, value in drawn}
    adam = Adam(parameters, LEARNING_RATE)
    say(f"importance weights: cloning who made the data, {updates:,} updates")
    rows = stream(seed, "selection/behaviour").integers(len(view), size=(updates, BATCH_SIZE))
    for own in torch.from_numpy(rows).to(view.device):
        batch = view.batch(own.unsqueeze(0))

        def loss(p: Parameters, batch=batch) -> Float[Tensor, ""]:  # type: ignore[no-untyped-def]
            return -_log_prob(network, p, batch.observations, batch.actions).mean()

        adam.update(parameters, torch.func.grad(loss)(parameters))
    return Behaviour(network, parameters)


def log_ratios(
    behaviour: Behaviour, view: Transitions, policy: Float[Tensor, "transitions action"], std: float
) -> Float[Array, " transitions"]:
    """log pi(a|s) - log mu(a|s) of the data's actions, cut off as policy_eval does.

    ``policy`` holds the deterministic actions at the view's states, which noise of ``std`` is added to.
    """
    found = np.empty(len(view))
    for first in range(0, len(view), ROWS):
        rows = torch.arange(first, min(first + ROWS, len(view)), device=view.device)
        batch = view.batch(rows.unsqueeze(0))
        with torch.no_grad():
            log_std = torch.full_like(policy[rows], float(np.log(std)))
            own = gaussian_log_prob(batch.actions[0], policy[rows], log_std)
            theirs = behaviour.log_prob(batch.observations[0], batch.actions[0])
        found[first : first + len(rows)] = (own - theirs).clamp(*CLIP).double().cpu().numpy()
    return found


def padded(
    view: Transitions, values: Float[Array, " transitions"], fill: float = 0.0
) -> Float[Array, "episodes steps"]:
    """A number of each transition as a row an episode, ``fill`` after its end."""
    starts = view.first_steps.cpu().numpy()
    ends = np.append(starts[1:], len(view))
    table = np.full((len(starts), int((ends - starts).max())), fill)
    for row, (first, end) in enumerate(zip(starts, ends, strict=True)):
        table[row, : end - first] = values[first:end]
    return table


def _log_prob(
    network: MLP,
    parameters: Parameters,
    states: Float[Tensor, "1 rows observation"],
    actions: Float[Tensor, "1 rows action"],
) -> Float[Tensor, "1 rows"]:
    mean, log_std = network(parameters, states).chunk(2, -1)
    return gaussian_log_prob(actions, mean, log_std.clamp(*LOG_STD_RANGE))
