"""Offline preference-guided policy optimisation (OPPO), Kang et al. 2023 (arXiv 2305.16217): no reward, one code.

An encoder reads a stretch of an episode and sums it up in a code z; a policy that is given z imitates the stretch. In
the space of codes one is learned to be the best: w lies nearer to the code of what is preferred than to the other's. In
acting the policy is given w.

The official code (bkkgbkjb/OPPO) has two forms. The scripted one compares any two stretches by what is earned after
them; the defaults are its constants. The human one learns from given pairs, as here, and from it is what such data ask
for: the policy imitates windows of all trajectories, the segments of pairs are reconstructed through a policy that
stands still, so that they move the encoder alone, and ties have a term of their own. Its constants are ``context=100,
code_size=16, heads=2, preference_weight=10, norm_bound="upper", code_learning_rate=1e-2, state_noise=0.1``.

Different from both: one step of encoder and policy on the sum of all losses, where the human form makes two, and skips
imitation every second time; the code is linear in the mean of the tokens, there in their sum, which grows with the
stretch; layer normalisation stands before attention in the encoder, too; GELU for ReLU; w begins as 2 N(0, 1), as in
the scripted form. Segments longer than the context are read from a random place on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from offbench.algorithms.base import Algorithm, Metrics, Networks, View, within
from offbench.algorithms.window import Window
from offbench.data.compared_windows import ComparedWindows, ComparedWindowsBatch, Times
from offbench.data.preferences import Preferences
from offbench.errors import OffbenchError
from offbench.nn.mlp import Parameters, full_precision_linear
from offbench.nn.noise import dropout_masks, uniform
from offbench.nn.random import stream
from offbench.nn.sequence_decoder import SequenceDecoder, embedded, one_hot_lookup
from offbench.nn.transformer import Transformer, initial_linear, initial_norm, norm

EPSILON = 1e-6  # added to differences before their length is taken, as torch's triplet loss does


@dataclass(frozen=True)
class OPPOConfig:
    """Hyperparameters of OPPO."""

    code_size: int = 8
    """Numbers in a code z, and in w."""
    preference_weight: float = 0.1
    """Weight of the triplets beside reconstruction."""
    norm_weight: float = 0.1
    """Weight of what keeps codes at length 1."""
    norm_bound: Literal["both", "upper"] = "both"
    """Whether codes are kept at length 1, or only from growing longer."""
    margin: float = 1.0
    """How much nearer to w the preferred code is to lie."""
    context: int = 20
    """K, steps that encoder and policy read at most, the present one included."""
    embedding: int = 128
    """Length of a token."""
    layers: int = 3
    """Blocks of each of the two transformers."""
    heads: int = 1
    """Attention heads of a block of the policy."""
    encoder_heads: int = 2
    """Attention heads of a block of the encoder."""
    dropout: float = 0.1
    """Share of embeddings, attention weights and results of each block dropped in training."""
    state_noise: float = 0.0
    """Standard deviation of noise on the states that the policy imitates from."""
    learning_rate: float = 1e-4
    """Learning rate of AdamW for encoder and policy."""
    code_learning_rate: float = 1e-3
    """Learning rate of AdamW for w."""
    warmup: int = 10_000
    """Updates over which the policy's learning rate rises to its value."""
    weight_decay: float = 1e-4
    """Decoupled weight decay of AdamW."""
    clip: float = 0.25
    """Largest norm of the gradient of encoder and of policy; longer ones are shortened to it."""
    times: Times = "episode"
    """Number steps from the start of the episode, or from that of the window, where segments come from is unknown."""
    episode_limit: int | None = None
    """Longest episode that can be embedded; the longer of the task's limit and the data's longest if not given."""
    batch_size: int = 64
    """Pairs and windows a seed in one update."""
    normalise_states: bool = True
    """Standardise states by their mean and standard deviation over the data."""

    def __post_init__(self) -> None:
        for name in ("code_size", "context", "embedding", "layers", "heads", "encoder_heads"):
            within(name, getattr(self, name), 1, float("inf"))
        for name in ("preference_weight", "norm_weight", "margin", "state_noise"):
            within(name, getattr(self, name), 0, float("inf"))
        within("dropout", self.dropout, 0, 1, open_high=True)
        within("learning_rate", self.learning_rate, 0, 1, open_low=True)
        within("code_learning_rate", self.code_learning_rate, 0, 1, open_low=True)
        within("weight_decay", self.weight_decay, 0, 1)
        within("clip", self.clip, 0, float("inf"), open_low=True)
        for name in ("heads", "encoder_heads"):
            if self.embedding % getattr(self, name):
                raise OffbenchError(
                    f"embedding must be a multiple of {name}, and {self.embedding} is none of {getattr(self, name)}"
                )


