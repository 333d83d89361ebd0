"""``offbench dynamics``: models of datasets, fitted once and kept in the cache folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import tyro

from offbench.basis.files import cache_folder
from offbench.basis.plain import plain
from offbench.dynamics import fitting

Dataset = Annotated[str, tyro.conf.Positional]


@dataclass(frozen=True)
class Model:
    """Which ensembles."""

    seeds: int = 1
    """Ensembles, of the seeds 0, 1, ..."""
    preset: fitting.Preset = "offlinerl-kit"
    """Whose way of fitting. ravl makes 350 epochs or more."""
    hidden: tuple[int, ...] = (200, 200, 200, 200)
    """Sizes of the hidden layers."""
    epochs: int = 2000
    """No seed goes on for longer."""
    task: str = ""
    """Task whose simulator is the truth; by default the dataset's own."""
    device: str = "auto"
    """cpu, cuda, or auto for a GPU where there is one: where they are fitted."""


Flags = Annotated[Model, tyro.conf.arg(name="")]


def fit(dataset: Dataset, /, model: Flags = Model()) -> None:
    """Fit the dynamics of a dataset, or find those that were fitted before, and say how good they are.

    Examples:
        offbench dynamics fit offbench/pendulum/swingup-v0
        offbench dynamics fit offbench/hopper/medium-v0 --seeds 3 --epochs 50

    Args:
        dataset: Id or file.
        model: Which ensembles.
    """
    _show(dataset, model, fit_missing=True)


def show(dataset: Dataset, /, model: Flags = Model()) -> None:
    """Say how good the dynamics are that were fitted before; refuses to fit.

    Examples:
        offbench dynamics show offbench/pendulum/swingup-v0

    Args:
        dataset: Id or file.
        model: Which ensembles.
    """
    _show(dataset, model, fit_missing=False)


def _show(name: str, model: Model, fit_missing: bool) -> None:
    from offbench.basis.compiler import keep_memory
    from offbench.catalog.loading import load
    from offbench.data.transitions import Transitions
    from offbench.dynamics.store import fitted, path_of
    from offbench.environments.own_tasks import chosen_task
    from offbench.errors import OffbenchError
    from offbench.evaluation.rollout import one_torch_thread
    from offbench.training.checks import action_range, device_of
    from offbench.training.remarks import recorded_task

    config = fitting.chosen(model.preset, model.hidden, model.epochs)
    trajectories = load(name)
    chosen = model.task or trajectories.provenance.task or recorded_task(trajectories)
    task = chosen_task(chosen) if chosen else None
    bounds, device, seeds = action_range(trajectories, task), device_of(model.device), list(range(model.seeds))
    view = Transitions(trajectories, action_range=bounds)
    missing = [seed for seed in seeds if not path_of(view, config, seed).exists()]
    if missing and not fit_missing:
        raise OffbenchError(f"no dynamics of {name} with these settings were fitted for seed {missing[0]}; fit them")
    held = len(fitting.held_out(len(view), config, 0))
    print(
        f"{plain(name)}: {len(view):,} transitions, {held:,} held out; {config.members} members, {config.elites} of "
        f"them elites; a seed stops after {config.patience} epochs without a member better by "
        f"{100 * config.improvement:g}%, after {config.least_epochs} epochs at the earliest and {config.most_epochs} "
        f"at the latest; on {device}"
    )
    keep_memory()
    with one_torch_thread():  # as runs fit them: how many threads there are changes the last bits
        where = view if device == "cpu" else Transitions(trajectories, action_range=bounds, device=device)
        made = fitted(where, config, seeds, lambda line: print(plain(line), file=sys.stderr, flush=True))
    made = made._replace(parameters={name: value.cpu() for name, value in made.parameters.items()})
    print(f"epochs {made.epochs.tolist()}, {made.seconds:.0f} seconds of fitting; in {cache_folder() / 'dynamics'}")
    _report(view, config, made, seeds, task)


def _report(view: Any, config: fitting.DynamicsConfig, made: fitting.Fitted, seeds: list[int], task: Any) -> None:
    from offbench.dynamics.quality import LEVELS, errors_by_step, quality, start_errors
    from offbench.dynamics.terminations import never
    from offbench.dynamics.truth import Simulated
    from offbench.dynamics.worlds import Learned
    from offbench.errors import OffbenchError

    found = quality(view, config, made, seeds)
    print("\nheld-out root mean square error of the elites' mean, over the deviation of what is predicted, by number:")
    for seed, one in zip(seeds, found, strict=True):
        shares = one.errors / np.maximum(one.spreads, 1e-12)
        print(f"  seed {seed}: {' '.join(f'{share:.3f}' for share in shares[:-1])}, reward {shares[-1]:.3f}")
    print("\nshare of held-out numbers within the central interval of each level:")
    print("  level   " + " ".join(f"{100 * level:5.0f}%" for level in LEVELS))
    for seed, one in zip(seeds, found, strict=True):
        print(f"  seed {seed:<3}" + " ".join(f"{100 * share:5.1f}%" for share in one.covered))
    if task is None:
        print("\nno task is known, so that nothing says what is true over several steps; give one with --task")
        return
    network = config.network(view.observation_size, view.action_size)
    learned = Learned(network, made.parameters, config.elites, never)
    true = Simulated(task, view.scaling)
    try:
        starts, far = start_errors(view, task), errors_by_step(view, learned, true, seeds)
    except OffbenchError as error:
        print(f"\nno error by step: {error}")
        return
    begun = "exact states" if true.exact else "observations"
    print(f"\n{_told(starts, task.name)}")
    print(
        f"\nmedian distance from {task.name}'s simulator after so many steps of uniform actions, started from "
        f"{begun}, in deviations of the states:"
    )
    for step in (1, 2, 5, 10, 20):
        print(f"  {step:>3} {'step ' if step == 1 else 'steps'}  " + " ".join(f"{each:.4f}" for each in far[step - 1]))


def _told(starts: Any, task: str) -> str:
    """What the truth can start from, and what its first step is worth."""
    known = "the data hold no exact states, so that the simulator starts from observations"
    if starts.exact is not None:
        share = f"{100 * starts.exact:.4g}%"
        known = (
            f"the data hold the simulator's exact states, and it starts from them: in {share} of {starts.rows:,} rows "
            f"{task}'s first step is the recorded one, bit for bit"
        )
    median, most, largest = starts.errors
    return (
        f"{known}\nfrom observations alone the first step is off by {median:.2g} in the median, by at most {most:.2g} "
        f"in 99% and {largest:.2g} in all of {starts.rows:,} rows, in deviations of the states; "
        f"{100 * starts.clipped:.3g}% of these rows show a clipped velocity"
    )


commands: dict[str, Callable[..., Any]] = {"fit": fit, "show": show}
