"""Networks that give rewards to the steps of a segment: from a step alone, or from the steps before it too.

- `Markovian`: an MLP on (s_t, a_t). Lee et al. 2021, PEBBLE (arXiv 2106.05091) and most of what came after.
- `Recurrent`: the non-Markovian reward of Early et al. 2022 (arXiv 2205.15367) as in Preference Transformer's code, an
  LSTM between two MLPs.
- `Attentive`: Preference Transformer, Kim et al. 2023 (arXiv 2303.00957): causal over tokens (a_t, s_t), read at s_t,
  with the number of the step within its segment as a learned embedding. Its preference attention weighs all steps of a
  segment by those it has seen, z_t = sum_j softmax_j(q_t k_j) r_j, and the segment is judged by the z_t. (Released
  default and README leave it out; it is on here as in the paper.) The reward of a step is r_t in either case.

All take steps as (state, action) side by side and standardised; parameters are passed in, with a leading seed axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.nn.mlp import MLP, Parameters, full_precision_linear
from offbench.nn.transformer import Transformer, dense, initial_linear, initial_norm, layer_of, norm

SMALL_OUTPUT = math.sqrt(3 * 1e-2)  # times 1 / sqrt(inputs): bound of uniform weights of variance 1e-2 / inputs
STATE_TOKENS = slice(1, None, 2)
Masks = Sequence[Float[Tensor, "seeds batch _"]]


class RewardNetwork(Protocol):
    """A network that gives each step of a segment a number."""

    @property
    def looks_back(self) -> bool:
        """Whether the reward of a step depends on earlier ones."""
        ...

    @property
    def width(self) -> int:
        """Numbers that it has for a step at once, about."""
        ...

    def initialise(self, seeds: Sequence[int], name: str) -> Parameters:
        """Fresh float64 parameters, (seeds, ...) each."""
        ...

    def mask_sizes(self, length: int) -> list[int]:
        """Numbers that dropout masks hold for one segment."""
        ...

    def rewards(
        self, parameters: Parameters, steps: Float[Tensor, "seeds batch length inputs"], last: bool = False
    ) -> Float[Tensor, "seeds batch given"]:
        """r_t of all steps, or of the last alone; none depends on later steps."""
        ...

    def judged(
        self, parameters: Parameters, steps: Float[Tensor, "seeds batch length inputs"], masks: Masks | None = None
    ) -> Float[Tensor, "seeds batch length"]:
        """The numbers by which a segment is judged: r_t, or what attention makes of them."""
        ...


@dataclass(frozen=True)
class Markovian:
    """r(s, a), an MLP whose last layer begins small."""

    inputs: int
    hidden: tuple[int, ...]

    @property
    def looks_back(self) -> bool:
        """A step is all that it sees."""
        return False

    @property
    def width(self) -> int:
        """Of its widest layer."""
        return max(self.hidden)

    @property
    def mlp(self) -> MLP:
        """The network."""
        return MLP(self.inputs, self.hidden, 1)

    def initialise(self, seeds: Sequence[int], name: str) -> Parameters:
        """See `MLP.initialise`; the output's bias, which no preference tells anything of, stays 0."""
        bound = SMALL_OUTPUT / math.sqrt(self.hidden[-1])
        parameters = self.mlp.initialise(seeds, name, output_bound=bound)
        parameters[f"layer{len(self.hidden)}.bias"].zero_()
        return parameters

    def mask_sizes(self, length: int) -> list[int]:
        """It drops nothing."""
        return []

    def rewards(
        self, parameters: Parameters, steps: Float[Tensor, "seeds batch length inputs"], last: bool = False
    ) -> Float[Tensor, "seeds batch given"]:
        """See `RewardNetwork`."""
        asked = steps[:, :, -1:] if last else steps
        return self.mlp(parameters, asked.flatten(1, 2))[..., 0].view(asked.shape[:3])

    def judged(
        self, parameters: Parameters, steps: Float[Tensor, "seeds batch length inputs"], masks: Masks | None = None
    ) -> Float[Tensor, "seeds batch length"]:
        """The rewards."""
        return self.rewards(parameters, steps)


