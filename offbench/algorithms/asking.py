"""What policies remember that are asked for a return: what each episode is still to earn."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from offbench.errors import OffbenchError

Choose = Callable[
    [Float[Tensor, "seeds batch observation"], Float[Tensor, "seeds batch"]], Float[Tensor, "seeds batch action"]
]


class Asked:
    """What each episode under way is asked for: a sum that rewards lower, or one that stays.

    Attributes:
        memory: ``to_go`` (seeds, batch), the sum; empty before the first reset.
    """

    def __init__(self, choose: Choose, target: Float[Tensor, " seeds"], scale: float | None) -> None:
        """Ask for ``target``, actions being ``choose(observations, sum)``.

        Rewards over ``scale`` lower the sum; with None it stays.
        """
        self.choose, self.target, self.scale = choose, target, scale
        self.memory: dict[str, Tensor] = {}

    def reset(self, mask: Bool[Tensor, "seeds batch"]) -> None:
        """Ask for the target anew where mask is true."""
        target = self.target.unsqueeze(1).expand(mask.shape)
        if not self.memory or self.memory["to_go"].shape != mask.shape:
            self.memory = {"to_go": target.clone()}
        self.memory = {"to_go": torch.where(mask, target, self.memory["to_go"])}

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """Actions for what the episodes are still asked for.

        Raises:
            OffbenchError: it was never reset for so many episodes.
        """
        to_go = self.memory.get("to_go")
        if to_go is None or to_go.shape != observations.shape[:2]:
            raise OffbenchError("a policy with a memory was asked to act before its reset; call reset(mask) first")
        return self.choose(observations, to_go)

    def observe(self, rewards: Float[Tensor, "seeds batch"]) -> None:
        """Lower the sum that is to be earned by rewards."""
        if self.memory and self.scale is not None:
            self.memory = {"to_go": self.memory["to_go"] - rewards / self.scale}
