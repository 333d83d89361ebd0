"""Several environments of the old interface, stepped one after the other, as ``gym.vector`` offered them until 2022."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium.vector.utils import batch_space

from offbench.d4rl.old_env import Env
from offbench.d4rl.old_gym import make as make_one
from offbench.errors import OffbenchError


class VectorEnv(Env):
    """n environments. One that is done starts anew at once, and its info has the last one's observation.

    Attributes:
        envs: the environments.
        num_envs: how many.
        single_observation_space: of one; ``observation_space`` is that of all, as is that of actions.
    """

    is_vector_env = True

    def __init__(self, env_fns: Sequence[Callable[[], Any]], *ignored: Any, **options: Any) -> None:
        if not env_fns:
            raise OffbenchError("a vector of environments needs at least one function that makes one")
        self.env_fns = list(env_fns)
        self.envs = [make() for make in env_fns]
        self.num_envs = len(self.envs)
        first = self.envs[0]
        self.single_observation_space, self.single_action_space = first.observation_space, first.action_space
        self.observation_space = batch_space(first.observation_space, self.num_envs)
        self.action_space = batch_space(first.action_space, self.num_envs)
        self.metadata, self.spec = first.metadata, first.spec

    def reset(self, **kwargs: Any) -> Any:
        """Start all; observations (n, ...)."""
        return _stacked([env.reset(**kwargs) for env in self.envs])

    def step(self, action: Any) -> tuple[Any, Any, Any, Any]:
        """Advance all by one step: observations (n, ...), rewards (n,), dones (n,), n infos."""
        observations, rewards, dones, infos = [], [], [], []
        for env, each in zip(self.envs, action, strict=True):
            observation, reward, done, info = env.step(each)
            if done:
                info = {**info, "terminal_observation": observation}
                observation = env.reset()
            observations.append(observation)
            rewards.append(reward)
            dones.append(done)
            infos.append(info)
        return _stacked(observations), np.array(rewards, dtype=np.float64), np.array(dones, dtype=np.bool_), infos

    def seed(self, seed: int | Sequence[int] | None = None) -> list[Any]:
        """Seed the next reset of each: a number counts up from environment to environment."""
        none: list[int | None] = [None] * self.num_envs
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else list(seed or none)
        return [env.seed(each) for env, each in zip(self.envs, seeds, strict=True)]

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """A method's results, or an attribute, of each."""
        found = [getattr(env, name) for env in self.envs]
        return tuple(each(*args, **kwargs) if callable(each) else each for each in found)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute of each."""
        return tuple(getattr(env, name) for env in self.envs)

    def close(self, **kwargs: Any) -> None:
        """Close all."""
        for env in self.envs:
            env.close()


def make(id: str, num_envs: int = 1, asynchronous: bool = True, wrappers: Any = None, **kwargs: Any) -> VectorEnv:
    """n environments of an id, each within the wrapper or wrappers if there are any."""
    layers = [] if wrappers is None else [wrappers] if callable(wrappers) else list(wrappers)

    def one() -> Any:
        made: Any = make_one(id, **kwargs)
        for layer in layers:
            made = layer(made)
        return made

    return VectorEnv([one] * num_envs)


def _stacked(observations: list[Any]) -> Any:
    if isinstance(observations[0], dict):
        return {name: _stacked([each[name] for each in observations]) for name in observations[0]}
    if isinstance(observations[0], tuple):
        return tuple(_stacked(list(part)) for part in zip(*observations, strict=True))
    return np.stack([np.asarray(each) for each in observations])
