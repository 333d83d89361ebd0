"""Gradients of losses, compiled and eager, without the compiler where nothing is compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.nn.mlp import Parameters

Told = TypeVar("Told")
Networks = dict[str, Parameters]


def gradients(
    loss: Callable[[Networks], tuple[Float[Tensor, ""], Told]], networks: Mapping[str, Parameters]
) -> tuple[Networks, Told]:
    """The gradient of a loss by each parameter of the networks, and what else the loss tells.

    ``torch.func.grad`` with ``has_aux`` gives the same numbers, and imports torch's compiler at its first eager call:
    two seconds of every process that trains. Only what is compiled goes that way.

    Args:
        loss: of the networks, with anything beside it; called once.
        networks: by name, parameters by name. They stay as they are.
    """
    if torch.compiler.is_compiling():
        found: tuple[Networks, Told] = torch.func.grad(loss, has_aux=True)(dict(networks))
        return found
    leaves = {
        network: {name: value.detach().requires_grad_() for name, value in parameters.items()}
        for network, parameters in networks.items()
    }
    with torch.enable_grad():
        value, told = loss(leaves)
    flat = [leaf for parameters in leaves.values() for leaf in parameters.values()]
    given = torch.autograd.grad(value, flat, allow_unused=True) if value.requires_grad else [None] * len(flat)
    each = (torch.zeros_like(leaf) if one is None else one for leaf, one in zip(flat, given, strict=True))
    return {network: {name: next(each) for name in parameters} for network, parameters in leaves.items()}, told


def gradient(
    loss: Callable[[Parameters], Float[Tensor, ""]], parameters: Parameters
) -> tuple[Parameters, Float[Tensor, ""]]:
    """The gradient of a loss by the parameters of one network, and the loss; see `gradients`."""
    found, value = gradients(partial(_of_one, loss), {"one": parameters})
    return found["one"], value


def _of_one(loss: Callable[[Parameters], Tensor], networks: Networks) -> tuple[Tensor, Tensor]:
    value = loss(networks["one"])
    return value, value.detach()
