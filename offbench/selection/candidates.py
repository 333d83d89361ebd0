"""Policies of finished runs: what they do in a dataset's states, what is said of them unplayed, and the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.values import critic_values
from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.environments.protocol import Simulator
from offbench.environments.simulator import make_simulator
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.evaluation.rollout import environment_seeds, one_torch_thread, played
from offbench.training.checks import action_range, device_of
from offbench.training.finished import Run
from offbench.training.group import GroupPolicy

ROWS = 20_000  # states in which policies act at a time
MOST_BYTES = 4 * 2**30  # of actions that are held
PLAYING = 2_000_000  # number of the evaluations that find the truth, above all others


@dataclass(frozen=True)
class Candidate:
    """The policy of one seed of a run.

    Attributes:
        run: the run.
        seed: which of its seeds.
        policy: acts for that seed.
    """

    run: Run
    seed: int
    policy: GroupPolicy

    @property
    def name(self) -> str:
        """The run's folder and the seed."""
        return f"{self.run.folder.name}, seed {self.seed}"


def candidates(folders: Sequence[Path], trust: bool = False) -> list[Candidate]:
    """All policies of runs that learned from one dataset.

    Args:
        folders: of the runs.
        trust: whether modules that runs name as ``module:Class`` may be imported, which runs their code.

    Raises:
        OffbenchError: a folder is no finished run, the runs are of several datasets, or a policy has a memory.
    """
    runs = [Run(folder, trust) for folder in folders]
    if not runs:
        raise OffbenchError("there is no run whose policies could be compared; name the folders of finished runs")
    digests = {run.manifest.plan.dataset_digest: run for run in runs}
    if len(digests) > 1:
        one, other = list(digests.values())[:2]
        raise OffbenchError(
            f"{one.folder} learned from {one.manifest.plan.dataset} and {other.folder} from "
            f"{other.manifest.plan.dataset}; policies are compared on the dataset that all of them learned from"
        )
    found = []
    for run in runs:
        for seed in run.manifest.plan.seeds:
            policy = run.policy(seed)
            policy.reset(np.ones(1, dtype=bool))
            if policy.acting[0][0].memory:
                raise OffbenchError(
                    f"policies of {run.manifest.plan.algorithm} remember what happened, so that there is no Q of a "
                    f"state that could be fitted to them; leave {run.folder} out"
                )
            found.append(Candidate(run, seed, policy))
    return found


def view_of(found: Sequence[Candidate], data: Trajectories, name: str, device: str) -> Transitions:
    """The data that all candidates learned from, as estimators see them: standardised states, rewards as they are.

    Args:
        found: the candidates.
        data: the data, which are checked to be those.
        name: what the data are called.
        device: cpu, cuda or auto.

    Raises:
        OffbenchError: the candidates learned from other data.
    """
    run = found[0].run
    plan = run.manifest.plan
    if data.digest != plan.dataset_digest:
        raise OffbenchError(
            f"{name} is not the data that {run.folder} learned from: its digest is {data.digest[:12]}... and not "
            f"{plan.dataset_digest[:12]}..."
        )
    scale = action_range(data, plan.whole_task)
    return Transitions(data, normalise_states=True, action_range=scale, device=device_of(device))


def actions_of(
    policies: Sequence[GroupPolicy], view: Transitions, states: Float[Array, "rows observation"]
) -> Float[Tensor, "policies rows action"]:
    """What each policy does in states as the environment gives them, scaled as the view scales actions.

    Raises:
        OffbenchError: that takes more than 4 GiB.
    """
    size = len(policies) * len(states) * view.action_size * 4
    if size > MOST_BYTES:
        raise OffbenchError(
            f"the actions of {len(policies)} policies in {len(states):,} states take {size / 2**30:.1f} GiB, and "
            "4 GiB are the most; compare fewer policies at a time, or on a part of the dataset"
        )
    found = torch.empty(len(policies), len(states), view.action_size, dtype=view.dtype)
    low, high = view.scaling.low, view.scaling.high
    with one_torch_thread():
        for row, policy in enumerate(policies):
            for first in range(0, len(states), ROWS):
                part = states[first : first + ROWS]
                policy.reset(np.ones(len(part), dtype=bool))
                acted = 2 * (policy.act(part) - low) / (high - low) - 1
                found[row, first : first + len(part)] = torch.from_numpy(np.asarray(acted)).clamp(-1, 1)
    return found.to(view.device)


def present_states(view: Transitions) -> Float[Array, "transitions observation"]:
    """The observations of a view's transitions, as the environment gave them."""
    found: Float[Array, "transitions observation"] = view.observations[view.sources].float().cpu().numpy()
    return found


def next_states(view: Transitions) -> Float[Array, "transitions observation"]:
    """The next observations of a view's transitions, as the environment gave them."""
    found: Float[Array, "transitions observation"] = view.observations[view.sources + 1].float().cpu().numpy()
    return found


def first_states(view: Transitions) -> Float[Array, "episodes observation"]:
    """The first observations of the episodes, as the environment gave them."""
    found: Float[Array, "episodes observation"] = (
        view.observations[view.sources[view.first_steps]].float().cpu().numpy()
    )
    return found


def own_values(found: Sequence[Candidate], starts: Float[Array, "episodes observation"]) -> Float[Array, " policies"]:
    """What each learner's own critics say of the first states, the lowest of them.

    NaN where it has none, or has learned from shifted rewards, whose values cannot be compared with those of others.
    """
    values = []
    for candidate in found:
        try:
            own = critic_values(candidate.policy.algorithms[0], candidate.policy.scaling)
        except OffbenchError:
            own = None
        scaling = candidate.policy.scaling
        if own is None or scaling.reward_shift:
            values.append(np.nan)
            continue
        with torch.no_grad():
            values.append(float(own(torch.from_numpy(starts)).amin(0).mean()) / scaling.reward_scale)
    return np.array(values)


def cloning_errors(found: Sequence[Candidate], view: Transitions, rows: int = 10_000) -> Float[Array, " policies"]:
    """Mean square distance of each policy's actions from the data's, in at most ``rows`` evenly spaced transitions."""
    chosen = torch.linspace(0, len(view) - 1, min(rows, len(view))).long()
    states = view.observations[view.sources[chosen]].float().cpu().numpy()
    acted = actions_of([candidate.policy for candidate in found], view, states)
    own = view.batch(chosen.to(view.device).unsqueeze(0)).actions
    errors: Float[Array, " policies"] = ((acted - own) ** 2).mean((1, 2)).double().cpu().numpy()
    return errors


def true_values(
    found: Sequence[Candidate], task: Task, episodes: int, discount: float
) -> tuple[Float[Array, " policies"], Float[Array, " policies"]]:
    """Mean discounted and undiscounted return of each policy over ``episodes`` starts, the same for all."""
    simulator = make_simulator(task, episodes)
    seeds = environment_seeds(0, PLAYING, episodes)
    try:
        values = [_played(candidate.policy, simulator, seeds, discount) for candidate in found]
    finally:
        simulator.close()
    discounted, whole = zip(*values, strict=True)
    return np.array(discounted), np.array(whole)


def _played(policy: GroupPolicy, simulator: Simulator, seeds: Sequence[int], discount: float) -> tuple[float, float]:
    """Mean discounted and undiscounted return of one policy."""
    totals, weights = np.zeros(2), np.ones(2)
    with one_torch_thread():
        for rewards, _ in played(simulator, policy, seeds):
            totals += weights * rewards.mean()
            weights[0] *= discount
    return float(totals[0]), float(totals[1])
