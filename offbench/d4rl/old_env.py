"""OpenAI Gym's environment as it was until 2022, and Gymnasium's environments as such ones.

``reset()`` returns the observation, ``step(action)`` four values, of which ``done`` is termination or time limit, and
``seed(s)`` seeds the next reset. A time limit shows as ``info["TimeLimit.truncated"]``.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import gymnasium

from offbench.d4rl.old_sim import Simulation
from offbench.environments.pictures import off_screen
from offbench.errors import OffbenchError


@cache
def say_once(text: str) -> None:
    """Print a line to stderr, the first time only."""
    print(f"offbench.d4rl: {text}", file=sys.stderr)


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


class GoalEnv(Env):
    """An environment whose observations are dictionaries of observation, achieved_goal and desired_goal."""

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> float:
        """The reward of having achieved one goal where another was desired."""
        raise NotImplementedError


class Adapted(Env):
    """A Gymnasium environment under the old interface."""

    def __init__(self, environment: gymnasium.Env[Any, Any], spec: Any = None) -> None:
        self.environment = environment
        self.action_space, self.observation_space = environment.action_space, environment.observation_space
        self.metadata, self.spec = environment.metadata, environment.spec if spec is None else spec
        self._seed: int | None = None

    @property
    def sim(self) -> Simulation:
        """What mujoco-py called the simulation, of an environment that has one."""
        body = self.environment.unwrapped
        return Simulation(body.model, body.data)  # type: ignore[attr-defined]

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Seed the next reset; later ones go on from there."""
        self._seed = seed
        return [seed]

    def reset(self, **kwargs: Any) -> Any:
        """Start an episode; returns the observation."""
        observation, _ = self.environment.reset(**{"seed": self._seed, **kwargs})
        self._seed = None
        return observation

    def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        """Advance by one step: observation, reward, done, info."""
        observation, reward, terminated, truncated, info = self.environment.step(action)
        if truncated:
            info = {**info, "TimeLimit.truncated": not terminated}
        return observation, float(reward), bool(terminated or truncated), info

    def render(self, mode: str = "human", **kwargs: Any) -> Any:
        """A picture (height, width, 3) uint8 for "rgb_array"; for a window nothing, which is said once a process."""
        if mode == "human":
            return say_once("render() shows nothing: there are no windows here; mode='rgb_array' gives a picture")
        if mode != "rgb_array" or self.environment.render_mode != "rgb_array":
            raise OffbenchError(f"render(mode={mode!r}) is not offered here; a picture by mode='rgb_array' may be")
        with off_screen():
            return self.environment.render()

    def close(self) -> None:
        """Free what the environment holds."""
        self.environment.close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "environment" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.environment.unwrapped, name)
