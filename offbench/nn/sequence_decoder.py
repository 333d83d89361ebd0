"""Actions from a stretch of an episode and a condition: the network of the Decision Transformer (arXiv 2106.01345).

A step is three tokens, of the condition, the state and the action, each with the step's row of a table of times added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from offbench.nn.mlp import Parameters, full_precision, full_precision_linear
from offbench.nn.transformer import Transformer, initial_linear, initial_norm, norm


@dataclass(frozen=True)
class SequenceDecoder:
    """Embeddings, a causal transformer, and a head that reads the tokens of states; parameters are passed in.

    Attributes:
        transformer: what mixes the tokens.
        conditions, observation, action: sizes of the vectors.
        times: rows of the table of times.
        condition: what the parameters of the condition's embedding are called.
    """

    transformer: Transformer
    conditions: int
    observation: int
    action: int
    times: int
    condition: str = "return"

    def initialise(self, seeds: Sequence[int], name: str) -> Parameters:
        """Fresh float64 parameters: those of the transformer, embeddings, the table ``time.weight`` and the head."""
        size = self.transformer.size
        parameters = self.transformer.initialise(seeds, name)
        inputs = {self.condition: self.conditions, "state": self.observation, "action": self.action}
        for part, inner in (inputs | {"time": self.times}).items():
            parameters |= initial_linear(seeds, name, part, inner, size)
        del parameters["time.bias"]  # a table of rows needs none
        for part in ("first_norm", "last_norm"):
            parameters |= initial_norm(seeds, part, size)
        return parameters | initial_linear(seeds, name, "head", size, self.action)

    def mask_sizes(self, steps: int) -> list[int]:
        """Numbers that dropout masks hold for one stretch: of the embeddings, then those of the transformer."""
        return [3 * steps * self.transformer.size, *self.transformer.mask_sizes(3 * steps)]

    def __call__(
        self,
        parameters: Parameters,
        conditions: Float[Tensor, "seeds batch steps condition"],
        states: Float[Tensor, "seeds batch steps observation"],
        actions: Float[Tensor, "seeds batch steps action"],
        times: Float[Tensor, "seeds batch steps size"],
        masks: Sequence[Float[Tensor, "seeds batch _"]] | None = None,
    ) -> Float[Tensor, "seeds batch steps action"]:
        """Actions, each from its step (but not its action) and those before it.

        Args:
            parameters: see ``initialise``.
            conditions: scaled.
            states: scaled.
            actions: in [-1, 1].
            times: embedded numbers of the steps.
            masks: of the dropout, of the sizes in ``mask_sizes``; None drops nothing.
        """
        parts = {self.condition: conditions, "state": states, "action": actions}
        tokens = [embedded(parameters, name, values) + times for name, values in parts.items()]
        x = norm(parameters, "first_norm", torch.stack(tokens, 3).flatten(2, 3))
        x = x if masks is None else x * masks[0].view(x.shape)
        at_states = self.transformer(parameters, x, None if masks is None else masks[1:], wanted=slice(1, None, 3))
        flat = norm(parameters, "last_norm", at_states).flatten(1, 2)
        head = full_precision_linear(flat, parameters["head.weight"], parameters["head.bias"])
        return torch.tanh(head).view(*times.shape[:3], -1)


def embedded(
    parameters: Parameters, name: str, values: Float[Tensor, "seeds batch steps inputs"]
) -> Float[Tensor, "seeds batch steps size"]:
    """Values as tokens."""
    flat = full_precision_linear(values.flatten(1, 2), parameters[f"{name}.weight"], parameters[f"{name}.bias"])
    return flat.view(*values.shape[:3], -1)


def one_hot_lookup(
    table: Float[Tensor, "seeds entries size"], places: Int64[Tensor, "seeds batch steps"]
) -> Float[Tensor, "seeds batch steps size"]:
    """The entries of each seed's table at ``places``.

    As a product with zeros and ones, whose gradient is a product too. That of a gather adds in whatever order threads
    arrive (torch 2.13, compiled), and two runs would differ in the last digits.
    """
    chosen = places.flatten(1).unsqueeze(-1) == torch.arange(table.shape[1], device=table.device)
    with full_precision(table.device.type):
        return torch.bmm(chosen.to(table.dtype), table).view(*places.shape, -1)
