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
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from offbench.algorithms.base import Algorithm, Metrics, Networks, Preset, View, within
from offbench.data.sequences import SequenceBatch, Sequences
from offbench.errors import OffbenchError
from offbench.nn.mlp import Parameters, full_precision, full_precision_linear
from offbench.nn.noise import dropout_masks
from offbench.nn.transformer import Transformer, initial_linear, initial_norm, norm


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
        self.transformer = Transformer(c.embedding, c.layers, c.heads)
        actor = self.transformer.initialise(self.seeds, "actor")
        inputs = {"return": 1, "state": self.sizes.observation, "action": self.sizes.action}
        for name, size in (inputs | {"time": self.limit + c.context}).items():
            actor |= initial_linear(self.seeds, "actor", name, size, c.embedding)
        del actor["time.bias"]  # a table of rows needs none
        for name in ("first_norm", "last_norm"):
            actor |= initial_norm(self.seeds, name, c.embedding)
        actor |= initial_linear(self.seeds, "actor", "head", c.embedding, self.sizes.action)
        self.add("actor", actor, c.learning_rate, warmup=c.warmup, weight_decay=c.weight_decay, clip=c.clip)

    def predict(
        self,
        actor: Parameters,
        returns_to_go: Float[Tensor, "seeds batch context"],
        states: Float[Tensor, "seeds batch context observation"],
        actions: Float[Tensor, "seeds batch context action"],
        times: Float[Tensor, "seeds batch context size"],
        masks: Sequence[Float[Tensor, "seeds batch _"]] | None = None,
    ) -> Float[Tensor, "seeds batch context action"]:
        """Actions, each from its step (but not its action) and those before it in the window.

        Args:
            actor: parameters.
            returns_to_go: scaled.
            states: scaled.
            actions: in [-1, 1].
            times: embedded numbers of the steps.
            masks: of the dropout, see ``_masks``; None drops nothing.
        """
        parts = {"return": returns_to_go.unsqueeze(-1), "state": states, "action": actions}
        tokens = [_embedded(actor, name, values) + times for name, values in parts.items()]
        x = norm(actor, "first_norm", torch.stack(tokens, 3).flatten(2, 3))
        x = x if masks is None else x * masks[0].view(x.shape)
        at_states = self.transformer(actor, x, None if masks is None else masks[1:], wanted=slice(1, None, 3))
        flat = norm(actor, "last_norm", at_states).flatten(1, 2)
        head = full_precision_linear(flat, actor["head.weight"], actor["head.bias"])
        return torch.tanh(head).view(*times.shape[:3], -1)

    def losses(self, networks: Networks, batch: SequenceBatch) -> Metrics:
        """L = mean of mask (a' - a)^2 over windows, steps and action dimensions."""
        s, a, _, g, t, mask, _ = batch
        times = one_hot_lookup(networks["actor"]["time.weight"], t)
        predicted = self.predict(networks["actor"], g, s, a, times, self._masks(len(s[0])))
        return {"actor_loss": ((predicted - a) ** 2 * mask.unsqueeze(-1)).mean((1, 2, 3))}

    def _masks(self, batch: int) -> list[Float[Tensor, "seeds {batch} _"]] | None:
        """Dropout masks of the embeddings and of the transformer's blocks, a function of seed and update alone."""
        c = self.config
        if c.dropout == 0:
            return None
        sizes = [3 * c.context * c.embedding, *self.transformer.mask_sizes(3 * c.context)]
        return dropout_masks(self.keys, self.count, sizes, batch, c.dropout)

    def update(self, batch: SequenceBatch) -> Metrics:
        """One step of AdamW."""
        return self.descend(self.losses, ["actor"], batch)

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """Actions of the first step of episodes that are asked for ``evaluation_target``."""
        window = self.acting()
        window.reset(torch.ones(observations.shape[:2], dtype=torch.bool, device=self.device))
        return window.act(observations)

    def acting(self) -> Window:
        """The policies with the last K steps of each episode."""
        return Window(self)


