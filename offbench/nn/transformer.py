"""Transformer blocks (Vaswani et al. 2017, arXiv 1706.03762), causal or not, whose weights carry a leading seed axis.

Layer normalisation stands before attention and before the MLP of each block (GPT-2, Radford et al. 2019); the MLP is
four times as wide as a token and uses GELU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from offbench.nn.mlp import Parameters, linear
from offbench.nn.random import stream

INITIAL_STD = 0.02  # of weights, as in GPT-2
EVERY_TOKEN = slice(None)


@dataclass(frozen=True)
class Transformer:
    """A stack of blocks; a description only, parameters are passed in at each call.

    Attributes:
        size: length of a token.
        layers: number of blocks.
        heads: number of attention heads, a divisor of ``size``.
        causal: whether a token depends on none that stand after it.
    """

    size: int
    layers: int
    heads: int
    causal: bool = True

    def initialise(self, seeds: Sequence[int], name: str) -> Parameters:
        """Fresh float64 parameters ``block<i>.<part>.<weight, bias, scale or shift>``.

        Weights (seeds, in, out) are N(0, 0.02^2) and biases (seeds, 1, out) zero; the joint map to queries, keys and
        values is drawn as torch.nn.MultiheadAttention does, uniformly after Glorot and Bengio 2010.
        """
        size, parameters = self.size, Parameters()
        for block in (f"block{layer}" for layer in range(self.layers)):
            parameters |= initial_norm(seeds, f"{block}.norm1", size)
            parameters |= initial_linear(seeds, name, f"{block}.attention", size, 3 * size, glorot=True)
            parameters |= initial_linear(seeds, name, f"{block}.projection", size, size)
            parameters |= initial_norm(seeds, f"{block}.norm2", size)
            parameters |= initial_linear(seeds, name, f"{block}.widen", size, 4 * size)
            parameters |= initial_linear(seeds, name, f"{block}.narrow", 4 * size, size)
        return parameters

    def mask_sizes(self, tokens: int) -> list[int]:
        """Numbers that dropout masks hold for one sequence; three a block: attention, its result, the MLP's result."""
        return [self.heads * tokens**2, tokens * self.size, tokens * self.size] * self.layers

    def __call__(
        self,
        parameters: Parameters,
        tokens: Float[Tensor, "seeds batch tokens size"],
        masks: Sequence[Float[Tensor, "seeds batch _"] | None] | None = None,
        wanted: slice = EVERY_TOKEN,
        present: Bool[Tensor, "seeds batch tokens"] | None = None,
    ) -> Float[Tensor, "seeds batch wanted size"]:
        """Tokens of which each depends on the one that stood at its place and, if causal, on earlier ones alone.

        Args:
            parameters: see ``initialise``.
            tokens: what it reads.
            masks: of the sizes in ``mask_sizes``, 0 or 1 / (1 - rate); None, or None among them, drops nothing.
            wanted: the tokens to return; the last block then computes only what these need.
            present: which tokens others may look at, where it is not causal; all of them if None.
        """
        x = tokens
        for layer in range(self.layers):
            own = None if masks is None else masks[3 * layer : 3 * layer + 3]
            last = layer == self.layers - 1
            x = self._block(parameters, f"block{layer}", x, own, wanted if last else EVERY_TOKEN, present)
        return x

    def _block(
        self,
        parameters: Parameters,
        block: str,
        x: Tensor,
        masks: Sequence[Tensor | None] | None,
        wanted: slice,
        present: Tensor | None,
    ) -> Tensor:
        """The ``wanted`` tokens of one block on x (seeds, batch, tokens, size)."""
        tokens, size = x.shape[2:]
        normal = norm(parameters, f"{block}.norm1", x)
        weight, bias = parameters[f"{block}.attention.weight"], parameters[f"{block}.attention.bias"]
        queries = self._by_head(dense(normal[:, :, wanted], weight[..., :size], bias[..., :size]))
        keys, values = torch.split(dense(normal, weight[..., size:], bias[..., size:]), size, -1)
        dropped, mixing, narrowing = (None, None, None) if masks is None else masks
        kept = None if dropped is None else dropped.view(-1, self.heads, tokens, tokens)
        keys, values = self._by_head(keys), self._by_head(values)
        if self.causal:
            mixed = causal_attention(queries, keys, values, kept, wanted)
        else:
            seen = None if present is None else present.flatten(0, 1)
            mixed = full_attention(queries, keys, values, None if kept is None else kept[:, :, wanted], seen)
        x = x[:, :, wanted]
        shape = (*x.shape[:2], tokens, size)  # of the masks
        mixed = layer_of(parameters, f"{block}.projection", mixed.transpose(1, 2).reshape(x.shape))
        x = x + (mixed if mixing is None else mixed * mixing.view(shape)[:, :, wanted])
        wide = functional.gelu(layer_of(parameters, f"{block}.widen", norm(parameters, f"{block}.norm2", x)))
        narrow = layer_of(parameters, f"{block}.narrow", wide)
        return x + (narrow if narrowing is None else narrow * narrowing.view(shape)[:, :, wanted])

    def _by_head(self, x: Tensor) -> Tensor:
        """(seeds, batch, tokens, size) as (seeds * batch, heads, tokens, size / heads)."""
        return x.reshape(-1, x.shape[2], self.heads, x.shape[3] // self.heads).transpose(1, 2)


def causal_attention(
    queries: Float[Tensor, "sequences heads wanted size"],
    keys: Float[Tensor, "sequences heads tokens size"],
    values: Float[Tensor, "sequences heads tokens size"],
    masks: Float[Tensor, "sequences heads tokens tokens"] | None = None,
    wanted: slice = EVERY_TOKEN,
) -> Float[Tensor, "sequences heads wanted size"]:
    """softmax(Q K^T / sqrt(size)) V over each token and those before it, in sequences of whichever seed.

    Args:
        queries: those of the ``wanted`` tokens.
        keys: of all tokens.
        values: of all tokens.
        masks: factors of the attention weights after the softmax, for dropout.
        wanted: which tokens ask.
    """
    if masks is None and wanted == EVERY_TOKEN:
        return functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    tokens = keys.shape[-2]
    later = torch.ones(tokens, tokens, dtype=torch.bool, device=keys.device).triu(1)[wanted]
    if masks is None:
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=~later)
    # The fused kernel draws its own dropout, which would not be the same in another group of seeds.
    scores = queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1])
    weights = scores.masked_fill(later, -math.inf).softmax(-1)
    return (weights * masks[:, :, wanted]).to(values.dtype) @ values