@dataclass(frozen=True)
class Recurrent:
    """An MLP of each step, an LSTM over them, and an MLP of both, of sizes E, E/2, E/2 | E/2 | E/2, E/4, E/4, 1."""

    inputs: int
    embedding: int

    @property
    def looks_back(self) -> bool:
        """By its state."""
        return True

    @property
    def width(self) -> int:
        """Of its gates."""
        return 2 * self.embedding

    @property
    def _parts(self) -> dict[str, MLP]:
        half, quarter = self.embedding // 2, self.embedding // 4
        return {
            "read": MLP(self.inputs, (self.embedding, half), half),
            "gates": MLP(2 * half, (), 4 * half),
            "tell": MLP(2 * half, (half, quarter, quarter), 1),
        }

    def initialise(self, seeds: Sequence[int], name: str) -> Parameters:
        """``read.``, ``gates.`` and ``tell.`` before the names of `MLP.initialise`."""
        drawn = {part: mlp.initialise(seeds, f"{name}/{part}") for part, mlp in self._parts.items()}
        return {f"{part}.{key}": value for part, named in drawn.items() for key, value in named.items()}

    def mask_sizes(self, length: int) -> list[int]:
        """Of the six layers outside the LSTM."""
        half, quarter = self.embedding // 2, self.embedding // 4
        return [length * size for size in (self.embedding, half, half, half, quarter, quarter)]

    def rewards(
        self, parameters: Parameters, steps: Float[Tensor, "seeds batch length inputs"], last: bool = False
    ) -> Float[Tensor, "seeds batch given"]:
        """See `RewardNetwork`."""
        return self._run(parameters, steps, None, last)

    def judged(
        self, parameters: Parameters, steps: Float[Tensor, "seeds batch length inputs"], masks: Masks | None = None
    ) -> Float[Tensor, "seeds batch length"]:
        """The rewards."""
        return self._run(parameters, steps, masks, last=False)

    def _run(self, parameters: Parameters, steps: Tensor, masks: Masks | None, last: bool) -> Tensor:
        seeds, batch, length = steps.shape[:3]
        kept = None if masks is None else [mask.view(seeds, batch * length, -1) for mask in masks]
        read = self._parts["read"](_of("read", parameters), steps.flatten(1, 2), kept and kept[:2])
        read = torch.relu(read) if kept is None else torch.relu(read) * kept[2]
        read = read.view(seeds, batch, length, -1)
        remembered = self._remembered(_of("gates", parameters), read)
        if last:
            read, remembered = read[:, :, -1:], remembered[:, :, -1:]
        both = torch.cat([read, remembered], -1)
        told = self._parts["tell"](_of("tell", parameters), both.flatten(1, 2), kept and kept[3:])
        return told[..., 0].view(both.shape[:3])

    def _remembered(
        self, gates: Parameters, read: Float[Tensor, "seeds batch length size"]
    ) -> Float[Tensor, "seeds batch length size"]:
        """h_t of c_t = f c_{t-1} + i g, h_t = o tanh(c_t) (Hochreiter and Schmidhuber 1997), from h = c = 0 on."""
        size = read.shape[-1]
        weight = gates["layer0.weight"]
        fresh = dense(read, weight[:, :size], gates["layer0.bias"])
        recurrent = weight[:, size:]
        hidden = cell = torch.zeros_like(read[:, :, 0])
        found = []
        for step in range(read.shape[2]):
            i, f, g, o = (fresh[:, :, step] + torch.bmm(hidden, recurrent)).chunk(4, -1)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            hidden = torch.sigmoid(o) * torch.tanh(cell)
            found.append(hidden)
        return torch.stack(found, 2)