class Window:
    """The last K steps of each episode under way, the present one included, earliest first.

    The whole window is read anew at each step. Keeping keys and values of earlier steps would not be exact once the
    window slides: all but the first block's have seen steps that are no longer in it.

    Attributes:
        memory: ``age`` (seeds, batch), steps done; ``to_go`` (seeds, batch), scaled return still to be earned;
            ``returns`` (seeds, batch, K), ``states`` (seeds, batch, K, observation) and ``actions`` (seeds, batch, K,
            action) of the window. Empty before the first reset.
    """

    def __init__(self, algorithm: DecisionTransformer) -> None:
        self.algorithm, self.context = algorithm, algorithm.config.context
        self.memory: dict[str, Tensor] = {}

    def reset(self, mask: Bool[Tensor, "seeds batch"]) -> None:
        """Begin new episodes, which are asked for the evaluation target, where mask is true."""
        if not self.memory or self.memory["age"].shape != mask.shape:
            returns = torch.zeros(*mask.shape, self.context, dtype=self.algorithm.dtype, device=mask.device)
            self.memory = {
                "age": torch.zeros_like(mask, dtype=torch.int64),
                "to_go": torch.zeros_like(returns[..., 0]),
                "returns": returns,
                "states": returns.unsqueeze(-1).repeat(1, 1, 1, self.algorithm.sizes.observation),
                "actions": returns.unsqueeze(-1).repeat(1, 1, 1, self.algorithm.sizes.action),
            }
            mask = torch.ones_like(mask)
        m = self.memory
        target = self.algorithm.target / self.algorithm.scale
        self.memory = m | {"age": m["age"].masked_fill(mask, 0), "to_go": m["to_go"].masked_fill(mask, target)}

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """Actions for what has happened in each episode and what it is still asked for.

        Raises:
            OffbenchError: it was never reset for so many episodes, or an episode exceeds ``episode_limit``.
        """
        m = self.memory
        if not m or m["age"].shape != observations.shape[:2]:
            raise OffbenchError("a policy with a memory was asked to act before its reset; call reset(mask) first")
        count = self._steps_in_use(m["age"])
        place = m["age"].clamp(max=self.context - 1)
        full = (m["age"] >= self.context).unsqueeze(-1)
        here = torch.arange(self.context, device=place.device) == place.unsqueeze(-1)  # (seeds, batch, K)
        returns = torch.where(here, m["to_go"].unsqueeze(-1), _slid(m["returns"], full))
        full, there = full.unsqueeze(-1), here.unsqueeze(-1)
        states = torch.where(there, observations.unsqueeze(2), _slid(m["states"], full))
        actions = torch.where(there, 0, _slid(m["actions"], full))

        actor = self.algorithm.networks["actor"]
        steps = (m["age"] - place).unsqueeze(-1) + torch.arange(count, device=place.device)
        seeds = torch.arange(len(steps), device=place.device).view(-1, 1, 1)
        times = actor["time.weight"][seeds, steps]
        shown = [part[:, :, :count] for part in (returns, states, actions)]
        predicted = self.algorithm.predict(actor, shown[0], shown[1], shown[2], times)
        chosen = torch.where(there[:, :, :count], predicted, 0).sum(2)
        actions = torch.where(there, chosen.unsqueeze(2), actions)
        self.memory = m | {"age": m["age"] + 1, "returns": returns, "states": states, "actions": actions}
        return chosen

    def _steps_in_use(self, age: Int64[Tensor, "seeds batch"]) -> int:
        """How much of the windows is read: what lies behind an episode's own place does not reach back to it."""
        if torch.compiler.is_exporting():  # a graph that is written to a file cannot depend on numbers: it reads all
            return self.context
        oldest = int(age.max())
        if oldest >= self.algorithm.limit:
            raise OffbenchError(f"an episode exceeds {self.algorithm.limit} steps; train with a larger episode_limit")
        return min(oldest, self.context - 1) + 1

    def observe(self, rewards: Float[Tensor, "seeds batch"]) -> None:
        """Lower what remains to be earned by rewards."""
        if self.memory:
            self.memory = self.memory | {"to_go": self.memory["to_go"] - rewards / self.algorithm.scale}


def _slid(
    window: Float[Tensor, "seeds batch context *row"], full: Bool[Tensor, "seeds batch ..."]
) -> Float[Tensor, "seeds batch context *row"]:
    """The window without its first step where it is full."""
    return torch.where(full, window.roll(-1, 2), window)


def _embedded(
    actor: Parameters, name: str, values: Float[Tensor, "seeds batch context inputs"]
) -> Float[Tensor, "seeds batch context size"]:
    """Values as tokens."""
    flat = full_precision_linear(values.flatten(1, 2), actor[f"{name}.weight"], actor[f"{name}.bias"])
    return flat.view(*values.shape[:3], -1)


def one_hot_lookup(
    table: Float[Tensor, "seeds entries size"], places: Int64[Tensor, "seeds batch context"]
) -> Float[Tensor, "seeds batch context size"]:
    """The entries of each seed's table at ``places``.

    As a product with zeros and ones, whose gradient is a product too. That of a gather adds in whatever order threads
    arrive (torch 2.13, compiled), and two runs would differ in the last digits.
    """
    chosen = places.flatten(1).unsqueeze(-1) == torch.arange(table.shape[1], device=table.device)
    with full_precision(table.device.type):
        return torch.bmm(chosen.to(table.dtype), table).view(*places.shape, -1)
