"""What policies remember that look back on the last steps of an episode."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from offbench.errors import OffbenchError
from offbench.nn.mlp import Parameters
from offbench.nn.sequence_decoder import SequenceDecoder


class Window:
    """The last K steps of each episode under way, the present one included, earliest first.

    The whole window is read anew at each step. Keeping keys and values of earlier steps would not be exact once the
    window slides: all but the first block's have seen steps that are no longer in it.

    Attributes:
        memory: ``age`` (seeds, batch), steps done; ``condition`` (seeds, batch, condition), what is asked for now;
            ``conditions`` (seeds, batch, K, condition), ``states`` (seeds, batch, K, observation) and ``actions``
            (seeds, batch, K, action) of the window. Empty before the first reset.
    """

    def __init__(
        self,
        decoder: SequenceDecoder,
        parameters: Parameters,
        context: int,
        asked: Callable[[], Float[Tensor, "seeds condition"]],
        limit: int | None,
        scale: float | None = None,
    ) -> None:
        """Act by ``decoder`` in windows of ``context`` steps, in episodes that are asked for ``asked()`` as they begin.

        Steps are numbered from the start of the episode, which has at most ``limit`` of them; with None from that of
        the window. Rewards over ``scale`` lower what is asked for; with None it stays.
        """
        self.decoder, self.parameters, self.context = decoder, parameters, context
        self.asked, self.limit, self.scale = asked, limit, scale
        self.memory: dict[str, Tensor] = {}

    def reset(self, mask: Bool[Tensor, "seeds batch"]) -> None:
        """Begin new episodes where mask is true."""
        asked = self.asked().unsqueeze(1)
        if not self.memory or self.memory["age"].shape != mask.shape:

            def empty(*shape: int) -> Tensor:
                return torch.zeros(*mask.shape, *shape, dtype=asked.dtype, device=mask.device)

            self.memory = {
                "age": torch.zeros_like(mask, dtype=torch.int64),
                "condition": empty(self.decoder.conditions),
                "conditions": empty(self.context, self.decoder.conditions),
                "states": empty(self.context, self.decoder.observation),
                "actions": empty(self.context, self.decoder.action),
            }
            mask = torch.ones_like(mask)
        m = self.memory
        condition = torch.where(mask.unsqueeze(-1), asked, m["condition"])
        self.memory = m | {"age": m["age"].masked_fill(mask, 0), "condition": condition}

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """Actions for what has happened in each episode and what it is asked for.

        Raises:
            OffbenchError: it was never reset for so many episodes, or an episode exceeds the limit.
        """
        m = self.memory
        if not m or m["age"].shape != observations.shape[:2]:
            raise OffbenchError("a policy with a memory was asked to act before its reset; call reset(mask) first")
        count = self._steps_in_use(m["age"])
        place = m["age"].clamp(max=self.context - 1)
        full = (m["age"] >= self.context).unsqueeze(-1).unsqueeze(-1)
        there = torch.arange(self.context, device=place.device) == place.unsqueeze(-1)
        there = there.unsqueeze(-1)  # (seeds, batch, K, 1)
        conditions = torch.where(there, m["condition"].unsqueeze(2), _slid(m["conditions"], full))
        states = torch.where(there, observations.unsqueeze(2), _slid(m["states"], full))
        actions = torch.where(there, 0, _slid(m["actions"], full))

        first = torch.zeros_like(place) if self.limit is None else m["age"] - place
        steps = first.unsqueeze(-1) + torch.arange(count, device=place.device)
        seeds = torch.arange(len(steps), device=place.device).view(-1, 1, 1)
        times = self.parameters["time.weight"][seeds, steps]
        shown = [part[:, :, :count] for part in (conditions, states, actions)]
        predicted = self.decoder(self.parameters, shown[0], shown[1], shown[2], times)
        chosen = torch.where(there[:, :, :count], predicted, 0).sum(2)
        actions = torch.where(there, chosen.unsqueeze(2), actions)
        self.memory = m | {"age": m["age"] + 1, "conditions": conditions, "states": states, "actions": actions}
        return chosen

    def _steps_in_use(self, age: Int64[Tensor, "seeds batch"]) -> int:
        """How much of the windows is read: what lies behind an episode's own place does not reach back to it."""
        if torch.compiler.is_exporting():  # a graph that is written to a file cannot depend on numbers: it reads all
            return self.context
        oldest = int(age.max())
        if self.limit is not None and oldest >= self.limit:
            raise OffbenchError(f"an episode exceeds {self.limit} steps; train with a larger episode_limit")
        return min(oldest, self.context - 1) + 1

    def observe(self, rewards: Float[Tensor, "seeds batch"]) -> None:
        """Lower what is asked for by rewards."""
        if self.memory and self.scale is not None:
            condition = self.memory["condition"] - (rewards / self.scale).unsqueeze(-1)
            self.memory = self.memory | {"condition": condition}


def _slid(
    window: Float[Tensor, "seeds batch context row"], full: Bool[Tensor, "seeds batch 1 1"]
) -> Float[Tensor, "seeds batch context row"]:
    """The window without its first step where it is full."""
    return torch.where(full, window.roll(-1, 2), window)
