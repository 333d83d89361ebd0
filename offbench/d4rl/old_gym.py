"""OpenAI Gym's interface as it was until 2022, on Gymnasium's environments.

``reset()`` returns the observation, ``step(action)`` four values, of which ``done`` is termination or time limit, and
``seed(s)`` seeds the next reset. A time limit shows as ``info["TimeLimit.truncated"]``.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import gymnasium
import numpy as np

from offbench.errors import OffbenchError

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


class Env:
    """An environment of the old interface."""

    metadata: dict[str, Any] = {"render.modes": []}
    reward_range = (-float("inf"), float("inf"))
    spec: Any = None
    action_space: Any = None
    observation_space: Any = None

    def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        """Advance by one step: observation, reward, done, info."""
        raise NotImplementedError

    def reset(self) -> Any:
        """Start an episode; returns the observation."""
        raise NotImplementedError

    def render(self, mode: str = "human") -> Any:
        """Draw the present state."""
        raise NotImplementedError

    def close(self) -> None:
        """Free what the environment holds."""

    def seed(self, seed: int | None = None) -> Any:
        """Seed the next reset."""
        return []

    @property
    def unwrapped(self) -> Env:
        """The innermost environment."""
        return self

    def __enter__(self) -> Env:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def __str__(self) -> str:
        return f"<{type(self).__name__} instance>" if self.spec is None else f"<{type(self).__name__}<{self.spec.id}>>"


class Adapted(Env):
    """A Gymnasium environment under the old interface."""

    def __init__(self, environment: gymnasium.Env[Any, Any]) -> None:
        self.environment = environment
        self.action_space, self.observation_space = environment.action_space, environment.observation_space
        self.metadata, self.spec = environment.metadata, environment.spec
        self._elapsed_steps = 0
        self._seed: int | None = None

    @property
    def _max_episode_steps(self) -> int | None:
        limit = getattr(self.environment.unwrapped, "_max_episode_steps", None)
        return limit if limit is not None else getattr(self.spec, "max_episode_steps", None)

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Seed the next reset; later ones go on from there."""
        self._seed = seed
        return [seed]

    def reset(self, **kwargs: Any) -> Any:
        """Start an episode; returns the observation."""
        observation, _ = self.environment.reset(**{"seed": self._seed, **kwargs})
        self._seed, self._elapsed_steps = None, 0
        return observation

    def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        """Advance by one step: observation, reward, done, info."""
        observation, reward, terminated, truncated, info = self.environment.step(action)
        self._elapsed_steps += 1
        if truncated:
            info = {**info, "TimeLimit.truncated": not terminated}
        return observation, float(reward), bool(terminated or truncated), info

    def render(self, mode: str = "human") -> Any:
        """A picture (height, width, 3) uint8 for "rgb_array"; there is no window."""
        if mode != "rgb_array" or self.environment.render_mode != "rgb_array":
            raise OffbenchError(f"render(mode={mode!r}) is not offered here; a picture by mode='rgb_array' may be")
        return self.environment.render()

    def close(self) -> None:
        """Free what the environment holds."""
        self.environment.close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "environment" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.environment.unwrapped, name)


# -------------------------------------------------------------------- making environments


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
        from offbench.d4rl.old_wrappers import TimeLimit

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
