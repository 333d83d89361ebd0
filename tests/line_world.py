"""A stranger's environment, which tests name as ``line_world:Line``."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np


class Line(gymnasium.Env[Any, Any]):
    """A point on a line, pushed by at most 1 a step; the reward is its nearness to the origin."""

    def __init__(self, start: float = 3.0, render_mode: str | None = None) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
        self.start = start

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = self.start + float(self.np_random.uniform(-0.1, 0.1))
        return np.array([self.place], np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.place += float(action[0])
        return np.array([self.place], np.float32), -abs(self.place), False, False, {}


class Swing(Line):
    """The same with the sizes of Pendulum-v1."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return np.repeat(super().reset(seed=seed)[0], 3), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        place, *others = super().step(action)
        return np.repeat(place, 3), *others


class Homing:
    """A policy that goes to the origin."""

    def act(self, observations: Any) -> Any:
        return np.clip(-observations, -1, 1)


class Broken(Line):
    """An environment that cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("no licence\nfor it")
