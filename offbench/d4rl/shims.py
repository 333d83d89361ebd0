"""Modules named ``gym`` and ``d4rl`` for scripts that import them, in this process only."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np

from offbench.d4rl import arrays, environment, old_env, old_gym, old_wrappers, registry

# Wrappers by the modules that they had in gym.wrappers.
_WRAPPERS = {
    "time_limit": old_wrappers.TimeLimit,
    "clip_action": old_wrappers.ClipAction,
    "rescale_action": old_wrappers.RescaleAction,
    "flatten_observation": old_wrappers.FlattenObservation,
    "transform_observation": old_wrappers.TransformObservation,
    "transform_reward": old_wrappers.TransformReward,
    "record_episode_statistics": old_wrappers.RecordEpisodeStatistics,
}
_CORE = {
    "Env": old_env.Env,
    "Wrapper": old_wrappers.Wrapper,
    "ObservationWrapper": old_wrappers.ObservationWrapper,
    "RewardWrapper": old_wrappers.RewardWrapper,
    "ActionWrapper": old_wrappers.ActionWrapper,
}
# Families of D4RL, which register their names on import; here all names are registered at once.
_FAMILIES = (
    "gym_mujoco", "locomotion", "pointmaze", "pointmaze_bullet", "hand_manipulation_suite", "kitchen", "gym_bullet",
    "gym_minigrid", "carla", "flow",
)  # fmt: skip
# Names of Python's types that NumPy had until 1.24.
_OLD_NUMPY = {"float": float, "int": int, "object": object, "complex": complex}


def install() -> list[str]:
    """Put the modules in place and register D4RL's names; returns the installed packages that are shadowed."""
    shadowed = [name for name in ("gym", "d4rl") if name not in sys.modules and find_spec(name) is not None]
    registry.register()
    for module in (*_gym(), *_d4rl()):
        sys.modules[module.__name__] = module
        parent, _, child = module.__name__.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    for name, kind in _OLD_NUMPY.items():
        if name not in vars(np):
            setattr(np, name, kind)
    return shadowed


def _gym() -> list[ModuleType]:
    """Parents before children."""
    making = {"make": old_gym.make, "register": old_gym.register, "spec": old_gym.registry.spec}
    wrappers = {kind.__name__: kind for kind in _WRAPPERS.values()}
    root = _module(
        "gym", {**_CORE, **making, "spaces": gymnasium.spaces, "__version__": "0.21.0", "error": gymnasium.error}
    )
    registration = {**making, "registry": old_gym.registry, "EnvSpec": old_gym.Spec}
    seeding = _module("gym.utils.seeding", {"np_random": old_gym.np_random})
    modules = [
        root,
        _module("gym.core", _CORE),
        _module("gym.envs", registration),
        _module("gym.envs.registration", registration),
        _module("gym.error", vars(gymnasium.error)),
        _module("gym.logger", vars(gymnasium.logger) | {"set_level": _set_level}),
        _module("gym.utils", {"EzPickle": gymnasium.utils.EzPickle, "colorize": gymnasium.utils.colorize}),
        seeding,
        _module("gym.wrappers", wrappers),
        *(_module(f"gym.wrappers.{name}", {kind.__name__: kind}) for name, kind in _WRAPPERS.items()),
    ]
    _alias_spaces()
    return modules


def _alias_spaces() -> None:
    """``gym.spaces`` is Gymnasium's module itself, so that spaces of both are one type."""
    for name in [name for name in sys.modules if name.split(".")[:2] == ["gymnasium", "spaces"]]:
        sys.modules[name.replace("gymnasium", "gym", 1)] = sys.modules[name]


def _d4rl() -> list[ModuleType]:
    """Parents before children."""
    names = registry.names()
    offline = {
        "OfflineEnv": environment.OfflineEnvironment,
        "set_dataset_path": registry.set_dataset_path,
        "get_keys": _keys,
    }
    functions = {
        "qlearning_dataset": arrays.qlearning_dataset,
        "sequence_dataset": arrays.sequence_dataset,
        "get_normalized_score": registry.score,
        "reverse_normalized_score": registry.reverse_score,
        "__version__": "1.1",
    }
    infos = {
        "REF_MIN_SCORE": {name: registry.task_of(name).low.mean for name in names},
        "REF_MAX_SCORE": {name: registry.task_of(name).high.mean for name in names},
        "DATASET_URLS": {name: registry.card_of(name).files[0].url for name in names},
    }
    return [
        _module("d4rl", functions | offline),
        _module("d4rl.offline_env", offline),
        _module("d4rl.infos", infos),
        *(_module(f"d4rl.{name}", {}) for name in _FAMILIES),
    ]


def _module(name: str, members: Mapping[str, Any]) -> ModuleType:
    """A package without files, whose error for a name that it lacks says what it has."""
    module = ModuleType(name, f"Stands for {name} of 2021 in this process; see offbench.d4rl.")
    kept = {key: value for key, value in members.items() if not key.startswith("__") or key == "__version__"}
    vars(module).update(kept)
    offered = ", ".join(sorted(key for key in kept if not key.startswith("_"))) or "nothing but its name"

    def missing(wanted: str) -> Any:
        raise AttributeError(f"offbench's stand-in for {name} has no {wanted!r}; it offers {offered}")

    vars(module).update(__path__=[], __getattr__=missing)
    return module


def _set_level(level: int) -> None:
    gymnasium.logger.min_level = level


def _keys(file: Any) -> list[str]:
    """Paths of all datasets in an open HDF5 file."""
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if hasattr(item, "dtype") else None)
    return found
