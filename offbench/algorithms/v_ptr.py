"""Value pre-training (V-PTR): a learner that starts from what values of intentions make of states.

Source: Bhateja et al. 2023, "Robotic Offline RL from Internet Videos via Value-Function Pre-Training" (arXiv
2309.13041), where intention values (ICVF, Ghosh et al. 2023, arXiv 2304.04782) are learned from videos and their
encoder becomes that of a critic. Here states are vectors: intention values are learned from all trajectories, those
without actions included, and the learner learns from the part with actions, with phi(s) in the place of s for its
critics and its policy. phi stays as it was learned. Nothing is published for states, so that there is no reference.

With ``--icvf-updates 0`` phi is a random network, which tells what pre-training is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from offbench.algorithms.base import Acting, Memoryless, View, view_options
from offbench.algorithms.filled import Composed, FilledConfig, configured
from offbench.data.scaling import ActionRange
from offbench.data.supervision import SemiSupervised
from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Batch, Transitions
from offbench.errors import DataError
from offbench.labelling.icvf_fitting import NAME, ICVFConfig, fitted
from offbench.labelling.relabelled import joined


@dataclass(frozen=True)
class VPTRConfig(FilledConfig):
    """Hyperparameters of value pre-training and of what learns from it."""

    learner: str = "iql"
    """What learns from phi of states, with hyperparameters of its own: iql or iql,expectile=0.9."""
    icvf_hidden: tuple[int, ...] = (256, 256)
    """Sizes of the layers of phi and its like; the last is the number of features."""
    icvf_intents: bool = True
    """Value states for an intention; if not, for the behaviour of the data."""
    icvf_expectile: float = 0.9
    """tau: how much more weight has what serves the intention."""
    icvf_discount: float = 0.99
    """gamma of intention values."""
    icvf_learning_rate: float = 3e-4
    """Of Adam for them."""
    icvf_batch_size: int = 256
    """States in one of their updates."""
    icvf_updates: int = 10_000
    """Updates of them; published: 1,000,000. None leaves phi as it was drawn."""

    def __post_init__(self) -> None:
        _ = self.icvf  # which refuses what cannot be

    @property
    def icvf(self) -> ICVFConfig:
        """How intention values are fitted."""
        return ICVFConfig(
            hidden=self.icvf_hidden,
            intents=self.icvf_intents,
            expectile=self.icvf_expectile,
            discount=self.icvf_discount,
            learning_rate=self.icvf_learning_rate,
            batch_size=self.icvf_batch_size,
            updates=self.icvf_updates,
        )


class PretrainingView:
    """The learner's view of the part with actions, and all episodes for pre-training.

    Attributes:
        inner: the learner's view.
        everything: the episodes of both parts.
        scaling, transforms, observation_size, action_size, device, dtype: as those of the learner's view.
    """

    def __init__(
        self,
        data: SemiSupervised,
        learner: str,
        action_range: ActionRange | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Index both parts.

        Raises:
            DataError: the learner sees no single transitions, or needs a column that the data lack.
        """
        found, config = configured(learner)
        missing = [name for name in found.requires if getattr(data.labelled, str(name), None) is None]
        if missing:
            raise DataError(f"the learner {learner} needs {missing[0]}, which {data.labelled.name} does not have")
        options = view_options(found.view, config)
        inner = found.view(data.labelled, action_range=action_range, device=device, dtype=dtype, **options)
        if not isinstance(inner, Transitions):
            raise DataError(f"the learner {learner} sees {type(inner).__name__}, and phi stands for single states")
        self.inner, self.everything = inner, joined(data)
        self.scaling, self.transforms = inner.scaling, inner.transforms
        self.observation_size, self.action_size = inner.observation_size, inner.action_size
        self.device, self.dtype = inner.device, inner.dtype

    def __len__(self) -> int:
        return len(self.inner)

    def batch(self, indices: Int[Tensor, "seeds batch"]) -> Batch:
        """The learner's batch, of states themselves."""
        return self.inner.batch(indices)

    def states(self) -> Float[Tensor, "rows observation"]:
        """The observations of all episodes, as the learner sees them."""
        trajectories: Trajectories = self.everything
        scaled = torch.from_numpy(self.scaling.states(trajectories.observations))
        return scaled.to(self.device, self.dtype)


class VPTR(Composed):
    """Intention values of each seed, and a learner on phi of states."""

    Config = VPTRConfig
    config: VPTRConfig
    view = PretrainingView
    requires = (SemiSupervised,)
    quick: ClassVar[Mapping[str, Any]] = {
        "learner": "td3_bc,hidden=[32,32],learning_rate=0.003", "icvf_hidden": (32, 32), "icvf_updates": 50,
        "icvf_batch_size": 64,
    }  # fmt: skip

    def build(self) -> None:
        """phi and what it is learned with, and the learner of its features."""
        self.icvf = self.config.icvf.network(self.sizes.observation)
        self.build_learner(replace(self.sizes, observation=self.icvf.features))
        self.add("icvf", self.icvf.initialise(self.seeds, NAME), None)

    def prepare(self, data: View, say: Callable[[str], None]) -> None:
        """Fit the intention values of each seed, or find them in the cache folder."""
        view = cast(PretrainingView, data)
        made = fitted(view.everything, view.states(), self.config.icvf, self.seeds, say)
        for name, value in made.parameters.items():
            self.networks["icvf"][name].copy_(value)

    def phi(self, states: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch features"]:
        """What each seed's phi makes of states."""
        return self.icvf.phi(self.networks["icvf"], states)

    def batch(self, data: View, indices: Int[Tensor, "seeds batch"]) -> Any:
        """The learner's batch, phi in the place of states."""
        batch = data.batch(indices)
        now, after = self.phi(batch.observations), self.phi(batch.next_observations)
        return batch._replace(observations=now, next_observations=after)

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """The learner's actions at phi of the observations."""
        return self.learner.act(self.phi(observations))

    def acting(self) -> Acting:
        """Policies without a memory, as learners of transitions have them."""
        return Memoryless(self)
