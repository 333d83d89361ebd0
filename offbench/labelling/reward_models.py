"""Reward models: how they are made, and how they judge the segments of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from offbench.data.preferences import Preferences
from offbench.data.segments import Segments
from offbench.errors import DataError, OffbenchError
from offbench.labelling.reward_networks import Attentive, Markovian, Masks, Recurrent, RewardNetwork
from offbench.nn.mlp import Parameters

NAME = "reward model"
Model = Literal["markovian", "lstm", "transformer"]
Judgement = Literal["mean", "sum"]
# The transformer's is the highest of its schedule. As published, but for the MLP's of 3e-4, for many more updates.
LEARNING_RATES: dict[Model, float] = {"markovian": 1e-3, "lstm": 1e-3, "transformer": 1e-3}
# Numbers between two layers that are had at once: a CPU's memory holds some eighty times as many.
ROOM = {"cpu": 2**23, "cuda": 2**29}


@dataclass(frozen=True)
class RewardConfig:
    """How reward models are fitted; the defaults are sized for a CPU.

    Published, of Preference Transformer: an embedding of 256, batches of 256 pairs and 10,000 passes over all pairs, of
    which the parameters with the lowest hold-out loss count, as here.
    """

    model: Model = "markovian"
    """An MLP on state and action, an LSTM over the segment, or the Preference Transformer."""
    members: int = 1
    """Networks of the ensemble, fitted to the same pairs."""
    hidden: tuple[int, ...] = (256, 256)
    """Sizes of the MLP's hidden layers."""
    embedding: int = 64
    """E of the LSTM, length of a token of the transformer; published: 256."""
    layers: int = 1
    """Blocks of the transformer."""
    heads: int = 4
    """Attention heads of a block."""
    attention: bool = True
    """Judge segments through preference attention; the transformer's alone."""
    longest: int = 100
    """Steps that the transformer's table of times covers; no segment may be longer."""
    dropout: float = 0.1
    """Share of embeddings and results of layers that is dropped while fitting; the MLP drops nothing."""
    judgement: Judgement = "mean"
    """Whether a segment is judged by the mean or the sum of its steps."""
    learning_rate: float | None = None
    """Of Adam; 1e-3 if not given; the highest of the transformer's schedule. Published: 3e-4 for the MLP."""
    weight_decay: float = 1e-4
    """Of AdamW; the transformer's alone."""
    batch_size: int = 16
    """Pairs a member in one update."""
    updates: int = 500
    """Of each member."""
    hold_out: float = 0.1
    """Share of the pairs that is held out to choose among parameters; 0 keeps those after the last update."""
    validate_every: int = 20
    """Updates between two looks at what is held out."""

    def __post_init__(self) -> None:
        for name in ("members", "embedding", "layers", "heads", "longest", "batch_size", "updates", "validate_every"):
            if getattr(self, name) < 1:
                raise OffbenchError(f"{name} of a {NAME} must be at least 1, not {getattr(self, name)}")
        if self.model not in LEARNING_RATES:
            raise OffbenchError(f"the {NAME} must be one of {', '.join(LEARNING_RATES)}, not {self.model!r}")
        if self.judgement not in ("mean", "sum"):
            raise OffbenchError(f"a segment is judged by the mean or the sum of its steps, not by {self.judgement!r}")
        if not self.hidden or min(self.hidden) < 1:
            raise OffbenchError(f"a {NAME} needs a hidden layer of at least one unit, not {self.hidden}")
        if self.embedding % self.heads or self.embedding % 4:
            raise OffbenchError(
                f"the embedding of a {NAME} must be a multiple of its {self.heads} heads and of 4, not {self.embedding}"
            )
        if not 0 <= self.dropout < 1 or not 0 <= self.hold_out < 1:
            raise OffbenchError(f"dropout and hold_out of a {NAME} must lie in [0, 1)")
        if self.weight_decay < 0 or not 0 < self.rate <= 1:
            raise OffbenchError(f"learning_rate of a {NAME} must lie in (0, 1], and weight_decay must not be negative")

    @property
    def rate(self) -> float:
        """The learning rate."""
        return LEARNING_RATES[self.model] if self.learning_rate is None else self.learning_rate

    def network(self, observation: int, action: int) -> RewardNetwork:
        """The network of these sizes."""
        if self.model == "markovian":
            return Markovian(observation + action, self.hidden)
        if self.model == "lstm":
            return Recurrent(observation + action, self.embedding)
        return Attentive(
            observation, action, self.embedding, self.layers, self.heads, self.longest, attends=self.attention
        )