def full_attention(
    queries: Float[Tensor, "sequences heads wanted size"],
    keys: Float[Tensor, "sequences heads tokens size"],
    values: Float[Tensor, "sequences heads tokens size"],
    masks: Float[Tensor, "sequences heads wanted tokens"] | None = None,
    present: Bool[Tensor, "sequences tokens"] | None = None,
) -> Float[Tensor, "sequences heads wanted size"]:
    """softmax(Q K^T / sqrt(size)) V over all tokens that are ``present``; at least one of each sequence must be.

    masks: factors of the attention weights after the softmax, for dropout.
    """
    seen = None if present is None else present[:, None, None]
    if masks is None:
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=seen)
    scores = queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1])
    scores = scores if seen is None else scores.masked_fill(~seen, -math.inf)
    return (scores.softmax(-1) * masks).to(values.dtype) @ values


def dense(
    x: Float[Tensor, "seeds batch tokens inputs"],
    weight: Float[Tensor, "seeds inputs outputs"],
    bias: Float[Tensor, "seeds 1 outputs"],
) -> Float[Tensor, "seeds batch tokens outputs"]:
    """x W + b."""
    return linear(x.flatten(1, 2), weight, bias).view(*x.shape[:3], -1)


def layer_of(
    parameters: Parameters, name: str, x: Float[Tensor, "seeds batch tokens inputs"]
) -> Float[Tensor, "seeds batch tokens outputs"]:
    """`dense` with the weight and bias of that name."""
    return dense(x, parameters[f"{name}.weight"], parameters[f"{name}.bias"])


def norm(
    parameters: Parameters, name: str, x: Float[Tensor, "seeds batch tokens size"]
) -> Float[Tensor, "seeds batch tokens size"]:
    """Layer normalisation (Ba et al. 2016, arXiv 1607.06450), with a scale and shift of each seed."""
    scale, shift = parameters[f"{name}.scale"], parameters[f"{name}.shift"]
    return functional.layer_norm(x, x.shape[-1:]) * scale.unsqueeze(1) + shift.unsqueeze(1)


def initial_linear(
    seeds: Sequence[int], network: str, name: str, fan_in: int, fan_out: int, glorot: bool = False
) -> Parameters:
    """``<name>.weight`` (seeds, in, out), N(0, 0.02^2) or Glorot's uniform, and ``<name>.bias`` (seeds, 1, out), 0."""
    draws = []
    for seed in seeds:
        generator = stream(seed, "initialise", f"{network}/{name}")
        bound = math.sqrt(6 / (fan_in + fan_out))
        shape = (fan_in, fan_out)
        draws.append(generator.uniform(-bound, bound, shape) if glorot else generator.normal(0, INITIAL_STD, shape))
    weight = torch.from_numpy(np.stack(draws))
    return {f"{name}.weight": weight, f"{name}.bias": torch.zeros(len(seeds), 1, fan_out, dtype=torch.float64)}


def initial_norm(seeds: Sequence[int], name: str, size: int) -> Parameters:
    """``<name>.scale`` of ones and ``<name>.shift`` of zeros, (seeds, 1, size) each."""
    shape = (len(seeds), 1, size)
    return {f"{name}.scale": torch.ones(shape, dtype=torch.float64), f"{name}.shift": torch.zeros(shape).double()}
