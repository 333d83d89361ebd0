"""An algorithm under test: seeds of it on a toy problem, and how states are compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from offbench.algorithms.base import Algorithm, Sizes
from offbench.conformance.toys import ACTION, LEARNING_STEPS, OBSERVATION, as_asked, toy
from offbench.data.trajectories import Trajectories
from offbench.training.compilation import Step
from offbench.training.group import Group
from offbench.training.views import completed, make_view

State = dict[str, Tensor]


@dataclass(frozen=True)
class Subject:
    """An algorithm under test.

    Attributes:
        algorithm: its class.
        changes: hyperparameters that differ from those of a check.
        steps: updates in which it has to learn.
    """

    algorithm: type[Algorithm]
    changes: Mapping[str, Any] = field(default_factory=dict)
    steps: int = LEARNING_STEPS

    @property
    def fields(self) -> set[str]:
        """Names of the algorithm's hyperparameters."""
        return {known.name for known in dataclasses.fields(self.algorithm.Config)}

    def config(self, data: Trajectories, usual: Mapping[str, Any]) -> Any:
        """The algorithm's own quick hyperparameters, and ``usual`` ones where it has a field so called."""
        known = {name: value for name, value in ({"hidden": (32, 32)} | dict(usual)).items() if name in self.fields}
        return completed(self.algorithm.Config(**known | dict(self.algorithm.quick) | dict(self.changes)), data, None)

    def group(
        self,
        seeds: Sequence[int],
        data: Trajectories | None = None,
        dtype: torch.dtype = torch.float64,
        step: Step | None = None,
        mixed: bool = False,
        device: str = "cpu",
        **usual: Any,
    ) -> Group:
        """Freshly initialised seeds on ``data``, the toy if None, eager unless a ``step`` is given.

        On the device "meta", which has no numbers, nothing is prepared.
        """
        chosen = toy() if data is None else data
        config = self.config(chosen, {"batch_size": 16, "normalise_states": True} | usual)
        made = self.algorithm(config, Sizes(OBSERVATION, ACTION), seeds, 1000, device, dtype, mixed)
        view = make_view(self.algorithm, config, as_asked(self.algorithm, chosen), device=device, dtype=dtype)
        if device != "meta":
            made.prepare(view, lambda line: None)
        return Group(made, view, step or self.algorithm.step)

    def trained(self, seeds: Sequence[int], updates: int, **options: Any) -> Group:
        """A group after some updates."""
        made = self.group(seeds, **options)
        made.advance(0, updates)
        return made


def difference(one: State, other: State) -> float:
    """Largest absolute difference of two states; infinite where any number in them is not finite."""
    assert one.keys() == other.keys()
    far = [(one[name].double() - other[name].double()).abs() for name in one]
    worst = [float(part.max()) for part in far if part.numel()]
    return max((part if part == part else float("inf") for part in worst), default=0.0)


def seed_of(state: State, row: int) -> State:
    """The state of one seed of a group."""
    return {name: value[row : row + 1] if value.dim() else value for name, value in state.items()}


def coming_batch(g: Group) -> Any:
    """The batch of the coming update, with its noise."""
    updates = int(g.algorithm.count)
    g.algorithm.before(updates, g.data)
    return g.algorithm.batch(g.data, g.indices(0)[updates])._replace(noise=g.algorithm.drawn())
