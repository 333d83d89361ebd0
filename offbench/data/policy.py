"""What every trained, scripted or foreign policy can do."""

from __future__ import annotations

from typing import Any, Protocol

import numpy.typing as npt


class Policy(Protocol):
    """Acts in a batch of environments, deterministically unless it was built to sample."""

    def act(self, observations: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Actions (environments, action), in the environment's units, for observations (environments, observation)."""
        ...

    def reset(self, mask: npt.NDArray[Any]) -> None:
        """Forget the past of the environments where mask (environments,) is true; without memory, do nothing."""
        ...