@dataclass(frozen=True)
class Attentive:
    """Preference Transformer.

    Attributes:
        observation, action: sizes of the vectors.
        embedding: length of a token.
        layers, heads: of the transformer.
        longest: steps that its table of times covers.
        attends: whether segments are judged through preference attention; else rewards come of a layer of half the
            embedding, and segments are judged by them.
    """

    observation: int
    action: int
    embedding: int
    layers: int
    heads: int
    longest: int
    attends: bool = True

    @property
    def looks_back(self) -> bool:
        """By attention."""
        return True

    @property
    def width(self) -> int:
        """Of the widened tokens of a step."""
        return 8 * self.embedding

    @property
    def transformer(self) -> Transformer:
        """Its blocks."""
        return Transformer(self.embedding, self.layers, self.heads)

    def initialise(self, seeds: Sequence[int], name: str) -> Parameters:
        """Those of `Transformer.initialise`, of the embeddings, of the norms before and behind, and of the head."""
        size = self.embedding
        sizes = {"state": (self.observation, size), "action": (self.action, size), "time": (self.longest, size)}
        sizes |= (
            {"attend": (size, 2 * size + 1)} if self.attends else {"hide": (size, size // 2), "tell": (size // 2, 1)}
        )
        parameters = self.transformer.initialise(seeds, name)
        for part, (fan_in, fan_out) in sizes.items():
            parameters |= initial_linear(seeds, name, part, fan_in, fan_out)
        del parameters["time.bias"]
        return parameters | initial_norm(seeds, "first", size) | initial_norm(seeds, "final", size)

    def mask_sizes(self, length: int) -> list[int]:
        """Of the tokens, and of each block the result of attention and that of its MLP; attention weights are kept."""
        return [2 * length * self.embedding] * (1 + 2 * self.layers)

    def rewards(
        self, parameters: Parameters, steps: Float[Tensor, "seeds batch length inputs"], last: bool = False
    ) -> Float[Tensor, "seeds batch given"]:
        """See `RewardNetwork`."""
        read = self._read(parameters, steps, None, slice(-1, None) if last else STATE_TOKENS)
        return self._told(parameters, read)[..., -1]

    def judged(
        self, parameters: Parameters, steps: Float[Tensor, "seeds batch length inputs"], masks: Masks | None = None
    ) -> Float[Tensor, "seeds batch length"]:
        """z_t of preference attention, or the rewards."""
        told = self._told(parameters, self._read(parameters, steps, masks, STATE_TOKENS))
        if not self.attends:
            return told[..., -1]
        queries, keys, rewards = torch.split(told, [self.embedding, self.embedding, 1], -1)
        weights = (queries @ keys.transpose(-1, -2) / math.sqrt(self.embedding)).softmax(-1)
        return (weights.to(rewards.dtype) @ rewards)[..., 0]

    def _told(
        self, parameters: Parameters, read: Float[Tensor, "seeds batch given size"]
    ) -> Float[Tensor, "seeds batch given outputs"]:
        """(q, k, r), or r."""
        if self.attends:
            return layer_of(parameters, "attend", read)
        return layer_of(parameters, "tell", torch.relu(layer_of(parameters, "hide", read)))

    def _read(self, parameters: Parameters, steps: Tensor, masks: Masks | None, wanted: slice) -> Tensor:
        """The ``wanted`` tokens behind the blocks."""
        seeds, batch, length = steps.shape[:3]
        times = parameters["time.weight"][:, :length].unsqueeze(1)
        states, actions = torch.split(steps, [self.observation, self.action], -1)
        pairs = [_embedded(parameters, "action", actions) + times, _embedded(parameters, "state", states) + times]
        tokens = norm(parameters, "first", torch.stack(pairs, 3).view(seeds, batch, 2 * length, -1))
        inner: list[Tensor | None] | None = None
        if masks is not None:
            tokens = tokens * masks[0].view(tokens.shape)
            inner = [mask for block in range(self.layers) for mask in (None, *masks[1 + 2 * block : 3 + 2 * block])]
        return norm(parameters, "final", self.transformer(parameters, tokens, inner, wanted))


def _embedded(parameters: Parameters, name: str, values: Float[Tensor, "seeds batch length inputs"]) -> Tensor:
    """Values as tokens."""
    flat = full_precision_linear(values.flatten(1, 2), parameters[f"{name}.weight"], parameters[f"{name}.bias"])
    return flat.view(*values.shape[:3], -1)


def _of(part: str, parameters: Parameters) -> Parameters:
    """The parameters of a part by their names there."""
    start = f"{part}."
    return {name.removeprefix(start): value for name, value in parameters.items() if name.startswith(start)}
