"""Rewards learned from preferences, and any learner on them: Preference Transformer and what it is compared with.

Preferences between pairs of segments stand in the place of rewards. A reward model of each seed is fitted to them
(`offbench.labelling.reward_networks`: Markovian, LSTM or Preference Transformer, Kim et al. 2023, arXiv 2303.00957),
says the rewards of all steps, and one of our algorithms learns from these: IQL, as published, unless another is asked
for. Several members are made one by a pessimistic aggregate (Coste et al. 2024, arXiv 2310.02743).

Returns under the learned rewards are scaled to span the limit of steps, and 1/2 is added to each step (locomotion), or
1 subtracted (AntMaze), as in Preference Transformer's code; the learner's own transform of rewards is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import Preset, View
from offbench.algorithms.filled import Filled, FilledConfig, FilledView, Fills, learner_view
from offbench.data.preference_data import PreferenceData
from offbench.data.preferences import Preferences
from offbench.data.scaling import ActionRange
from offbench.labelling import reward_labels
from offbench.labelling.reward_fitting import fitted
from offbench.labelling.reward_labels import LabelConfig, rewards
from offbench.labelling.reward_models import Judgement, Model, RewardConfig, initial
from offbench.labelling.reward_relabelling import held_out_quality


@dataclass(frozen=True)
class RewardModelConfig(FilledConfig):
    """Hyperparameters of the reward model, of its labels, and of the learner."""

    learner: str = "iql"
    """What learns from the learned rewards, with hyperparameters of its own: iql or iql,expectile=0.9."""
    model: Model = "markovian"
    """The reward model: an MLP on state and action, an LSTM over segments, or the Preference Transformer."""
    members: int = 1
    """Reward models of a seed, fitted to the same pairs."""
    aggregate: reward_labels.Aggregate = "mean"
    """Of several members, each standardised: their mean, least (wco), mean - pessimism variance (uwo), median, ..."""
    pessimism: float = 0.5
    """lambda of uwo."""
    shift: reward_labels.Shift = "plus_half"
    """Added to each scaled reward: 1/2 as in locomotion; -1, the lowest return at 0, as in AntMaze; or nothing."""
    episode_limit: int | None = None
    """What returns span once scaled; the longer of the task's limit and the data's longest episode if not given."""
    model_hidden: tuple[int, ...] = (256, 256)
    """Sizes of the Markovian model's hidden layers."""
    model_embedding: int = 64
    """Size of the LSTM's first layer, or of the transformer's tokens; published: 256."""
    model_layers: int = 1
    """Blocks of the transformer."""
    model_heads: int = 4
    """Attention heads of a block."""
    attention: bool = True
    """Whether the transformer judges segments through preference attention."""
    longest: int = 100
    """Steps that the transformer's table of times covers; no segment may be longer."""
    model_dropout: float = 0.1
    """Share that LSTM and transformer drop while they are fitted."""
    judgement: Judgement = "mean"
    """Whether a segment is judged by the mean or the sum of its steps."""
    model_learning_rate: float | None = None
    """Of the reward model; 1e-3 if not given. Published: 3e-4 for the MLP."""
    model_batch_size: int = 16
    """Pairs a member in one update; published: 256."""
    model_updates: int = 500
    """Updates of the reward model, of which the best on held-out pairs counts."""
    hold_out: float = 0.1
    """Share of the pairs that is held out to choose among them; with 0 the last counts."""

    scales_rewards: ClassVar[bool] = True

    def __post_init__(self) -> None:
        # Each refuses what it does not hold.
        _, _ = self.reward, self.labels

    @property
    def reward(self) -> RewardConfig:
        """How reward models are fitted."""
        return RewardConfig(
            model=self.model,
            members=self.members,
            hidden=self.model_hidden,
            embedding=self.model_embedding,
            layers=self.model_layers,
            heads=self.model_heads,
            attention=self.attention,
            longest=self.longest,
            dropout=self.model_dropout,
            judgement=self.judgement,
            learning_rate=self.model_learning_rate,
            batch_size=self.model_batch_size,
            updates=self.model_updates,
            hold_out=self.hold_out,
        )

    @property
    def labels(self) -> LabelConfig:
        """What becomes of what they say."""
        return LabelConfig(self.aggregate, self.pessimism, self.shift, self.episode_limit)


class ComparedView(FilledView):
    """The learner's view of data whose rewards are yet to be filled in, and the preferences that tell of them."""

    def __init__(
        self,
        data: PreferenceData,
        learner: str,
        action_range: ActionRange | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """See `learner_view`."""
        made = learner_view(data.trajectories, learner, "rewards", action_range, device, dtype)
        super().__init__(made.inner, np.zeros(data.trajectories.steps, dtype=bool))
        self.preferences = data.preferences


_PT = "Preference Transformer's code"


class RewardModel(Filled):
    """Reward models of each seed, and a learner on the rewards that they say."""

    Config = RewardModelConfig
    config: RewardModelConfig
    view = ComparedView
    requires = (Preferences,)
    fills: ClassVar[Fills] = "rewards"
    quick: ClassVar[Mapping[str, Any]] = {
        "learner": "iql,hidden=[32,32],learning_rate=0.003", "model_hidden": (32,), "model_updates": 300,
        "model_learning_rate": 1e-2, "hold_out": 0.0,
    }  # fmt: skip
    presets: ClassVar[tuple[Preset, ...]] = (Preset(("antmaze-*",), {"shift": "minus_one"}, _PT),)

    def build_model(self) -> None:
        """The members, which Adam leaves alone once they are fitted."""
        c, sizes = self.config.reward, self.sizes
        self.network = c.network(sizes.observation, sizes.action)
        named = [(seed, "") for seed in self.seeds]
        self.add("reward", initial(self.network, named, c.members, sizes.observation + sizes.action), None)

    def prepare(self, data: View, say: Callable[[str], None]) -> None:
        """Fit the members of each seed, or find them in the cache folder."""
        preferences, c = cast(ComparedView, data).preferences, self.config.reward
        made = fitted(preferences, c, self.seeds, say, self.device, self.dtype)
        for name, value in made.parameters.items():
            self.networks["reward"][name].copy_(value)
        quality = held_out_quality(preferences, c, made.parameters, self.seeds)
        for row, seed in enumerate(self.seeds):
            say(f"reward model: seed {seed} {quality.sentence(row)}")
        say(f"reward model: rewards are {reward_labels.told(c.members, self.config.labels)}")

    def labels(self, data: FilledView) -> Float[Tensor, "seeds steps 1"]:
        """What the members of each seed say, as `offbench.labelling.reward_labels` makes it one."""
        length, offsets = cast(ComparedView, data).preferences.length, data.trajectories.offsets
        members = rewards(self.network, self.networks["reward"], data.trajectories, length)
        return reward_labels.labels(members, offsets, self.config.labels).unsqueeze(-1)
