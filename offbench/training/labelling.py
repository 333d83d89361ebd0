"""``label``: what is hidden in a dataset is what a model says, and the result is a dataset again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offbench.data.trajectories import Trajectories
from offbench.errors import UnknownNameError
from offbench.formats.table import resolve


@dataclass(frozen=True)
class Model:
    """A way to label: both are ``module:name``, imported when it is chosen.

    Attributes:
        config: dataclass of its hyperparameters, which become flags.
        label: function of (data, config, seed, say, action_range, device) that gives Trajectories.
        summary: what it fills in, and of what data.
    """

    config: str
    label: str
    summary: str


MODELS = {
    "inverse_dynamics": Model(
        "offbench.labelling.inverse_fitting:InverseDynamicsConfig",
        "offbench.labelling.relabelled:with_inverse_dynamics",
        "actions, of DATASET?actions=10%-low, by inverse dynamics fitted to the episodes that have them (SS-ORL)",
    ),
    "reward_model": Model(
        "offbench.labelling.reward_relabelling:RelabelConfig",
        "offbench.labelling.reward_relabelling:relabel_rewards",
        "rewards, of DATASET?preferences=500x50, by reward models fitted to the preferences (Preference Transformer)",
    ),
}


def label(
    dataset: Any,
    model: str,
    *,
    seed: int = 0,
    task: str = "",
    device: str = "auto",
    say: Callable[[str], None] = lambda line: None,
    **settings: Any,
) -> Trajectories:
    """Fill in hidden actions or rewards by a model: ``offbench.label("DATASET?actions=10%-low", "inverse_dynamics")``.

    Args:
        dataset: a name or a path with a split, or what `offbench.load` gives of one.
        model: "inverse_dynamics" for actions, "reward_model" for rewards.
        seed: of the model.
        task: whose range of actions counts; the dataset's own if empty.
        device: cpu, cuda, or auto for a GPU where there is one.
        say: hears what is done.
        settings: hyperparameters of the model.

    Returns:
        All episodes, whose provenance says which model filled in what.

    Raises:
        UnknownNameError: no such model, or no such hyperparameter of it.
        DataError: data that the model does not fill in.
    """
    if model not in MODELS:
        raise UnknownNameError("labelling model", model, MODELS)
    kind = resolve(MODELS[model].config)
    names = [field.name for field in dataclasses.fields(kind)]
    for name in settings:
        if name not in names:
            raise UnknownNameError(f"hyperparameter of {model}", name, names)
    return labelled(dataset, model, kind(**settings), seed, task, device, say)


def labelled(
    dataset: Any, model: str, config: Any, seed: int, task: str, device: str, say: Callable[[str], None]
) -> Trajectories:
    """See `label`; ``config`` is one of the model's."""
    from offbench.basis.compiler import keep_memory
    from offbench.catalog.loading import load
    from offbench.data.learned import whole
    from offbench.environments.own_tasks import chosen_task
    from offbench.evaluation.rollout import one_torch_thread
    from offbench.training.checks import action_range, device_of
    from offbench.training.remarks import recorded_task

    data = load(dataset) if isinstance(dataset, str | Path) else dataset
    main = whole(data)
    chosen = task or main.provenance.task or recorded_task(main)
    bounds = action_range(main, chosen_task(chosen) if chosen else None)
    keep_memory()
    with one_torch_thread():  # as runs fit models: how many threads there are changes the last bits
        made: Trajectories = resolve(MODELS[model].label)(data, config, seed, say, bounds, device_of(device))
    return made
