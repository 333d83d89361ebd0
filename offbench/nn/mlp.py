"""Multi-layer perceptrons whose weights carry a leading seed axis and, for ensembles, a second axis of members."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from offbench.nn.random import stream

Parameters = dict[str, Float[Tensor, "seeds ..."]]
Initialisation = Literal["torch", "orthogonal"]


@dataclass(frozen=True)
class MLP:
    """Linear layers with ReLU between them; a description only, parameters are passed in at each call.

    Attributes:
        inputs: size of the input.
        hidden: sizes of the hidden layers.
        outputs: size of the output.
        members: number of independent networks in an ensemble; None for a single network without that axis.
        dropout: probability with which a hidden unit is dropped while training.
        layer_norm: whether each hidden layer is normalised (Ba et al. 2016, arXiv 1607.06450), with a learned scale and
            shift.
        norm_first: whether that happens before the ReLU, as in XQL, or after it, as in ReBRAC.
        norm_epsilon: added to the variance in it: 1e-5 in torch, 1e-6 in flax.
    """

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    members: int | None = None
    dropout: float = 0.0
    layer_norm: bool = False
    norm_first: bool = False
    norm_epsilon: float = 1e-5

    def initialise(
        self,
        seeds: Sequence[int],
        name: str,
        initialisation: Initialisation = "torch",
        hidden_bias: float | None = None,
        output_bound: float | None = None,
        output_gain: float = math.sqrt(2),
    ) -> Parameters:
        """Fresh float64 ``layer<i>.weight`` (seeds, [members,] in, out), ``layer<i>.bias`` (seeds, [members,] 1, out).

        "torch" is the default of torch.nn.Linear, U(-1/sqrt(in), 1/sqrt(in)) for weights and biases; "orthogonal" has
        orthonormal weights with gain sqrt(2), ``output_gain`` in the last layer, and zero biases. With layer
        normalisation each hidden layer also has ``layer<i>.scale`` and ``layer<i>.shift``, shaped like its bias.
        ``hidden_bias`` sets the biases of hidden layers; with ``output_bound`` the weights and biases of the output are
        drawn from U(-bound, bound).
        """
        assert output_bound is None or initialisation == "torch"
        sizes = [self.inputs, *self.hidden, self.outputs]
        parameters: Parameters = {}
        for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            drawn = [
                _draw(seed, f"{name}/layer{layer}", fan_in, fan_out, self.members, initialisation) for seed in seeds
            ]
            parameters[f"layer{layer}.weight"] = torch.stack([weight for weight, _ in drawn])
            parameters[f"layer{layer}.bias"] = torch.stack([bias for _, bias in drawn])
            if hidden_bias is not None and layer < len(self.hidden):
                parameters[f"layer{layer}.bias"].fill_(hidden_bias)
            if initialisation == "orthogonal" and layer == len(self.hidden):
                parameters[f"layer{layer}.weight"] *= output_gain / math.sqrt(2)
            if output_bound is not None and layer == len(self.hidden):
                parameters[f"layer{layer}.weight"] *= output_bound * math.sqrt(fan_in)
                parameters[f"layer{layer}.bias"] *= output_bound * math.sqrt(fan_in)
            if self.layer_norm and layer < len(self.hidden):
                shape = parameters[f"layer{layer}.bias"].shape
                parameters[f"layer{layer}.scale"] = torch.ones(shape, dtype=torch.float64)
                parameters[f"layer{layer}.shift"] = torch.zeros(shape, dtype=torch.float64)
        return parameters

    def __call__(
        self,
        parameters: Parameters,
        inputs: Float[Tensor, "seeds *given batch inputs"],
        masks: Sequence[Float[Tensor, "seeds batch _"]] | None = None,
    ) -> Float[Tensor, "seeds *members batch outputs"]:
        """What the network makes of ``inputs``; an ensemble shows them to each of its members, or to each its own.

        ``inputs`` have an axis of members where each member has its own.

        masks: one a hidden layer, as ``dropout_masks`` makes them; None drops nothing.
        """
        last = len(self.hidden)
        x = inputs
        if self.members is not None and x.dim() == 3:
            x = x.unsqueeze(1).expand(-1, self.members, -1, -1)
        for layer in range(last + 1):
            weight, bias = parameters[f"layer{layer}.weight"], parameters[f"layer{layer}.bias"]
            # The first and last layers are small, and what they round is seen whole in states and values.
            x = linear(x, weight, bias) if 0 < layer < last else full_precision_linear(x, weight, bias)
            if layer < last:
                if self.layer_norm and self.norm_first:
                    x = _normalise(parameters, layer, x, self.norm_epsilon)
                x = torch.relu(x)
                if self.layer_norm and not self.norm_first:
                    x = _normalise(parameters, layer, x, self.norm_epsilon)
                if masks is not None:
                    x = x * masks[layer]
        return x

    def with_input_gradient(
        self, parameters: Parameters, inputs: Float[Tensor, "seeds batch inputs"], first: int
    ) -> tuple[Float[Tensor, "seeds *members batch 1"], Float[Tensor, "seeds *members batch inputs-{first}"]]:
        """The outputs of a network of one output, and their gradient in ``inputs[..., first:]``.

        The gradient is written out as a chain of products, which can be differentiated again: where a ReLU is open its
        slope is 1, else 0.
        """
        assert self.outputs == 1
        assert not self.layer_norm
        last = len(self.hidden)
        x, open_units = inputs, []
        if self.members is not None:
            x = x.unsqueeze(1).expand(-1, self.members, -1, -1)
        for layer in range(last):
            weight, bias = parameters[f"layer{layer}.weight"], parameters[f"layer{layer}.bias"]
            x = torch.relu(linear(x, weight, bias) if layer else full_precision_linear(x, weight, bias))
            open_units.append(x > 0)
        output = parameters[f"layer{last}.weight"]
        values = full_precision_linear(x, output, parameters[f"layer{last}.bias"])
        gradient = output.transpose(-2, -1) * open_units[-1]  # (seeds, [members,] batch, hidden)
        for layer in range(last - 1, 0, -1):
            gradient = product(gradient, parameters[f"layer{layer}.weight"].transpose(-2, -1)) * open_units[layer - 1]
        with full_precision(inputs.device.type):
            slope = parameters["layer0.weight"][..., first:, :].transpose(-2, -1)
            return values, product(gradient.to(slope.dtype), slope)


def linear(
    x: Float[Tensor, "*stack batch inputs"],
    weight: Float[Tensor, "*stack inputs outputs"],
    bias: Float[Tensor, "*stack 1 outputs"],
) -> Float[Tensor, "*stack batch outputs"]:
    """x W + b, as one batched matrix product."""
    # A product and an addition instead of one baddbmm: compiled, the addition joins the activation that follows it.
    return product(x, weight) + bias


def product(
    x: Float[Tensor, "*stack batch inputs"], weight: Float[Tensor, "*stack inputs outputs"]
) -> Float[Tensor, "*stack batch outputs"]:
    """x W, as one batched matrix product."""
    flat = torch.bmm(x.flatten(0, -3), weight.flatten(0, -3)) if x.dim() > 3 else torch.bmm(x, weight)
    return flat.view(*weight.shape[:-2], x.shape[-2], weight.shape[-1])


def member(parameters: Parameters, number: int) -> Parameters:
    """The parameters of one network of an ensemble, without the axis of members."""
    return {name: value[:, number] for name, value in parameters.items()}


def _normalise(parameters: Parameters, layer: int, x: Tensor, epsilon: float) -> Tensor:
    normal = torch.nn.functional.layer_norm(x, x.shape[-1:], eps=epsilon)
    return normal * parameters[f"layer{layer}.scale"] + parameters[f"layer{layer}.shift"]


def full_precision(device: str) -> AbstractContextManager[object]:
    """Products in the precision of their factors, also where autocast lowers it.

    Where autocast is off nothing is entered: torch keeps no traced graph that enters it. Of the device "meta" there is
    none.
    """
    lowered = device != "meta" and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if lowered else nullcontext()


def full_precision_linear(
    x: Float[Tensor, "*stack batch inputs"],
    weight: Float[Tensor, "*stack inputs outputs"],
    bias: Float[Tensor, "*stack 1 outputs"],
) -> Float[Tensor, "*stack batch outputs"]:
    """``linear`` in the precision of the parameters, also where autocast lowers that of matrix products."""
    with full_precision(x.device.type):
        return linear(x.to(weight.dtype), weight, bias)


def _draw(
    seed: int, name: str, fan_in: int, fan_out: int, members: int | None, initialisation: Initialisation
) -> tuple[Tensor, Tensor]:
    """Weight ([members,] in, out) and bias ([members,] 1, out) of one layer of one seed."""
    generator = stream(seed, "initialise", name)
    count = 1 if members is None else members
    if initialisation == "torch":
        bound = 1 / math.sqrt(fan_in)
        weight = generator.uniform(-bound, bound, (count, fan_in, fan_out))
        bias = generator.uniform(-bound, bound, (count, 1, fan_out))
    else:
        weight = math.sqrt(2) * np.stack([_orthogonal(generator, fan_in, fan_out) for _ in range(count)])
        bias = np.zeros((count, 1, fan_out))
    if members is None:
        weight, bias = weight[0], bias[0]
    return torch.from_numpy(weight), torch.from_numpy(bias)


def _orthogonal(
    generator: np.random.Generator, rows: int, columns: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """A (rows, columns) matrix with orthonormal rows or columns, whichever are fewer, uniform over such matrices."""
    q, r = np.linalg.qr(generator.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return q if rows >= columns else q.T