def initial(network: RewardNetwork, cases: Sequence[tuple[int, str]], members: int, inputs: int) -> Parameters:
    """Fresh float64 parameters (cases, members, ...) of seeds and names; inputs are taken as they are."""
    drawn = [
        network.initialise([seed], f"{NAME}{name}/member{member}") for seed, name in cases for member in range(members)
    ]
    shape = (len(cases), members)
    named = {name: torch.cat([one[name] for one in drawn]).view(*shape, *drawn[0][name].shape[1:]) for name in drawn[0]}
    named["input.mean"] = torch.zeros(*shape, 1, inputs, dtype=torch.float64)
    named["input.std"] = torch.ones(*shape, 1, inputs, dtype=torch.float64)
    return named


def standardised(
    parameters: Parameters, steps: Float[Tensor, "#rows batch length inputs"]
) -> Float[Tensor, "rows batch length inputs"]:
    """States and actions of the environment as the networks see them."""
    return (steps - parameters["input.mean"].unsqueeze(1)) / parameters["input.std"].unsqueeze(1)


def differences(
    network: RewardNetwork,
    config: RewardConfig,
    parameters: Parameters,
    sides: Float[Tensor, "rows segments length inputs"],
    masks: Masks | None = None,
) -> Float[Tensor, "rows pairs"]:
    """What the second segments are given less what the first are; ``sides`` has all first ones, then all second."""
    judged = network.judged(parameters, standardised(parameters, sides), masks)
    given = judged.mean(-1) if config.judgement == "mean" else judged.sum(-1)
    first, second = given.chunk(2, 1)
    return second - first


def stacked(side: Segments, device: torch.device, dtype: torch.dtype) -> Float[Tensor, "pairs length inputs"]:
    """States and actions of segments side by side.

    Raises:
        DataError: they are no vectors.
    """
    if side.observations.ndim != 3:
        raise DataError(f"a {NAME} sees observations that are vectors, not of shape {side.observations.shape[2:]}")
    return torch.from_numpy(np.concatenate([side.observations, side.actions], -1)).to(device, dtype)


class Compared:
    """How the models of some cases judge pairs, on the device that they are on.

    Attributes:
        network: theirs.
        segments: of all pairs, the first and the second, states and actions side by side.
    """

    def __init__(
        self, preferences: Preferences, config: RewardConfig, device: torch.device, dtype: torch.dtype
    ) -> None:
        if config.model == "transformer" and preferences.length > config.longest:
            raise DataError(
                f"segments have {preferences.length} steps, and the transformer's table of times covers "
                f"{config.longest}; longest={preferences.length} would be right"
            )
        self.config, self.length = config, preferences.length
        self.segments = torch.stack([stacked(side, device, dtype) for side in (preferences.first, preferences.second)])
        sizes = preferences.first.observations.shape[-1], preferences.first.actions.shape[-1]
        self.network = config.network(*sizes)

    def at(self, pairs: Int[Tensor, "rows batch"]) -> Float[Tensor, "rows segments length inputs"]:
        """The segments of pairs, all first ones and then all second ones."""
        return torch.cat([self.segments[0][pairs], self.segments[1][pairs]], 1)

    def differences(self, parameters: Parameters, pairs: Int[Tensor, "rows batch"]) -> Float[Tensor, "rows batch"]:
        """Those of flat parameters (rows, ...), without gradients, a few at a time."""
        most = max(1, room(self.segments.device) // (2 * self.length * self.network.width * len(pairs)))
        with torch.no_grad():
            parts = [
                differences(self.network, self.config, parameters, self.at(p)) for p in torch.split(pairs, most, 1)
            ]
        return torch.cat(parts, 1)


def room(device: torch.device) -> int:
    """Numbers between two layers that are had at once."""
    return ROOM.get(device.type, ROOM["cuda"])


def described(config: RewardConfig) -> dict[str, Any]:
    """The hyperparameters, as JSON holds them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}
