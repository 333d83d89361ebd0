"""Pieces of methods whose critics are many: how these are initialised, and how their gradients are kept apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.nn.mlp import MLP, Parameters

NORM_EPSILON = 1e-10  # added to the length of a gradient before dividing by it
SLOPE_EPSILON = 1e-6  # added to the slope of tanh in log-densities, as in CORL's SAC-N and EDAC


def initialise_critics(critic: MLP, seeds: Sequence[int], name: str) -> Parameters:
    """Parameters of an ensemble as CORL's SAC-N and EDAC draw them.

    Hidden biases are 0.1, the output is U(-0.003, 0.003), and hidden weights are U(-b, b) with b = 1 / sqrt(outputs of
    the layer); EDAC's authors divide by its inputs, which differs where a layer is not square.
    """
    parameters = critic.initialise(seeds, name, hidden_bias=0.1, output_bound=3e-3)
    for layer, (fan_in, fan_out) in enumerate(pairwise([critic.inputs, *critic.hidden])):
        parameters[f"layer{layer}.weight"] *= math.sqrt(fan_in / fan_out)
    return parameters


def similarity(gradients: Float[Tensor, "seeds members batch action"]) -> Float[Tensor, " seeds"]:
    """1/(N - 1) sum over i != j of the cosine between dQ_i/da and dQ_j/da, averaged over the batch, for N members.

    The sum over pairs is |sum_i g_i|^2 - sum_i |g_i|^2, g_i of length 1, so that
    no matrix of pairs is made. Source: An et al. 2021 (arXiv 2110.01548).
    """
    members = gradients.shape[1]
    unit = gradients / (torch.linalg.vector_norm(gradients, dim=-1, keepdim=True) + NORM_EPSILON)
    pairs: Tensor = (unit.sum(1) ** 2).sum(-1) - (unit**2).sum((1, -1))  # (seeds, batch)
    return pairs.mean(-1) / (members - 1)
