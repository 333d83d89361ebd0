"""Making and registering environments as OpenAI Gym did until 2022, on Gymnasium's."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import gymnasium
import numpy as np

from offbench.d4rl.old_env import Adapted, Env
from offbench.d4rl.old_wrappers import TimeLimit

# The same environments under the versions that are still maintained; observations and rewards are the same.
_SUCCESSORS = {"Pendulum-v0": "Pendulum-v1"} | {
    f"{name}-{old}": f"{name}-v4"
    for name in (
        "Hopper",
        "HalfCheetah",
        "Walker2d",
        "Swimmer",
        "Reacher",
        "InvertedPendulum",
        "InvertedDoublePendulum",
    )
    for old in ("v2", "v3")
}


@dataclass
class Spec:
    """An environment that a script has registered itself."""

    id: str
    entry_point: str | Callable[..., Env]
    max_episode_steps: int | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)
    reward_threshold: float | None = None

    def make(self, **kwargs: Any) -> Env:
        """The environment with its time limit."""
        creator = self.entry_point
        if isinstance(creator, str):
            module, _, name = creator.partition(":")
            creator = getattr(import_module(module), name)
        environment = creator(**{**self.kwargs, **kwargs})
        environment.spec = self
        return environment if self.max_episode_steps is None else TimeLimit(environment, self.max_episode_steps)


class Registry:
    """What ``gym.envs.registry`` is: the script's own environments and Gymnasium's."""

    def __init__(self) -> None:
        self.own: dict[str, Spec] = {}

    @property
    def env_specs(self) -> dict[str, Any]:
        """All specifications by id."""
        return {**gymnasium.registry, **self.own}

    def all(self) -> list[Any]:
        """All specifications."""
        return list(self.env_specs.values())

    def spec(self, id: str) -> Any:
        """The specification of an id."""
        return self.own[id] if id in self.own else gymnasium.spec(id)


registry = Registry()


def register(id: str, entry_point: str | Callable[..., Env], **kwargs: Any) -> None:
    """Register an environment of the old interface."""
    known = {name: kwargs.pop(name) for name in ("max_episode_steps", "kwargs", "reward_threshold") if name in kwargs}
    registry.own[id] = Spec(id, entry_point, **{**known, "kwargs": known.get("kwargs") or {}})


def make(id: str | Spec, **kwargs: Any) -> Env:
    """An environment under the old interface: one that the script registered, a name of D4RL, or one of Gymnasium."""
    if isinstance(id, Spec):
        return id.make(**kwargs)
    if id in registry.own:
        return registry.own[id].make(**kwargs)
    if id in _SUCCESSORS:
        print(f"gym.make({id!r}): {_SUCCESSORS[id]} in its place, the same task in today's simulator", file=sys.stderr)
        id = _SUCCESSORS[id]
    with warnings.catch_warnings():
        # Of D4RL's versions none is out of date: they are different data.
        warnings.filterwarnings("ignore", message=".*is out of date")
        try:
            # Pictures are drawn when asked for; the mode costs nothing before.
            environment = gymnasium.make(id, **{"render_mode": "rgb_array", **kwargs})
        except TypeError:
            environment = gymnasium.make(id, **kwargs)
    return Adapted(environment)


def np_random(seed: int | None = None) -> tuple[np.random.RandomState, int | None]:
    """What ``gym.utils.seeding.np_random`` gave: a generator with the old methods, and the seed."""
    return np.random.RandomState(seed), seed
