"""What every trained, scripted or foreign policy can do."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt


class Policy(Protocol):
    """Acts in a batch of environments, deterministically unless it was built to sample."""

    def act(self, observations: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Actions (environments, action), in the environment's units, for observations (environments, observation)."""
        ...

    def reset(self, mask: npt.NDArray[Any]) -> None:
        """Forget the past of the environments where mask (environments,) is true; without memory, do nothing."""
        ...


@runtime_checkable
class ObservingPolicy(Policy, Protocol):
    """A policy that also hears what its actions earned, such as one that is asked for a return."""

    def observe(self, rewards: npt.NDArray[Any]) -> None:
        """Hear the rewards (environments,) of the last actions; 0 where the episode had ended before."""
        ...


def not_finite(actions: npt.NDArray[Any]) -> str:
    """What is wrong with actions (environments, action) that are not all finite, in words: ``NaN for 3 of 20 ...``."""
    wrong = ~np.isfinite(actions).all(axis=1)
    kind = "NaN" if np.isnan(actions).any() else "infinite numbers"
    return f"{kind} for {int(wrong.sum())} of {len(actions)} observations"


def tell(policy: Policy, rewards: npt.NDArray[Any]) -> None:
    """Let the policy observe rewards (environments,), if it listens; whoever steps environments calls this."""
    if isinstance(policy, ObservingPolicy):
        policy.observe(rewards)
