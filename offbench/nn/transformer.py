"""Causal transformer blocks (Vaswani et al. 2017, arXiv 1706.03762) whose weights carry a leading seed axis.

Layer normalisation stands before attention and before the MLP of each block (GPT-2, Radford et al. 2019); the MLP is
four times as wide as a token and uses GELU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from offbench.nn.mlp import Parameters, linear
from offbench.nn.random import stream

INITIAL_STD = 0.02  # of weights, as in GPT-2


@dataclass(frozen=True)
class Transformer:
    """A stack of blocks; a description only, parameters are passed in at each call.

    Attributes:
        size: length of a token.
        layers: number of blocks.
        heads: number of attention heads, a divisor of ``size``.
    """

    size: int
    layers: int
    heads: int

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

    def __call__(self, parameters: Parameters, tokens: Tensor, masks: Sequence[Tensor] | None = None) -> Tensor:
        """Map (seeds, batch, tokens, size) to that shape; what stands at a token depends on it and earlier ones alone.

        masks: (seeds, batch, numbers) each, of the sizes in ``mask_sizes``, 0 or 1 / (1 - rate); None drops nothing.
        """
        x = tokens.flatten(1, 2)
        for layer in range(self.layers):
            own = None if masks is None else masks[3 * layer : 3 * layer + 3]
            x = self._block(parameters, f"block{layer}", x, tokens.shape[2], own)
        return x.view(tokens.shape)

    def _block(
        self, parameters: Parameters, block: str, x: Tensor, tokens: int, masks: Sequence[Tensor] | None
    ) -> Tensor:
        """One block on x (seeds, batch * tokens, size)."""
        joint = dense(parameters, f"{block}.attention", norm(parameters, f"{block}.norm1", x))
        queries, keys, values = joint.view(-1, tokens, 3, self.heads, self.size // self.heads).permute(2, 0, 3, 1, 4)
        kept = None if masks is None else masks[0].view(-1, self.heads, tokens, tokens)
        mixed = causal_attention(queries, keys, values, kept).transpose(1, 2).reshape(x.shape)
        mixed = dense(parameters, f"{block}.projection", mixed)
        x = x + (mixed if masks is None else mixed * masks[1].view(x.shape))
        wide = functional.gelu(dense(parameters, f"{block}.widen", norm(parameters, f"{block}.norm2", x)))
        narrow = dense(parameters, f"{block}.narrow", wide)
        return x + (narrow if masks is None else narrow * masks[2].view(x.shape))


def causal_attention(queries: Tensor, keys: Tensor, values: Tensor, masks: Tensor | None = None) -> Tensor:
    """softmax(Q K^T / sqrt(size)) V over each token and those before it; all (sequences, heads, tokens, size).

    masks: (sequences, heads, tokens, tokens), factors of the attention weights after the softmax, for dropout.
    """
    if masks is None:
        return functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    # The fused kernel draws its own dropout, which would not be the same in another group of seeds.
    scores = queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1])
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
    weights = scores.masked_fill(later, -math.inf).softmax(-1)
    return (weights * masks).to(values.dtype) @ values


def dense(parameters: Parameters, name: str, x: Tensor) -> Tensor:
    """x W + b for x (seeds, rows, in) with the weight and bias of that name."""
    return linear(x, parameters[f"{name}.weight"], parameters[f"{name}.bias"])


def norm(parameters: Parameters, name: str, x: Tensor) -> Tensor:
    """Layer normalisation (Ba et al. 2016, arXiv 1607.06450) of x (seeds, rows, size), each seed with its own scale."""
    return functional.layer_norm(x, x.shape[-1:]) * parameters[f"{name}.scale"] + parameters[f"{name}.shift"]


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
