"""From a dataset to the view that an algorithm learns from, once it was found to fit algorithm and task."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, Literal

import torch

from offbench.algorithms import registry
from offbench.algorithms.base import Algorithm, View, view_options
from offbench.algorithms.filled import FilledConfig, with_learner
from offbench.algorithms.limits import check_hyperparameters
from offbench.basis.memory import free_memory
from offbench.basis.shapes import Array
from offbench.data.learned import Kind, Learned, asked_for, check_kind, described, parts_of, whole
from offbench.data.sequences import FACTS, facts
from offbench.data.trajectories import Trajectories
from offbench.data.transitions import check_vectors
from offbench.dynamics.terminations import rule_name
from offbench.environments.own_tasks import own
from offbench.environments.simulator import make_simulator
from offbench.environments.task import Task
from offbench.errors import DataError
from offbench.training.ahead import read_at_random

DataOn = Literal["auto", "device", "host"]
_SHARE = 0.8  # of free memory, that data may take


def requirements(found: Any) -> tuple[Kind, tuple[str, ...]]:
    """The kind of data and the columns that an algorithm or a learner learns from.

    Where a learner does not say, these are whole trajectories with actions and rewards.

    Raises:
        OffbenchError: its ``requires`` names something else than columns and kinds of data.
    """
    required: tuple[str | type, ...] = getattr(found, "requires", Algorithm.requires)
    return asked_for(required)


def learns_from(found: Any) -> str:
    """What an algorithm or a learner learns from, in words."""
    kind, columns = requirements(found)
    return ", ".join(filter(None, (described(kind), *columns)))


def check_requirements(found: Any, data: Learned) -> None:
    """Refuse data of another kind, or without a column which the algorithm or the learner learns from; a DataError."""
    kind, wanted = requirements(found)
    learner = getattr(found, "__name__", None) or type(found).__name__
    check_kind(kind, data, learner)
    main = whole(data)
    missing = [name for name in wanted if getattr(main, name, None) is None and name not in main.extras]
    if missing:
        name = main.provenance.dataset or "this dataset"
        raise DataError(f"{learner} learns from {' and '.join(wanted)}, and {name} has no {missing[0]}")


def check_spaces(found: Any, data: Trajectories) -> None:
    """Refuse data that none of our algorithms can learn from, with a DataError; a learner of others is given anything.

    They regress on vectors of continuous actions. Whole numbers and truth values are what discrete spaces hold: the
    readers leave them as they are, and those of Minari make them of what is recorded with a discrete space.
    """
    if not registry.is_algorithm(found):
        return
    check_vectors(data, "our algorithms")
    for name, column in (("actions", data.actions), ("observations", data.observations)):
        if column is not None and column.dtype.kind != "f":
            reach = f", {column.min()} to {column.max()}" if column.size else ""
            raise DataError(
                f"{name} of {data.name} are discrete ({column.dtype}{reach}), and {', '.join(sorted(registry.OURS))}, "
                f"as every subclass of Algorithm, learn from boxes alone: floating-point {name} would be right, or a "
                "learner of your own, whose fit is given the data as they are"
            )


def completed(config: Any, data: Trajectories, task: Task | None) -> Any:
    """The config, with each field set that is None and follows from data and task, those of its learner included.

    Those are named after one of the data's `facts`, or ``termination``, the rule of the task's environment, or
    ``truth_task``, the task whose simulator plays a part.

    Raises:
        DataError: that task is not one of ours.
    """
    missing = [name for name in FACTS if getattr(config, name, 0) is None]
    found: dict[str, Any] = dict(facts(data, task.episode_limit if task else None, missing)) if missing else {}
    if getattr(config, "termination", "") is None:
        found["termination"] = rule_name(task)
    if getattr(config, "truth_task", "") is None and config.truth > 0 and task is not None:
        if own(task) is not None:
            raise DataError(f"truth takes the simulator of a task of offbench's, and {task.name} is one of your own")
        found["truth_task"] = task.name
    made = dataclasses.replace(config, **found)
    if not isinstance(made, FilledConfig):
        return made
    like = data.provenance.like or data.provenance.dataset

    def learner(config: Any) -> Any:
        check_hyperparameters(config)
        return completed(config, data, task)

    return with_learner(made, like, learner)


def make_view(
    algorithm: type[Algorithm],
    config: Any,
    data: Learned,
    action_range: tuple[Array, Array] | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    home: str | None = None,
) -> View:
    """The data as the algorithm learns from them, on the device, or at ``home`` to be gathered ahead of it.

    Options of the view are those fields of the config that are called the same (``normalise_states``, ``context``).

    Raises:
        DataError: the view is of others' making and has no home but the device.
    """
    options = view_options(algorithm.view, config)
    if home is not None:
        if "home" not in inspect.signature(algorithm.view).parameters:
            raise DataError(
                f"the view of {algorithm.__name__} keeps its data on the device, and takes no home; give data_on device"
            )
        options["home"] = home
    view: View = algorithm.view(data, action_range=action_range, device=device, dtype=dtype, **options)
    if home is not None:  # from here on; what was read before was read from end to end
        for part in parts_of(data):
            read_at_random(part.observations, part.actions)
    return view


def home_of(wanted: DataOn, data: Learned, device: str) -> str | None:
    """Where the columns stay whose batches are gathered ahead of the device; None where they are kept on it.

    "auto" keeps them there where they take at most four fifths of its free memory.
    """
    if wanted != "auto":
        return "cpu" if wanted == "host" else None
    needed = 0
    for part in parts_of(data):
        columns = (part.observations, part.actions, part.rewards, part.terminations)
        needed += sum(column.nbytes for column in columns if column is not None)
    free = free_memory() if device == "cpu" else torch.cuda.mem_get_info(device)[0]
    return "cpu" if needed > _SHARE * free else None


def check_sizes(task: Task, observation: int, action: int, name: str) -> tuple[Any, Any]:
    """The task's action range, (low, high), once observation and action sizes were found to agree with it.

    Raises:
        DataError: they do not; ``name`` is what has them.
    """
    simulator = make_simulator(task, 1)
    try:
        wanted = simulator.observation_size, len(simulator.action_low)
        if wanted != (observation, action):
            raise DataError(
                f"{name} has observations of {observation} and actions of {action} numbers, but the task "
                f"{task.name} has {wanted[0]} and {wanted[1]}; name the task that the data come from"
            )
        return simulator.action_low, simulator.action_high
    finally:
        simulator.close()
