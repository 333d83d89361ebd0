"""What a run is: its plan, which its folder keeps and its worker processes are told."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, JsonValue, SerializerFunctionWrapHandler, model_serializer

from offbench.algorithms import registry
from offbench.data.scaling import Scaling
from offbench.environments.task import Task
from offbench.environments.task import task as find_task
from offbench.evaluation.record import digest_of
from offbench.evaluation.tuning_record import TuningRecord


class Strict(BaseModel):
    """Every field is known and every number finite."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ScalingPlan(Strict):
    """``Scaling`` as plain numbers, so that a policy can act without the data it was trained on."""

    mean: list[float]
    std: list[float]
    low: list[float]
    high: list[float]
    reward_scale: float
    reward_shift: float

    @classmethod
    def of(cls, scaling: Scaling) -> ScalingPlan:
        """The numbers of a scaling."""
        return cls(
            mean=scaling.mean.tolist(),
            std=scaling.std.tolist(),
            low=scaling.low.tolist(),
            high=scaling.high.tolist(),
            reward_scale=scaling.reward_scale,
            reward_shift=scaling.reward_shift,
        )

    def scaling(self) -> Scaling:
        """The scaling of these numbers."""
        mean, std, low, high = (np.array(v, np.float32) for v in (self.mean, self.std, self.low, self.high))
        return Scaling(mean, std, low, high, self.reward_scale, self.reward_shift)


# "mixed" is float32 with the hidden layers' products in bfloat16, "tf32" float32 with products in TensorFloat-32.
Precision = Literal["float32", "float64", "mixed", "tf32"]


class Plan(Strict):
    """What a run is: two runs with equal plans on one machine give equal results."""

    algorithm: str
    algorithm_digest: str
    code_digest: str
    config: dict[str, JsonValue]
    dataset: str
    dataset_revision: int
    dataset_digest: str
    observation_size: int
    action_size: int
    transforms: list[dict[str, JsonValue]]
    scaling: ScalingPlan
    task: str | None
    seeds: list[int]
    steps: int
    evaluate_every: int
    episodes: int
    log_every: int
    dtype: Precision
    compiled: bool
    group_size: int
    device: str
    notes: list[str] = []
    own_task: Task | None = None  # where ``task`` is the name of none of offbench's
    tuning: TuningRecord | None = None  # how the configuration was chosen; None is left out of all that is written

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        table: dict[str, Any] = handler(self)
        if self.tuning is None:
            table.pop("tuning", None)
        return table

    @property
    def settings_digest(self) -> str:
        """Digest of all that a result depends on by more than rounding."""
        settings = self.model_dump(exclude=FREE_TO_CHANGE, mode="json")
        if self.own_task is None:  # so that the folders of runs in offbench's tasks are called as ever
            del settings["own_task"]
        return digest_of(settings)

    @property
    def whole_task(self) -> Task | None:
        """The task that the run is scored in.

        Raises:
            UnknownNameError: it was one of offbench's, and there is none of that name any more.
        """
        return self.own_task or (find_task(self.task) if self.task else None)


def config_of(found: Any, plain: dict[str, Any]) -> Any:
    """The config of an algorithm or a learner from what a plan holds of it, where JSON made lists of tuples."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    return registry.configure(found, "", values)


def torch_dtype(precision: Precision) -> torch.dtype:
    """The dtype of parameters and data."""
    return torch.float64 if precision == "float64" else torch.float32


def differences(old: Plan, new: Plan) -> list[str]:
    """The parts in which two plans differ so that one run cannot go on as the other, each with both values.

    How many seeds share an update, and where, changes only rounding: a run may go on with another group size or device.
    """
    # As JSON gives them back, in which tuples are lists.
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    for plan, other in ((before, after), (after, before)):  # two tasks differ in some fields only
        if plan["own_task"] and other["own_task"]:
            plan |= {f"own_task.{name}": value for name, value in plan["own_task"].items()}
    if "own_task.name" in before:
        del before["own_task"], after["own_task"]
    names = sorted(n for n in (before.keys() | after.keys()) - FREE_TO_CHANGE if before.get(n) != after.get(n))
    return [f"{name} was {_short(before.get(name))} and is {_short(after.get(name))}" for name in names]


# Notes are words about the rest.
FREE_TO_CHANGE = {"group_size", "device", "compiled", "notes"}


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
