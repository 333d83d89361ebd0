"""Relabelled data: what was hidden is what a model says, and the data say which model that was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import torch

from offbench import __version__
from offbench.data.concatenation import concatenate
from offbench.data.learned import check_kind
from offbench.data.scaling import ActionRange
from offbench.data.supervision import SemiSupervised
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.labelling.inverse_dynamics import Windows
from offbench.labelling.inverse_fitting import NAME, InverseDynamicsConfig, Known, described, fitted
from offbench.labelling.store import Say

GIVEN = "action_given"  # the extra column that says which steps have true actions
VARIANCE = "action_variance"  # the extra column of the model's predictive variance; 0 where actions are given


def joined(data: SemiSupervised) -> Trajectories:
    """All episodes of both parts, with the extra ``action_given`` and something in the place of hidden actions.

    That is zero, or what of the labelled actions is nearest to it, so that it keeps their bounds. The part with an
    episode that recording cut off stands last.

    Raises:
        DataError: the parts do not fit together.
    """
    true = data.labelled.actions
    if true is None or not len(true):
        raise DataError(f"the labelled part of {data.labelled.name} has no actions, so that none can be filled in")
    nothing = np.clip(np.zeros(true.shape[1:], true.dtype), true.min(0), true.max(0))
    free = replace(
        data.action_free,
        actions=np.broadcast_to(nothing, (data.action_free.steps, *nothing.shape)),
        action_range=data.labelled.action_range,
    )
    told = [
        replace(part, extras={**part.extras, GIVEN: np.full(part.steps, known)})
        for part, known in ((data.labelled, True), (free, False))
    ]
    return concatenate(sorted(told, key=lambda part: part.unfinished))


def with_inverse_dynamics(
    data: SemiSupervised,
    config: InverseDynamicsConfig,
    seed: int = 0,
    say: Say = lambda line: None,
    action_range: ActionRange | None = None,
    device: str | torch.device = "cpu",
) -> Trajectories:
    """All episodes of both parts, in which hidden actions are the proxies of the inverse dynamics of one seed.

    Actions are in the environment's units. The extra ``action_given`` says which ones are true, ``action_variance`` how
    unsure the model is of the others, as `Labels` says.

    Args:
        data: a part with actions and a part without.
        config: how the model is fitted, where the cache folder does not have it.
        seed: of the model.
        say: hears what is done.
        action_range: (low, high) of the task's actions; the range declared by the data if None.
        device: where the model is fitted.

    Raises:
        DataError: data of another kind, too few episodes with actions, or actions outside their range.
        OffbenchError: the model cannot be fitted.
    """
    check_kind(SemiSupervised, data, NAME)
    whole = joined(data)
    given = np.array(whole.extras[GIVEN])
    known = Known(whole, given, action_range, device)
    model = fitted(known, config, [seed], say)
    parameters = {name: value.to(device) for name, value in model.parameters.items()}
    assert whole.actions is not None
    network = config.network(whole.observations.shape[1], whole.actions.shape[1])
    with torch.no_grad():
        labels = network.label(parameters, Windows(whole, config.past, device), whole.steps)
    proxies = known.scaling.to_environment(labels.actions[0].cpu().numpy()).astype(whole.actions.dtype)
    variance = np.where(given, 0, labels.variance[0].cpu().numpy()).astype(np.float32)
    digest = hashlib.sha256(json.dumps(described(config), sort_keys=True).encode()).hexdigest()
    notes = [
        f"actions of {int((~given).sum()):,} of {whole.steps:,} steps are the proxies of {NAME} (config "
        f"{digest[:16]}, seed {seed}, offbench {__version__}); the column {GIVEN} says which are the true ones",
        f"the {NAME} were fitted to {len(data.labelled):,} episodes, whose digest is {data.labelled.digest}; the "
        f"log-likelihood of actions of those held out is {-float(model.losses.mean()):.4g} a step",
    ]
    if unseen := _without_next(whole, given):
        notes.append(f"the next observation of {unseen} of these steps was not recorded; their proxies take it to stay")
    relabelled = replace(
        whole,
        actions=np.where(given[:, None], whole.actions, proxies),
        action_range=(known.scaling.low, known.scaling.high),
        extras={**whole.extras, VARIANCE: variance},
    )
    return relabelled.noted(*notes, dataset=f"{whole.name}, actions by {NAME}")


def _without_next(whole: Trajectories, given: np.ndarray) -> int:
    """How many steps with a hidden action have no recorded next observation."""
    assert whole.final_observations is not None
    last = whole.offsets[1:][(whole.lengths > 0) & ~whole.final_observations] - 1
    return int((~given[last]).sum())
