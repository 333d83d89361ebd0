"""Decision Transformer (DT), Chen et al. 2021 (arXiv 2106.01345).

Behaviour cloning of whole episodes, read as one sequence of tokens (return-to-go, state, action) a step: given what has
happened and the return that is still to come, predict the action. At test time one asks for a high return, and each
reward lowers what remains to be earned.

Architecture, initialisation and constants are CORL's (commit eeeeef26), whose published scores we quote: GELU where the
official code has ReLU, windows padded at their end, a loss averaged over all entries, padded ones included. CORL's
presets train on 4096 windows an update where the paper has 64. A return that nobody lowers (a policy that is never told
its rewards) is the official code's "delayed" mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import Algorithm, Metrics, Networks, Preset, View, within
from offbench.algorithms.window import Window
from offbench.data.sequences import SequenceBatch, Sequences
from offbench.errors import OffbenchError
from offbench.nn.noise import dropout_masks
from offbench.nn.sequence_decoder import SequenceDecoder, one_hot_lookup
from offbench.nn.transformer import Transformer


@dataclass(frozen=True)
class DecisionTransformerConfig:
    """Hyperparameters of DT."""

    evaluation_target: float | None = None
    """Return that scored episodes are asked for; the highest of the data if not given."""
    return_scale: float | None = None
    """What returns-to-go are divided by; the largest absolute return of the data if not given."""
    episode_limit: int | None = None
    """Longest episode that can be embedded; the longer of the task's limit and the data's longest if not given."""
    context: int = 20
    """K, steps that the policy looks back on, the present one included."""
    embedding: int = 128
    """Length of a token."""
    layers: int = 3
    """Blocks of the transformer."""
    heads: int = 1
    """Attention heads of a block."""
    dropout: float = 0.1
    """Share of embeddings, attention weights and results of each block dropped in training."""
    learning_rate: float = 1e-4
    """Learning rate of AdamW."""
    warmup: int = 10_000
    """Updates over which the learning rate rises to its value."""
    weight_decay: float = 1e-4
    """Decoupled weight decay of AdamW."""
    clip: float = 0.25
    """Largest norm of a gradient; longer ones are shortened to it."""
    batch_size: int = 64
    """Windows of K steps a seed in one update."""
    normalise_states: bool = True
    """Standardise states by their mean and standard deviation over the data."""

    def __post_init__(self) -> None:
        for name in ("context", "embedding", "layers", "heads"):
            within(name, getattr(self, name), 1, float("inf"))
        within("dropout", self.dropout, 0, 1, open_high=True)
        within("learning_rate", self.learning_rate, 0, 1, open_low=True)
        within("weight_decay", self.weight_decay, 0, 1)
        within("clip", self.clip, 0, float("inf"), open_low=True)
        if self.return_scale is not None:
            within("return_scale", self.return_scale, 0, float("inf"), open_low=True)
        if self.embedding % self.heads:
            raise OffbenchError(f"embedding must be a multiple of heads, and {self.embedding} is none of {self.heads}")


def _corl(datasets: Sequence[str], targets: Sequence[float], scale: float, **changes: float) -> Preset:
    values = {"batch_size": 4096, "learning_rate": 8e-4, "return_scale": scale, "evaluation_target": targets[0]}
    others = " and ".join(f"{target:g}" for target in targets[1:])
    source = f"CORL configs, commit eeeeef26, which also ask for {others} and tabulate the largest"
    return Preset(tuple(datasets), values | changes, source)


class DecisionTransformer(Algorithm):
    """One network: embeddings of returns, states, actions and time, a causal transformer, a head for actions."""

    Config = DecisionTransformerConfig
    view: ClassVar[Callable[..., View]] = Sequences
    metrics: ClassVar[tuple[str, ...]] = ("actor_loss",)
    config: DecisionTransformerConfig
    quick: ClassVar[Mapping[str, Any]] = {
        "context": 3,
        "embedding": 16,
        "layers": 1,
        "heads": 2,
        "warmup": 0,
        "dropout": 0.0,
    }
    presets: ClassVar[tuple[Preset, ...]] = (
        _corl(["halfcheetah-*"], [12000.0, 6000.0], 1000.0),
        _corl(["hopper-*"], [3600.0, 1800.0], 1000.0),
        _corl(["walker2d-*"], [5000.0, 2500.0], 1000.0),
        _corl(["maze2d-*"], [280.0, 140.0], 1.0),
        _corl(["antmaze-*-diverse-*"], [1.0, 0.5, 0.25, 0.125, 0.06, 0.03], 1.0, batch_size=64, learning_rate=1e-4),
        _corl(["antmaze-*"], [1.0, 0.5], 1.0, batch_size=64, learning_rate=1e-4),
        _corl(["pen-*"], [3100.0, 1550.0], 1.0),
        _corl(["door-*"], [2900.0, 1450.0], 1.0),
        _corl(["hammer-*"], [12800.0, 6400.0], 1.0),
        _corl(["relocate-*"], [4300.0, 2150.0], 1.0),
    )

    def build(self) -> None:
        """The network, whose table of times also covers what stands after the end of an episode."""
        c = self.config
        if c.evaluation_target is None or c.return_scale is None or c.episode_limit is None:
            raise OffbenchError(
                "DT needs evaluation_target, return_scale and episode_limit; train takes them from the data"
            )
        self.target, self.scale, self.limit = c.evaluation_target, c.return_scale, c.episode_limit
        transformer = Transformer(c.embedding, c.layers, c.heads)
        self.decoder = SequenceDecoder(
            transformer, 1, self.sizes.observation, self.sizes.action, self.limit + c.context
        )
        actor = self.decoder.initialise(self.seeds, "actor")
        self.add("actor", actor, c.learning_rate, warmup=c.warmup, weight_decay=c.weight_decay, clip=c.clip)

    def losses(self, networks: Networks, batch: SequenceBatch) -> Metrics:
        """L = mean of mask (a' - a)^2 over windows, steps and action dimensions."""
        s, a, _, g, t, mask, _ = batch
        times = one_hot_lookup(networks["actor"]["time.weight"], t)
        predicted = self.decoder(networks["actor"], g.unsqueeze(-1), s, a, times, self._masks(len(s[0])))
        return {"actor_loss": ((predicted - a) ** 2 * mask.unsqueeze(-1)).mean((1, 2, 3))}

    def _masks(self, batch: int) -> list[Float[Tensor, "seeds {batch} _"]] | None:
        """Dropout masks of the embeddings and of the transformer's blocks, a function of seed and update alone."""
        c = self.config
        if c.dropout == 0:
            return None
        return dropout_masks(self.keys, self.count, self.decoder.mask_sizes(c.context), batch, c.dropout)

    def update(self, batch: SequenceBatch) -> Metrics:
        """One step of AdamW."""
        return self.descend(self.losses, ["actor"], batch)

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """Actions of the first step of episodes that are asked for ``evaluation_target``."""
        window = self.acting()
        window.reset(torch.ones(observations.shape[:2], dtype=torch.bool, device=self.device))
        return window.act(observations)

    def acting(self) -> Window:
        """The policies with the last K steps of each episode and the scaled return that it is still to earn."""
        target = torch.full((len(self.seeds), 1), self.target / self.scale, dtype=self.dtype, device=self.device)
        parameters, context = self.networks["actor"], self.config.context
        return Window(self.decoder, parameters, context, lambda: target, self.limit, self.scale)
