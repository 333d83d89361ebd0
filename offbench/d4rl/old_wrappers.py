"""The wrappers of OpenAI Gym that scripts derive from and use, with the signatures they had until 2022."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.spaces.utils import flatten, flatten_space

from offbench.d4rl.old_env import Env


class Wrapper(Env):
    """Passes everything on to the environment within; names that it lacks are looked up there."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.action_space, self.observation_space = env.action_space, env.observation_space
        self.reward_range, self.metadata, self.spec = env.reward_range, env.metadata, env.spec

    def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        """Advance by one step: observation, reward, done, info."""
        stepped: tuple[Any, float, bool, dict[str, Any]] = self.env.step(action)
        return stepped

    def reset(self, **kwargs: Any) -> Any:
        """Start an episode; returns the observation."""
        return self.env.reset(**kwargs)

    def render(self, mode: str = "human", **kwargs: Any) -> Any:
        """What the environment within draws."""
        return self.env.render(mode, **kwargs)

    def close(self) -> None:
        """Free what the environment within holds."""
        self.env.close()

    def seed(self, seed: int | None = None) -> Any:
        """Seed the environment within."""
        return self.env.seed(seed)

    @property
    def unwrapped(self) -> Env:
        """The innermost environment."""
        inner: Env = self.env.unwrapped
        return inner

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "env" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.env, name)

    def __str__(self) -> str:
        return f"<{type(self).__name__}{self.env}>"


class ObservationWrapper(Wrapper):
    """A subclass defines ``observation(observation)``."""

    def reset(self, **kwargs: Any) -> Any:
        """Start an episode; returns the changed observation."""
        return self.observation(self.env.reset(**kwargs))

    def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        """Advance by one step, with the changed observation."""
        observation, reward, done, info = self.env.step(action)
        return self.observation(observation), reward, done, info

    def observation(self, observation: Any) -> Any:
        """The observation to show."""
        raise NotImplementedError


class RewardWrapper(Wrapper):
    """A subclass defines ``reward(reward)``."""

    def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        """Advance by one step, with the changed reward."""
        observation, reward, done, info = self.env.step(action)
        return observation, self.reward(reward), done, info

    def reward(self, reward: float) -> float:
        """The reward to give."""
        raise NotImplementedError


class ActionWrapper(Wrapper):
    """A subclass defines ``action(action)``."""

    def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        """Advance by one step of the changed action."""
        stepped: tuple[Any, float, bool, dict[str, Any]] = self.env.step(self.action(action))
        return stepped

    def action(self, action: Any) -> Any:
        """The action to take."""
        raise NotImplementedError

    def reverse_action(self, action: Any) -> Any:
        """The action that becomes this one."""
        raise NotImplementedError


class TimeLimit(Wrapper):
    """Ends an episode after a number of steps, with ``info["TimeLimit.truncated"]``."""

    def __init__(self, env: Any, max_episode_steps: int | None = None) -> None:
        super().__init__(env)
        self._max_episode_steps = max_episode_steps if max_episode_steps is not None else env.spec.max_episode_steps
        self._elapsed_steps = 0

    def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        """Advance by one step; done at the limit too."""
        observation, reward, done, info = self.env.step(action)
        self._elapsed_steps += 1
        if self._max_episode_steps is not None and self._elapsed_steps >= self._max_episode_steps:
            # A limit further in may have said already that it was the clock.
            by_clock = not done or info.get("TimeLimit.truncated", False)
            info, done = {**info, "TimeLimit.truncated": by_clock}, True
        return observation, reward, done, info

    def reset(self, **kwargs: Any) -> Any:
        """Start an episode and the clock; returns the observation."""
        self._elapsed_steps = 0
        return self.env.reset(**kwargs)


class OrderEnforcing(Wrapper):
    """Passes everything on: the simulators here say themselves that they want a reset first."""


class ClipAction(ActionWrapper):
    """Clips actions to the bounds."""

    def action(self, action: Any) -> Any:
        """The action within the bounds."""
        return np.clip(action, self.env.action_space.low, self.env.action_space.high)


class RescaleAction(ActionWrapper):
    """Takes actions in [a, b] and maps them linearly to the bounds."""

    def __init__(self, env: Any, a: Any, b: Any) -> None:
        super().__init__(env)
        space = env.action_space
        self.a, self.b = (np.zeros(space.shape, dtype=space.dtype) + bound for bound in (a, b))
        self.action_space = Box(self.a, self.b, dtype=space.dtype)

    def action(self, action: Any) -> Any:
        """The action in the environment's units."""
        low, high = self.env.action_space.low, self.env.action_space.high
        return np.clip(low + (high - low) * (np.asarray(action) - self.a) / (self.b - self.a), low, high)


class FlattenObservation(ObservationWrapper):
    """Observations as one vector."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.observation_space = flatten_space(env.observation_space)

    def observation(self, observation: Any) -> Any:
        """The vector of an observation."""
        return flatten(self.env.observation_space, observation)


class TransformObservation(ObservationWrapper):
    """Observations through a function."""

    def __init__(self, env: Any, f: Callable[[Any], Any]) -> None:
        super().__init__(env)
        self.f = f

    def observation(self, observation: Any) -> Any:
        """The function's result."""
        return self.f(observation)


class TransformReward(RewardWrapper):
    """Rewards through a function."""

    def __init__(self, env: Any, f: Callable[[float], float]) -> None:
        super().__init__(env)
        self.f = f

    def reward(self, reward: float) -> float:
        """The function's result."""
        return self.f(reward)


class RecordEpisodeStatistics(Wrapper):
    """Adds ``info["episode"]`` at the end of each: return r, length l, seconds t since the wrapper was made."""

    def __init__(self, env: Any, deque_size: int = 100) -> None:
        super().__init__(env)
        self.return_queue: deque[float] = deque(maxlen=deque_size)
        self.length_queue: deque[int] = deque(maxlen=deque_size)
        self.t0 = time.monotonic()
        self.episode_return, self.episode_length = self._nothing()

    def _seconds(self) -> float:
        return time.monotonic() - self.t0

    def _nothing(self) -> tuple[Any, Any]:
        """Return and length of no step, of each environment where there are several."""
        if getattr(self.env, "is_vector_env", False):
            return np.zeros(self.env.num_envs), np.zeros(self.env.num_envs, dtype=np.int64)
        return 0.0, 0

    def reset(self, **kwargs: Any) -> Any:
        """Start an episode; returns the observation."""
        self.episode_return, self.episode_length = self._nothing()
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        """Advance by one step and count."""
        observation, reward, done, info = self.env.step(action)
        self.episode_return += reward
        self.episode_length += 1
        if getattr(self.env, "is_vector_env", False):
            return observation, reward, done, self._told(done, info)
        if done:
            seconds = round(self._seconds(), 6)
            info = {**info, "episode": {"r": self.episode_return, "l": self.episode_length, "t": seconds}}
            self.return_queue.append(self.episode_return)
            self.length_queue.append(self.episode_length)
        return observation, reward, done, info

    def _told(self, dones: Any, infos: Any) -> Any:
        """The infos of a vector of environments, with the statistics of those that are done."""
        infos = list(infos)
        for i in np.flatnonzero(dones):
            told = {"r": float(self.episode_return[i]), "l": int(self.episode_length[i]), "t": self._seconds()}
            infos[i] = {**infos[i], "episode": told}
            self.return_queue.append(told["r"])
            self.length_queue.append(int(told["l"]))
            self.episode_return[i], self.episode_length[i] = 0.0, 0
        return infos