Dropped = dict[str, list[Float[Tensor, "seeds batch _"]] | None]


class Stretch(NamedTuple):
    """Stretches of episodes.

    Attributes:
        s, a: states and actions.
        times: numbers of the steps.
        mask: 1 at steps and 0 behind them.
    """

    s: Float[Tensor, "seeds batch steps observation"]
    a: Float[Tensor, "seeds batch steps action"]
    times: Int64[Tensor, "seeds batch steps"]
    mask: Float[Tensor, "seeds batch steps"]


class Parts(NamedTuple):
    """What an update learns from.

    Attributes:
        windows: of the trajectories.
        shown: the states that the policy is shown of them.
        pairs: first segments, then second ones.
        labels: the share by which the second segment of each pair is preferred.
        dropped: dropout masks of the four passes through a network, by name; None drops nothing.
    """

    windows: Stretch
    shown: Float[Tensor, "seeds batch steps observation"]
    pairs: Stretch
    labels: Float[Tensor, "seeds batch"]
    dropped: Dropped


class OPPO(Algorithm):
    """An encoder, a policy that is given a code, and w."""

    Config = OPPOConfig
    view: ClassVar[Callable[..., View]] = ComparedWindows
    requires: ClassVar[tuple[str | type, ...]] = (Preferences,)
    metrics: ClassVar[tuple[str, ...]] = ("actor_loss", "encoder_loss", "preference_loss", "norm_loss", "code_loss")
    config: OPPOConfig
    quick: ClassVar[Mapping[str, Any]] = {
        "code_size": 4,
        "context": 3,
        "embedding": 16,
        "layers": 1,
        "heads": 2,
        "warmup": 0,
        "dropout": 0.0,
    }

    def build(self) -> None:
        """Encoder, policy and w."""
        c, sizes = self.config, self.sizes
        if c.episode_limit is None:
            raise OffbenchError("OPPO needs episode_limit; train takes it from the data")
        self.limit = c.episode_limit if c.times == "episode" else None
        rows = c.context + (self.limit or 0)
        self.reader = Transformer(c.embedding, c.layers, c.encoder_heads, causal=False)
        encoder = self.reader.initialise(self.seeds, "encoder")
        for name, size in {"state": sizes.observation, "action": sizes.action, "time": rows}.items():
            encoder |= initial_linear(self.seeds, "encoder", name, size, c.embedding)
        del encoder["time.bias"]  # a table of rows needs none
        for name in ("first_norm", "last_norm"):
            encoder |= initial_norm(self.seeds, name, c.embedding)
        encoder |= initial_linear(self.seeds, "encoder", "code", c.embedding, c.code_size)
        self.decoder = SequenceDecoder(
            Transformer(c.embedding, c.layers, c.heads), c.code_size, sizes.observation, sizes.action, rows, "code"
        )
        decoder = self.decoder.initialise(self.seeds, "decoder")
        draws = [2 * stream(seed, "initialise", "w").standard_normal((1, c.code_size)) for seed in self.seeds]
        self.add("encoder", encoder, c.learning_rate, weight_decay=c.weight_decay, clip=c.clip)
        self.add("decoder", decoder, c.learning_rate, warmup=c.warmup, weight_decay=c.weight_decay, clip=c.clip)
        self.add("code", {"w": torch.from_numpy(np.stack(draws))}, c.code_learning_rate, weight_decay=c.weight_decay)

    def noise(self) -> Mapping[str, tuple[int, ...]]:
        """That of the states that the policy imitates from."""
        c = self.config
        return {"states": (c.batch_size, c.context, self.sizes.observation)} if c.state_noise > 0 else {}

    def encode(
        self, encoder: Parameters, x: Stretch, masks: Sequence[Float[Tensor, "seeds batch _"]] | None = None
    ) -> Float[Tensor, "seeds batch code"]:
        """z of stretches, in which every state and action sees all the others; masks: of the dropout."""
        times = one_hot_lookup(encoder["time.weight"], x.times)
        tokens = [embedded(encoder, name, values) + times for name, values in (("state", x.s), ("action", x.a))]
        present = torch.stack([x.mask, x.mask], 3).flatten(2, 3)
        flat = norm(encoder, "first_norm", torch.stack(tokens, 3).flatten(2, 3))
        flat = flat if masks is None else flat * masks[0].view(flat.shape)
        read = self.reader(encoder, flat, None if masks is None else masks[1:], present=present > 0)
        read = norm(encoder, "last_norm", read)
        mean = (read * present.unsqueeze(-1)).sum(2) / present.sum(2, keepdim=True)
        return full_precision_linear(mean, encoder["code.weight"], encoder["code.bias"])

    def imitation(
        self,
        decoder: Parameters,
        x: Stretch,
        shown: Float[Tensor, "seeds batch steps observation"],
        codes: Float[Tensor, "seeds batch code"],
        masks: Sequence[Float[Tensor, "seeds batch _"]] | None = None,
    ) -> Float[Tensor, " seeds"]:
        """E (pi(a | s, z) - a)^2, a mean over steps and action dimensions; masks: of the dropout."""
        times = one_hot_lookup(decoder["time.weight"], x.times)
        conditions = codes.unsqueeze(2).expand(-1, -1, x.s.shape[2], -1)
        error = (self.decoder(decoder, conditions, shown, x.a, times, masks) - x.a) ** 2
        return (error.mean(-1) * x.mask).sum((1, 2)) / x.mask.sum((1, 2))

    def losses(self, networks: Networks, parts: Parts) -> Metrics:
        """Imitation of windows, and of pairs to move the encoder, with lambda L_triplet and beta L_norm."""
        c, dropped = self.config, parts.dropped
        codes = self.encode(networks["encoder"], parts.windows, dropped["windows"])
        imitation = self.imitation(networks["decoder"], parts.windows, parts.shown, codes, dropped["imitation"])
        codes = self.encode(networks["encoder"], parts.pairs, dropped["pairs"])
        still = self.imitation(self.networks["decoder"], parts.pairs, parts.pairs.s, codes, dropped["still"])
        w = self.networks["code"]["w"]
        return {
            "actor_loss": imitation,
            "encoder_loss": 2 * still,  # the sum of the means over first and over second segments
            "preference_loss": c.preference_weight * self._triplets(w, codes, parts.labels),
            "norm_loss": c.norm_weight * length_loss(codes, c.norm_bound),
        }

    def code_losses(self, networks: Networks, parts: Parts) -> Metrics:
        """The triplets of w, codes standing still."""
        codes = self.encode(self.networks["encoder"], parts.pairs, parts.dropped["pairs"]).detach()
        return {"code_loss": self._triplets(networks["code"]["w"], codes, parts.labels)}

    def _triplets(
        self,
        w: Float[Tensor, "seeds 1 code"],
        codes: Float[Tensor, "seeds segments code"],
        labels: Float[Tensor, "seeds pairs"],
    ) -> Float[Tensor, " seeds"]:
        first, second = codes.chunk(2, 1)
        return triplets(w, first, second, labels, self.config.margin).mean(-1)

    def _masks(self, windows: Stretch, pairs: Stretch) -> Dropped:
        """Dropout masks of each pass through a network, a function of seed and update alone."""
        rate, first = self.config.dropout, 0
        found: Dropped = {}  # a display: calling the type cannot be compiled
        for encoding, imitation, x in (("windows", "imitation", windows), ("pairs", "still", pairs)):
            batch, steps = x.s.shape[1:3]
            reading = [2 * steps * self.config.embedding, *self.reader.mask_sizes(2 * steps)]
            for name, sizes in ((encoding, reading), (imitation, self.decoder.mask_sizes(steps))):
                found[name] = dropout_masks(self.keys, self.count, sizes, batch, rate, first) if rate > 0 else None
                first += len(sizes)
        return found

    def parts(self, batch: ComparedWindowsBatch) -> Parts:
        """Windows and what is shown of them, and of each segment as many steps, from a random one on."""
        c, w = self.config, batch.windows
        windows = Stretch(w.observations, w.actions, w.timesteps, w.mask)
        shown = w.observations
        if c.state_noise > 0:
            shown = shown + c.state_noise * batch.noise["states"]
        s = torch.cat([batch.first_observations, batch.second_observations], 1)
        a = torch.cat([batch.first_actions, batch.second_actions], 1)
        first = torch.cat([batch.first_times, batch.second_times], 1).unsqueeze(-1)
        taken = min(c.context, s.shape[2])
        places = uniform(self.keys, self.count, "segment", (s.shape[1],)) * (s.shape[2] - taken + 1)
        steps = places.long().unsqueeze(-1) + torch.arange(taken, device=self.device)  # (seeds, segments, taken)
        times = steps + first if c.times == "episode" else torch.arange(taken, device=self.device).expand_as(steps)
        rows = steps.unsqueeze(-1)
        s, a = (x.gather(2, rows.expand(-1, -1, -1, x.shape[-1])) for x in (s, a))
        pairs = Stretch(s, a, times, torch.ones_like(s[..., 0]))
        return Parts(windows, shown, pairs, batch.labels, self._masks(windows, pairs))

    def update(self, batch: ComparedWindowsBatch) -> Metrics:
        """One step of encoder and policy, then one of w with the codes of the new encoder."""
        parts = self.parts(batch)
        metrics = self.descend(self.losses, ["encoder", "decoder"], parts)
        return metrics | self.descend(self.code_losses, ["code"], parts)

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """Actions of the first step of episodes."""
        window = self.acting()
        window.reset(torch.ones(observations.shape[:2], dtype=torch.bool, device=self.device))
        return window.act(observations)

    def acting(self) -> Window:
        """The policies, given w, with the last K steps of each episode."""
        parameters, context = self.networks["decoder"], self.config.context
        return Window(self.decoder, parameters, context, lambda: self.networks["code"]["w"][:, 0], self.limit)


def triplets(
    w: Float[Tensor, "seeds 1 code"],
    first: Float[Tensor, "seeds pairs code"],
    second: Float[Tensor, "seeds pairs code"],
    labels: Float[Tensor, "seeds pairs"],
    margin: float,
) -> Float[Tensor, "seeds pairs"]:
    """max(0, |w - z+| - |w - z-| + margin), z+ the code of what is preferred; of a tie the first and no margin."""
    near, far = (torch.linalg.vector_norm(w - z + EPSILON, dim=-1) for z in (first, second))
    gap = torch.where(labels > 0.5, far - near, near - far)
    return torch.relu(gap + torch.where(labels == 0.5, 0.0, margin))


def length_loss(codes: Float[Tensor, "seeds segments code"], bound: str) -> Float[Tensor, " seeds"]:
    """The sum of the means over first and second segments of (|z| - 1)^2, or with an upper bound of max(0, |z| - 1)."""
    over = torch.linalg.vector_norm(codes, dim=-1) - 1
    return 2 * (over**2 if bound == "both" else torch.relu(over)).mean(-1)
