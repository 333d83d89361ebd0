"""Anything that acts, as a policy whose mistakes are told as what they are."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError
from offbench.training.learner import CheckedPolicy


class _Function:
    """A function as a policy."""

    def __init__(self, act: Callable[[Any], Any]) -> None:
        self.act = act


class _Module:
    """A ``torch.nn.Module`` as a policy: it is called with tensors, on the device where its parameters are."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def act(self, observations: Array) -> Any:
        import torch

        device = next((parameter.device for parameter in self.module.parameters()), torch.device("cpu"))
        with torch.no_grad():
            return self.module(torch.from_numpy(observations).to(device)).cpu().numpy()


def acting(policy: Any, called: str) -> Any:
    """The object whose ``act`` is the policy's."""
    if inspect.isclass(policy):
        raise OffbenchError(f"{called} is a class; hand in an object of it")
    if callable(getattr(policy, "act", None)):
        return policy
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(policy, torch.nn.Module):
        return _Module(policy)
    if callable(policy):
        return _Function(policy)
    way = "; hand in its predict" if callable(getattr(policy, "predict", None)) else ""
    raise OffbenchError(
        f"{called} is no policy: an object with act(observations), or a function from observations to actions, would "
        f"be right{way}"
    )


class _First:
    """A policy that takes one observation at a time, as one for a batch of one environment."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy

    def act(self, observations: Array) -> Any:
        answer = self.policy.act(observations[0])
        with suppress(Exception):  # of what is no array of numbers, which is refused as it is
            return np.asarray(answer)[None]
        return answer

    def reset(self, mask: Array) -> None:
        if hasattr(self.policy, "reset"):
            self.policy.reset()

    def observe(self, rewards: Array) -> None:
        if hasattr(self.policy, "observe"):
            self.policy.observe(rewards[0])


class Explained:
    """A policy whose failure is told as what it is, where it takes one observation instead of many, or many for one."""

    def __init__(self, policy: Any, called: str, action_size: int, batched: bool) -> None:
        self.raw, self.called, self.size, self.batched = policy, called, action_size, batched
        self.checked = CheckedPolicy(policy if batched else _First(policy), called, action_size)
        self.reset, self.observe = self.checked.reset, self.checked.observe

    def act(self, observations: Array) -> Array:
        """Checked actions (environments, action)."""
        try:
            return self.checked.act(observations)
        except OffbenchError as error:
            if self.batched and self._gives((self.size,), observations[0]):
                raise OffbenchError(
                    f"the policy of {self.called} takes one observation at a time, and was given a batch of them "
                    f"(environments, observation): {error}; with batched=False (--no-batched) it plays one episode "
                    "after the other"
                ) from error
            if not self.batched and self._gives((1, self.size), observations):
                raise OffbenchError(
                    f"the policy of {self.called} takes a batch of observations (environments, observation), and was "
                    f"given a single one, as batched=False asks: {error}; leave batched=False (--no-batched) out"
                ) from error
            raise

    def _gives(self, shape: tuple[int, ...], observations: Array) -> bool:
        """Whether the policy answers these observations with numbers of that shape."""
        with suppress(Exception):
            return bool(np.shape(self.raw.act(np.array(observations, np.float32))) == shape)
        return False
