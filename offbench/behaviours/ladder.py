"""Ladders: the policies that a training passed through, from first steps to expert, each with its measured return.

A ladder is a folder of ``datasets/behaviours/``, named after its task: one safetensors file a rung, in half precision,
and ``ladder.json``, which holds what was measured of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from offbench.basis.files import atomic
from offbench.basis.resources import resources
from offbench.basis.shapes import Array
from offbench.basis.tensors import map_tensors, write_tensors
from offbench.behaviours.tanh_gaussian import Layer, TanhGaussianPolicy
from offbench.errors import DataError, OffbenchError, UnknownNameError

_KIND, _VERSION = "offbench-behaviour", "1"


class Measured(BaseModel):
    """Returns of whole episodes of one policy.

    Attributes:
        mean: mean undiscounted return.
        standard_error: of that mean.
        length: mean number of steps.
        episodes: how many.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mean: float
    standard_error: float = Field(ge=0)
    length: float
    episodes: int = Field(gt=0)

    @classmethod
    def of(cls, returns: Sequence[float], lengths: Sequence[int]) -> Measured:
        """What ``returns`` and ``lengths`` (episodes,) come to; at least two episodes."""
        error = float(np.std(returns, ddof=1)) / len(returns) ** 0.5
        mean, length = float(np.mean(returns)), float(np.mean(lengths))
        return cls(mean=mean, standard_error=error, length=length, episodes=len(returns))


class Rung(BaseModel):
    """One policy of a ladder.

    Attributes:
        name: its file without the suffix.
        updates: gradient steps behind it.
        transitions: environment steps behind it.
        sampled: returns of the policy that samples its actions, as it does in datasets.
        deterministic: returns of its most likely actions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    updates: int = Field(ge=0)
    transitions: int = Field(ge=0)
    sampled: Measured
    deterministic: Measured | None = None


class Ladder(BaseModel):
    """The rungs of one task, in the order of training.

    Attributes:
        task: name of the task.
        rungs: from the first to the last.
        trained: by what, in one sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    trained: str
    rungs: tuple[Rung, ...]

    @property
    def expert(self) -> Rung:
        """The rung with the highest mean return when it samples."""
        return max(self.rungs, key=lambda rung: rung.sampled.mean)

    @property
    def medium(self) -> Rung:
        """The rung whose mean return is nearest one third of the expert's (Fu et al. 2020, arXiv 2004.07219)."""
        third = self.expert.sampled.mean / 3
        upwards = self.rungs[: self.rungs.index(self.expert) + 1]
        return min(upwards, key=lambda rung: abs(rung.sampled.mean - third))

    def rung(self, name: str) -> Rung:
        """The rung of that name; ``medium`` and ``expert`` are understood.

        Raises:
            UnknownNameError: no rung is called so.
        """
        if name in ("medium", "expert"):
            return self.medium if name == "medium" else self.expert
        found = {rung.name: rung for rung in self.rungs}
        if name not in found:
            raise UnknownNameError(f"rung of {self.task}", name, [*found, "medium", "expert"])
        return found[name]

    def up_to(self, name: str) -> tuple[Rung, ...]:
        """The rungs from the first to that one."""
        return self.rungs[: self.rungs.index(self.rung(name)) + 1]


def folder(task: str) -> Path:
    """Where the ladder of a task lies."""
    return resources() / "behaviours" / task


def ladders() -> dict[str, Ladder]:
    """All ladders by task, sorted."""
    return {path.parent.name: ladder(path.parent.name) for path in sorted(folder("").glob("*/ladder.json"))}


def ladder(task: str, where: Path | None = None) -> Ladder:
    """The ladder of a task, from ``where`` or its usual folder.

    Raises:
        OffbenchError: there is none, or it cannot be read.
    """
    path = (where or folder(task)) / "ladder.json"
    try:
        return Ladder.model_validate_json(path.read_bytes())
    except OSError as error:
        known = ", ".join(sorted(p.parent.name for p in folder("").glob("*/ladder.json"))) or "none"
        raise OffbenchError(f"there are no behaviours of task {task} ({path}); there are of {known}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise OffbenchError(f"{path}: {'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}") from error


def write_ladder(found: Ladder, where: Path) -> None:
    """Write ``ladder.json`` into a folder."""
    with atomic(where / "ladder.json") as temporary:
        temporary.write_text(found.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8")


def write_rung(path: Path, actor: Mapping[str, Array], task: str) -> None:
    """Keep a policy network's ``layer<i>.weight`` (in, out) and ``layer<i>.bias`` (1, out) in half precision.

    The last layer's outputs are the means and then the log standard deviations of all actions.
    """
    halves = {name: value.astype(np.float16) for name, value in actor.items()}
    write_tensors(path, halves, {"format": _KIND, "version": _VERSION, "task": task})


def read_rung(path: Path, low: Array, high: Array, seeds: Sequence[int] | None = None) -> TanhGaussianPolicy:
    """The policy that ``write_rung`` kept, for actions (action,) from ``low`` to ``high``; it samples if given seeds.

    Raises:
        DataError: the file is missing, damaged or no such policy.
        OffbenchError: its layers do not fit one another or the bounds.
    """
    columns, _ = map_tensors(path, _KIND, _VERSION, "a behaviour")
    count = len(columns) // 2
    try:
        layers = [_layer(columns, i) for i in range(count)]
    except (KeyError, ValueError, IndexError) as error:
        raise DataError(f"{path} holds {sorted(columns)[:4]}..., which are no layers of a policy ({error})") from error
    if len(columns) != 2 * count or count < 2 or not all(np.isfinite(part).all() for each in layers for part in each):
        raise DataError(f"{path} holds no policy of finite layers, weights and biases each; copy it anew")
    *hidden, (weights, biases) = layers
    size = len(biases) // 2
    mean, log_std = (weights[:, :size], biases[:size]), (weights[:, size:], biases[size:])
    return TanhGaussianPolicy(hidden, mean, log_std, low, high, seeds)


def _layer(columns: Mapping[str, Any], number: int) -> Layer:
    weights, biases = columns[f"layer{number}.weight"], columns[f"layer{number}.bias"]
    if weights.dtype != np.float16 or weights.ndim != 2 or biases.shape != (1, weights.shape[1]):
        raise ValueError(f"layer {number} has shapes {weights.shape} and {biases.shape} of {weights.dtype}")
    return weights.astype(np.float32), biases[0].astype(np.float32)
