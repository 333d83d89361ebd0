"""Making and registering environments as OpenAI Gym did until 2022, on Gymnasium's."""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import gymnasium
import numpy as np

from offbench.basis.plain import plain
from offbench.d4rl import old_mazes
from offbench.d4rl.environment import OfflineEnvironment
from offbench.d4rl.old_env import Adapted, Env
from offbench.d4rl.old_wrappers import TimeLimit
from offbench.d4rl.registry import task_of
from offbench.environments.single import register_robotics
from offbench.errors import OffbenchError

# MuJoCo's robots under the versions that are still maintained; observations and rewards are the same.
_ROBOTS = ("Hopper", "HalfCheetah", "Walker2d", "Swimmer", "Reacher", "Humanoid", "HumanoidStandup", "Ant")
_PENDULUMS = ("InvertedPendulum", "InvertedDoublePendulum")
_SUCCESSORS = {"Pendulum-v0": "Pendulum-v1", "LunarLander-v2": "LunarLander-v3"}
_SUCCESSORS |= {"LunarLanderContinuous-v2": "LunarLanderContinuous-v3"}
_SUCCESSORS |= {f"{name}-{old}": f"{name}-v4" for name in (*_ROBOTS, *_PENDULUMS) for old in ("v2", "v3")}
_SUCCESSORS |= {f"Fetch{name}{kind}-v1": f"Fetch{name}{kind}-v4" for kind in ("", "Dense")
                for name in ("Reach", "Push", "Slide", "PickAndPlace")}  # fmt: skip
# Names that D4RL's kitchen had at first, of the same files.
_SUCCESSORS |= {
    "mini-kitchen-microwave-kettle-light-slider-v0": "kitchen-complete-v0",
    "kitchen-microwave-kettle-light-slider-v0": "kitchen-partial-v0",
    "kitchen-microwave-kettle-bottomburner-light-v0": "kitchen-mixed-v0",
}
# mujoco-py's ant observed contact forces, which were zero in the MuJoCo of its time, as D4RL's data show.
_ARGUMENTS = {"Ant-v4": {"use_contact_forces": True, "contact_force_range": (0.0, 0.0)}}
# What D4RL's further names need, by how they begin.
_ELSEWHERE = {
    "bullet-": "PyBullet", "carla-": "the CARLA simulator", "flow-": "Flow and SUMO", "minigrid-": "gym-minigrid",
    "maze2d-eval-": "data that were never published", "antmaze-eval-": "data that were never published",
}  # fmt: skip


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
        """The specification of an id, with its time limit."""
        return self.own[id] if id in self.own else _with_limit(gymnasium.spec(_SUCCESSORS.get(id, id)))


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
        print(f"gym.make({id!r}): {_SUCCESSORS[id]} in its place, the same task as it is today", file=sys.stderr)
        id = _SUCCESSORS[id]
    spec = _with_limit(_spec(id))
    with warnings.catch_warnings():
        # Of D4RL's versions none is out of date: they are different data.
        warnings.filterwarnings("ignore", message=".*is out of date")
        given = {"max_episode_steps": -1, **_ARGUMENTS.get(id, {}), **kwargs}
        try:
            # Pictures are drawn when asked for; the mode costs nothing before.
            environment = gymnasium.make(id, **{"render_mode": "rgb_array", **given})
        except TypeError:
            environment = gymnasium.make(id, **given)
    adapted = _adapted(environment, spec)
    return adapted if spec.max_episode_steps is None else TimeLimit(adapted, spec.max_episode_steps)


def _adapted(environment: gymnasium.Env[Any, Any], spec: Any) -> Env:
    """The old interface without a time limit, which is a wrapper of its own there, as scripts expect."""
    if not isinstance(environment, OfflineEnvironment):
        return Adapted(environment, spec)
    environment.lift_limit()
    return old_mazes.adapted(environment, spec)


def _with_limit(spec: Any) -> Any:
    """A specification that says the time limit also of D4RL's names, whose environments bring their own."""
    if spec.entry_point != OfflineEnvironment.ENTRY_POINT:
        return spec
    found = copy(spec)
    found.max_episode_steps = task_of(spec.id).episode_limit
    return found


def _spec(id: str) -> Any:
    """Gymnasium's specification of an id.

    Raises:
        OffbenchError: it is one of D4RL's, or of Gym's, that needs a simulator which is not offered.
        gymnasium.error.Error: nobody has such an environment.
    """
    if id.startswith("Fetch") or id.startswith("HandManipulate"):
        register_robotics()
    for start, needed in _ELSEWHERE.items():
        if id.startswith(start):
            raise OffbenchError(f"gym.make({plain(id)!r}): this name of D4RL needs {needed}, which is not offered here")
    if "NoFrameskip" in id or id.startswith("ALE/"):
        raise OffbenchError(f"gym.make({plain(id)!r}): Atari's games need ale-py, which offbench does not use")
    return gymnasium.spec(id)


def np_random(seed: int | None = None) -> tuple[np.random.RandomState, int | None]:
    """What ``gym.utils.seeding.np_random`` gave: a generator with the old methods, and the seed."""
    return np.random.RandomState(seed), seed


def hash_seed(seed: int | None = None, max_bytes: int = 8) -> int:
    """What ``gym.utils.seeding.hash_seed`` gave: the number of the first bytes of the seed's SHA-512."""
    digest = hashlib.sha512(str(seed).encode("utf8")).digest()
    return int.from_bytes(digest[:max_bytes], sys.byteorder)
