"""Wrappers of OpenAI Gym that remember: running means, stacked frames, the time, entries of a dictionary."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict

from offbench.basis.shapes import Array
from offbench.d4rl.old_wrappers import ObservationWrapper, Wrapper


class RunningMeanStd:
    """Mean, variance and number of what was seen, updated batch after batch (Chan, Golub and LeVeque 1979)."""

    def __init__(self, epsilon: float = 1e-4, shape: tuple[int, ...] = ()) -> None:
        self.mean, self.var, self.count = np.zeros(shape), np.ones(shape), epsilon

    def update(self, x: Array) -> None:
        """See a batch (n, ...)."""
        mean, var, count = np.mean(x, axis=0), np.var(x, axis=0), len(x)
        total, apart = self.count + count, mean - self.mean
        spread = self.var * self.count + var * count + apart**2 * self.count * count / total
        self.mean, self.var, self.count = self.mean + apart * count / total, spread / total, total


class NormalizeObservation(Wrapper):
    """Observations less the mean of all so far, over their standard deviation."""

    def __init__(self, env: Any, epsilon: float = 1e-8) -> None:
        super().__init__(env)
        self.epsilon = epsilon
        self.obs_rms = RunningMeanStd(shape=env.observation_space.shape)

    def reset(self, **kwargs: Any) -> Any:
        """Start an episode; returns the observation."""
        return self.normalize(self.env.reset(**kwargs))

    def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        """Advance by one step, with the changed observation."""
        observation, reward, done, info = self.env.step(action)
        return self.normalize(observation), reward, done, info

    def normalize(self, obs: Any) -> Any:
        """See an observation and change it."""
        many = getattr(self.env, "is_vector_env", False)
        self.obs_rms.update(np.asarray(obs) if many else np.asarray(obs)[None])
        return (obs - self.obs_rms.mean) / np.sqrt(self.obs_rms.var + self.epsilon)


class NormalizeReward(Wrapper):
    """Rewards over the standard deviation of their running discounted sum."""

    def __init__(self, env: Any, gamma: float = 0.99, epsilon: float = 1e-8) -> None:
        super().__init__(env)
        self.gamma, self.epsilon = gamma, epsilon
        self.return_rms = RunningMeanStd()
        self.returns: Any = 0.0

    def step(self, action: Any) -> tuple[Any, Any, Any, Any]:
        """Advance by one step, with the changed reward."""
        observation, reward, done, info = self.env.step(action)
        self.returns = self.returns * self.gamma + reward
        self.return_rms.update(np.atleast_1d(self.returns))
        self.returns = self.returns * (1 - np.asarray(done))
        return observation, reward / np.sqrt(self.return_rms.var + self.epsilon), done, info


class LazyFrames:
    """The last frames, stacked when they are looked at."""

    def __init__(self, frames: Sequence[Any], lz4_compress: bool = False) -> None:
        self._frames = list(frames)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.stack(self._frames).astype(dtype) if dtype else np.stack(self._frames)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, which: Any) -> Any:
        return np.stack(self._frames)[which]

    def __eq__(self, other: object) -> bool:
        return bool(np.array_equal(np.asarray(self), np.asarray(other)))

    __hash__ = None  # type: ignore[assignment]

    @property
    def shape(self) -> tuple[int, ...]:
        """(frames, ...)."""
        return (len(self._frames), *np.shape(self._frames[0]))

    @property
    def dtype(self) -> Any:
        """That of a frame."""
        return np.asarray(self._frames[0]).dtype


class FrameStack(ObservationWrapper):
    """Observations as the last ``num_stack`` ones (frames, ...), at the start the first one repeated."""

    def __init__(self, env: Any, num_stack: int, lz4_compress: bool = False) -> None:
        super().__init__(env)
        self.num_stack = num_stack
        self.frames: deque[Any] = deque(maxlen=num_stack)
        space = env.observation_space
        low, high = (np.repeat(bound[None], num_stack, axis=0) for bound in (space.low, space.high))
        self.observation_space = Box(low, high, dtype=space.dtype)

    def reset(self, **kwargs: Any) -> Any:
        """Start an episode; returns the frames."""
        first = self.env.reset(**kwargs)
        self.frames.extend([first] * (self.num_stack - 1))
        return self.observation(first)

    def observation(self, observation: Any) -> LazyFrames:
        """The last frames, this one included."""
        self.frames.append(observation)
        return LazyFrames(self.frames)


class TimeAwareObservation(ObservationWrapper):
    """Observations with the number of the step behind them."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        space = env.observation_space
        low, high = np.append(space.low, 0.0).astype(np.float32), np.append(space.high, np.inf).astype(np.float32)
        self.observation_space = Box(low, high, dtype=np.float32)
        self.t = 0

    def reset(self, **kwargs: Any) -> Any:
        """Start an episode and the count."""
        self.t = 0
        return super().reset(**kwargs)

    def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        """Advance by one step and count."""
        self.t += 1
        return super().step(action)

    def observation(self, observation: Any) -> Any:
        """The observation and the count."""
        return np.append(observation, self.t)


class FilterObservation(ObservationWrapper):
    """Some entries of a dictionary of observations."""

    def __init__(self, env: Any, filter_keys: Sequence[str] | None = None) -> None:
        super().__init__(env)
        self.filter_keys = list(env.observation_space) if filter_keys is None else list(filter_keys)
        self.observation_space = Dict({key: env.observation_space[key] for key in self.filter_keys})

    def observation(self, observation: Any) -> Any:
        """Those entries."""
        return {key: observation[key] for key in self.filter_keys}
