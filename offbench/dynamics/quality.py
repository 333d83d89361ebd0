"""How good fitted dynamics are: by dimension, by how sure they are, and by how far they are rolled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import ndtri
from torch import Tensor

from offbench.basis.shapes import Array
from offbench.data.transitions import Transitions
from offbench.dynamics.fitting import DynamicsConfig, Fitted, held_out
from offbench.dynamics.truth import Simulated
from offbench.dynamics.worlds import Moment, World, begin
from offbench.environments.task import Task
from offbench.nn.mlp import Parameters

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99)


class Quality(NamedTuple):
    """Of one seed's elites on what was held out.

    Attributes:
        errors: root mean square error of the elites' mean, for each number of the state and the reward.
        spreads: standard deviation of what is predicted (the change of the state, the reward).
        covered: share of the held-out numbers within the central interval of each of ``LEVELS``, one elite a row.
    """

    errors: Float[Array, " numbers"]
    spreads: Float[Array, " numbers"]
    covered: Float[Array, " levels"]


def quality(view: Transitions, config: DynamicsConfig, fitted: Fitted, seeds: Sequence[int]) -> list[Quality]:
    """One a seed. A calibrated ensemble covers as much as each level says."""
    network = config.network(view.observation_size, view.action_size)
    found = []
    for row, seed in enumerate(seeds):
        test = torch.from_numpy(held_out(len(view), config, seed)).to(view.device)
        batch = view.batch(test.unsqueeze(0))
        with torch.no_grad():
            prediction = network.predict(_one(fitted.parameters, row), batch.observations, batch.actions)
        truth = torch.cat([batch.next_observations, batch.rewards.unsqueeze(-1)], -1)[0].double()
        means, stds = (part[0, : config.elites].double() for part in prediction)  # (elites, rows, numbers)
        change = truth - torch.nn.functional.pad(batch.observations[0].double(), (0, 1))
        chosen = torch.arange(len(test)) % config.elites
        mean, std = (part[chosen, torch.arange(len(test))] for part in (means, stds))
        ratio = ((truth - mean).abs() / std.clamp(min=1e-12)).numpy()
        found.append(
            Quality(
                ((truth - means.mean(0)) ** 2).mean(0).sqrt().numpy(),
                change.std(0, correction=0).numpy(),
                np.array([(ratio <= ndtri(0.5 + level / 2)).mean() for level in LEVELS]),
            )
        )
    return found


def errors_by_step(
    view: Transitions, learned: World, true: World, keys: Sequence[int], rows: int = 200, steps: int = 20
) -> Float[Array, "steps seeds"]:
    """Median over branches of the distance between imagined and true state after each step, in the states' deviations.

    Both start in the same states of the data and are given the same uniformly random actions; a branch that truly ended
    is left out from there on. The distance is the root mean square over dimensions.
    """
    generator = torch.Generator().manual_seed(0)
    starts = torch.randint(len(view), (1, rows), generator=generator).expand(len(keys), -1)
    states = view.batch(starts).observations
    deviations = states.reshape(-1, states.shape[-1]).std(0).clamp(min=1e-6)
    begin(true, view, starts)
    imagined, truth, alive, found = states, states, torch.ones(states.shape[:2], dtype=torch.bool), []
    seeds = torch.tensor(list(keys), dtype=torch.int64)
    for step in range(steps):
        actions = torch.rand(1, rows, view.action_size, generator=generator, dtype=states.dtype) * 2 - 1
        actions = actions.expand(len(keys), -1, -1)
        with torch.no_grad():
            moment = Moment(seeds, torch.tensor(step), "quality")
            imagined = learned.step(imagined, actions, moment).observations
            outcome = true.step(truth, actions, moment)
        truth, alive = outcome.observations, alive & ~outcome.terminations
        far = (((imagined - truth) / deviations) ** 2).mean(-1).sqrt()
        found.append([_median(own[mask]) for own, mask in zip(far, alive, strict=True)])
    return np.array(found)


class Starts(NamedTuple):
    """How well a first step from the data's rows is the one that was recorded.

    Attributes:
        exact: share of the rows whose step from the simulator's own state gives the recorded observation and reward bit
            for bit; None where the data hold no such states.
        errors: median, 99% and largest distance of the next state from the recorded one, where only observations are
            started from, in deviations of the states (root mean square over dimensions).
        clipped: share of the rows whose observation shows a clipped velocity.
        rows: how many were looked at.
    """

    exact: float | None
    errors: Float[Array, " quantiles"]
    clipped: float
    rows: int


def start_errors(view: Transitions, task: Task, rows: int = 2000) -> Starts:
    """Play recorded actions for one step, from the states in the data and from observations alone.

    The rows are drawn from those that do not terminate; states and rewards of ``view`` are the environment's own.

    Raises:
        OffbenchError: the task's states cannot be set.
    """
    # Imported here, so that only who simulates waits for MuJoCo.
    from offbench.environments.locomotion import clipped

    generator = torch.Generator().manual_seed(0)
    ends = view.terminations if view.steps is None else view.terminations[view.steps]
    going_on = torch.nonzero(~ends)[:, 0]
    chosen = going_on[torch.randperm(len(going_on), generator=generator)[:rows]].unsqueeze(0)
    batch, world = view.batch(chosen), Simulated(task, view.scaling)
    moment, exact = Moment(torch.zeros(1, dtype=torch.int64), torch.tensor(0), "starts"), None
    world.begin(view, chosen)
    if world.exact:
        own = world.step(batch.observations, batch.actions, moment)
        same = (own.observations == batch.next_observations).all(-1) & (own.rewards == batch.rewards)
        exact = float(same.double().mean())
        world.close()  # which forgets the state
    seen = world.step(batch.observations, batch.actions, moment)
    world.close()
    deviations = batch.observations[0].std(0).clamp(min=1e-6)
    far = (((seen.observations - batch.next_observations)[0] / deviations) ** 2).mean(-1).sqrt().double().numpy()
    errors = np.array([np.median(far), np.quantile(far, 0.99), far.max()])
    cut = float(clipped(task, batch.observations[0].numpy()).mean())
    return Starts(exact, errors, cut, chosen.shape[1])


def _median(values: Tensor) -> float:
    return float(values.median()) if len(values) else float("nan")


def _one(parameters: Parameters, row: int) -> Parameters:
    return {name: value[row : row + 1] for name, value in parameters.items()}
