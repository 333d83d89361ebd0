"""Semi-supervised offline reinforcement learning (SS-ORL), Zheng et al. 2023 (arXiv 2210.06518).

Actions are known in few episodes, in the paper those of low return; of the others states and rewards are. Inverse
dynamics (`offbench.labelling.inverse_dynamics`) are fitted to the few and say the actions of the rest, and any learner
is trained on all of them: here one of ours, by name, which is TD3+BC unless another is asked for.

The released code makes 200,000 updates, of TD3+BC and CQL on 5,120 transitions each (its batches of 256 times 20);
``batch_size`` is that of the learner here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import View
from offbench.algorithms.filled import Filled, FilledConfig, FilledView, Fills, learner_view
from offbench.data.scaling import ActionRange
from offbench.data.supervision import SemiSupervised
from offbench.labelling.inverse_dynamics import Density, Windows
from offbench.labelling.inverse_fitting import InverseDynamicsConfig, Known, fitted
from offbench.labelling.relabelled import joined


@dataclass(frozen=True)
class SSORLConfig(FilledConfig):
    """Hyperparameters of SS-ORL."""

    inverse_past: int = 1
    """m, states before the one that is acted from which the inverse dynamics see."""
    inverse_members: int = 1
    """Networks of the inverse dynamics; the label is the mode of their mixture."""
    inverse_hidden: tuple[int, ...] = (256, 256)
    """Sizes of their hidden layers; published: (1024, 1024)."""
    inverse_density: Density = "squashed"
    """Of their actions: as published, or gaussian, for data in which many actions lie at their bounds."""
    inverse_dropout: float = 0.1
    """Probability with which a unit of their last hidden layer is dropped."""
    inverse_learning_rate: float = 3e-4
    """Of Adam for them; published: 1e-4."""
    inverse_batch_size: int = 256
    """Steps a member in one of their updates; published: 1024."""
    inverse_updates: int = 10_000
    """Updates of them, of which the best on held-out episodes counts; published, from memory: 100,000."""

    def __post_init__(self) -> None:
        _ = self.inverse  # which refuses what cannot be

    @property
    def inverse(self) -> InverseDynamicsConfig:
        """How the inverse dynamics are fitted."""
        return InverseDynamicsConfig(
            past=self.inverse_past,
            members=self.inverse_members,
            hidden=self.inverse_hidden,
            density=self.inverse_density,
            dropout=self.inverse_dropout,
            learning_rate=self.inverse_learning_rate,
            batch_size=self.inverse_batch_size,
            updates=self.inverse_updates,
        )


def union_view(
    data: SemiSupervised,
    learner: str,
    action_range: ActionRange | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> FilledView:
    """The learner's view of both parts, in which the actions of one are yet to be filled in."""
    return learner_view(joined(data), learner, "actions", action_range, device, dtype)


class SSORL(Filled):
    """Inverse dynamics of each seed, and a learner on the actions that they say."""

    Config = SSORLConfig
    config: SSORLConfig
    view = union_view
    requires = (SemiSupervised,)
    fills: ClassVar[Fills] = "actions"
    quick: ClassVar[Mapping[str, Any]] = {
        "learner": "td3_bc,hidden=[32,32],learning_rate=0.003", "inverse_hidden": (32, 32), "inverse_updates": 200,
        "inverse_batch_size": 64,
    }  # fmt: skip

    def build_model(self) -> None:
        """The inverse dynamics, which Adam leaves alone once they are fitted."""
        self.inverse = self.config.inverse.network(self.sizes.observation, self.sizes.action)
        self.add("inverse_dynamics", self.inverse.initialise(self.seeds, "inverse dynamics"), None)

    def prepare(self, data: View, say: Callable[[str], None]) -> None:
        """Fit the inverse dynamics of each seed, or find them in the cache folder."""
        view = cast(FilledView, data)
        bounds = view.scaling.low, view.scaling.high
        known = Known(view.trajectories, view.given[:, 0].cpu().numpy() > 0, bounds, self.device, self.dtype)
        model = fitted(known, self.config.inverse, self.seeds, say)
        for name, value in model.parameters.items():
            self.networks["inverse_dynamics"][name].copy_(value)

    def labels(self, data: FilledView) -> Float[Tensor, "seeds steps action"]:
        """What each seed's mixture has for its mean."""
        windows = Windows(data.trajectories, self.config.inverse_past, self.device, self.dtype)
        return self.inverse.label(self.networks["inverse_dynamics"], windows, data.trajectories.steps).actions
