"""What is refused before a run begins."""

from __future__ import annotations

import math

import torch

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.training.plan import Precision
from offbench.training.views import check_sizes


def action_range(data: Trajectories, task: Task | None) -> tuple[Array, Array] | None:
    """The task's, once the data were found to fit it."""
    if task is None:
        return None
    size = 0 if data.actions is None else data.actions.shape[1]
    low, high = check_sizes(task, observation_size(data), size, "the dataset")
    return low, high


def observation_size(data: Trajectories) -> int:
    """Numbers in one observation; 0 where it is no vector, which fits no task."""
    return data.observations.shape[1] if data.observations.ndim == 2 else 0


def check_count(name: str, value: float | None) -> None:
    """Refuse what cannot be a number of something, or is more than anybody can have; None is no number.

    Raises:
        OffbenchError: it is below 1, no whole number, or larger than `MOST`.
    """
    if value is None:
        return
    if not math.isfinite(value) or value != int(value):
        raise OffbenchError(f"{name} must be a whole number, not {value}")
    most = MOST.get(name, MOST_UPDATES)
    if value < 1:
        raise OffbenchError(f"{name} must be at least 1, not {value}")
    if value > most:
        raise OffbenchError(f"{name} must be at most {most:,}, not {value:,}")


MOST_UPDATES = 10**12  # of which the fastest machine makes a hundredth in a year
# What is held in memory at once, by name.
MOST = {"episodes": 10**6, "seeds": 10**5, "group": 10**5, "workers": 10**4}


def check_precision(precision: Precision, device: str) -> None:
    """Refuse a precision that the device lacks, with an OffbenchError."""
    if precision == "tf32" and not device.startswith("cuda"):
        raise OffbenchError(
            f"dtype tf32 rounds the products of a GPU, and this run is on the {device}, where it would change nothing; "
            "float32 or mixed would be right"
        )


def device_of(name: str) -> str:
    """The device of that name, "auto" being a GPU where there is one; an OffbenchError where it does not exist."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and (kind == "cpu" or not number.isdecimal())):
        raise OffbenchError(f"there is no device {name!r}; use cpu, cuda, cuda:<number> or auto")
    count = torch.cuda.device_count() if kind == "cuda" and torch.cuda.is_available() else 0
    if kind == "cuda" and count == 0:
        raise OffbenchError(f"the device {name} was asked for and this machine has no usable GPU; use cpu or auto")
    if number and int(number) >= count:
        raise OffbenchError(f"the device {name} was asked for and this machine has {count} GPUs, cuda:0 the first")
    return name
