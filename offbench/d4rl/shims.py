"""Modules named ``gym`` and ``d4rl`` for scripts that import them, in this process only."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np

from offbench.d4rl import (
    arrays,
    files,
    old_env,
    old_gym,
    old_mazes,
    old_memory,
    old_mujoco,
    old_offline,
    old_recording,
    old_vector,
    old_wrappers,
    ope,
    registry,
)

# Wrappers by the modules that they had in gym.wrappers.
_WRAPPERS: dict[str, tuple[Any, ...]] = {
    "time_limit": (old_wrappers.TimeLimit,),
    "order_enforcing": (old_wrappers.OrderEnforcing,),
    "clip_action": (old_wrappers.ClipAction,),
    "rescale_action": (old_wrappers.RescaleAction,),
    "flatten_observation": (old_wrappers.FlattenObservation,),
    "transform_observation": (old_wrappers.TransformObservation,),
    "transform_reward": (old_wrappers.TransformReward,),
    "record_episode_statistics": (old_wrappers.RecordEpisodeStatistics,),
    "normalize": (old_memory.NormalizeObservation, old_memory.NormalizeReward, old_memory.RunningMeanStd),
    "frame_stack": (old_memory.FrameStack, old_memory.LazyFrames),
    "time_aware_observation": (old_memory.TimeAwareObservation,),
    "filter_observation": (old_memory.FilterObservation,),
    "record_video": (old_recording.RecordVideo, old_recording.capped_cubic_video_schedule),
    "monitor": (old_recording.Monitor,),
    "monitoring.video_recorder": (old_recording.VideoRecorder,),
}
_NOT_AMONG_WRAPPERS = (
    old_memory.RunningMeanStd,
    old_recording.VideoRecorder,
    old_recording.capped_cubic_video_schedule,
)
_CORE = {
    "Env": old_env.Env,
    "GoalEnv": old_env.GoalEnv,
    "Space": gymnasium.Space,
    "Wrapper": old_wrappers.Wrapper,
    "ObservationWrapper": old_wrappers.ObservationWrapper,
    "RewardWrapper": old_wrappers.RewardWrapper,
    "ActionWrapper": old_wrappers.ActionWrapper,
}
_VECTOR = {"VectorEnv": old_vector.VectorEnv, "SyncVectorEnv": old_vector.VectorEnv,
           "AsyncVectorEnv": old_vector.VectorEnv, "make": old_vector.make}  # fmt: skip
_ANT_MAZES = {"RESET": "r", "R": "r", "GOAL": "g", "G": "g", "U_MAZE": old_mazes.ant_maze("umaze"),
              "BIG_MAZE": old_mazes.ant_maze("medium"), "HARDEST_MAZE": old_mazes.ant_maze("large")}  # fmt: skip
# gym.envs.mujoco's modules and the robots in them.
_ROBOTS = {
    "ant": "Ant", "half_cheetah": "HalfCheetah", "hopper": "Hopper", "humanoid": "Humanoid", "reacher": "Reacher",
    "humanoidstandup": "HumanoidStandup", "inverted_pendulum": "InvertedPendulum", "swimmer": "Swimmer",
    "inverted_double_pendulum": "InvertedDoublePendulum", "walker2d": "Walker2d",
}  # fmt: skip
_MAZES = {
    name: getattr(old_mazes, name)
    for name in (
        "MazeEnv", "parse_maze", "OPEN", "U_MAZE", "SMALL_MAZE", "MEDIUM_MAZE", "LARGE_MAZE", "WALL", "EMPTY", "GOAL",
    )
}  # fmt: skip
# Families of D4RL, which register their names on import; here all names are registered at once.
_FAMILIES = (
    "gym_mujoco", "locomotion", "pointmaze", "pointmaze_bullet", "hand_manipulation_suite", "kitchen", "gym_bullet",
    "gym_minigrid", "carla", "flow",
)  # fmt: skip
# Names that NumPy had: of Python's types until 1.24, second ones of its own until 2.0.
_OLD_NUMPY = {
    "float": float, "int": int, "object": object, "complex": complex,
    "float_": np.float64, "complex_": np.complex128, "unicode_": np.str_, "string_": np.bytes_, "bool8": np.bool_,
    "Inf": np.inf, "infty": np.inf, "PINF": np.inf, "NINF": -np.inf, "NaN": np.nan,
    "product": np.prod, "cumproduct": np.cumprod, "alltrue": np.all, "sometrue": np.any, "row_stack": np.vstack,
}  # fmt: skip


def install() -> list[str]:
    """Put the modules in place and register D4RL's names; returns the installed packages that are shadowed."""
    shadowed = [name for name in ("gym", "d4rl") if name not in sys.modules and find_spec(name) is not None]
    registry.register()
    for module in (*_gym(), *_d4rl()):
        sys.modules[module.__name__] = module
        parent, _, child = module.__name__.rpartition(".")
        if parent and child not in vars(sys.modules[parent]):
            setattr(sys.modules[parent], child, module)
    if not any(isinstance(finder, _Absent) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Absent())
    for name, kind in _OLD_NUMPY.items():
        if name not in vars(np):
            setattr(np, name, kind)
    return shadowed


def explain(error: BaseException) -> str:
    """What the stand-in offers, where a script imported a name that it lacks; empty for any other error."""
    module = sys.modules.get(error.name or "") if isinstance(error, ImportError) else None
    return getattr(module, "__offers__", "")


class _Absent(MetaPathFinder):
    """Says what is there, where a script imports a module of gym or d4rl that has no stand-in."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """No module is found here: those that there are were imported before."""
        root = fullname.partition(".")[0]
        if root in ("gym", "d4rl") and root in sys.modules:
            known = sorted(name for name in sys.modules if name.startswith(f"{root}."))
            told = f"offbench's stand-in for {root} has no module {fullname!r}; it offers {', '.join(known)}"
            raise ModuleNotFoundError(told, name=fullname)


def _gym() -> list[ModuleType]:
    """Parents before children."""
    making = {"make": old_gym.make, "register": old_gym.register, "spec": old_gym.registry.spec}
    kinds = [kind for each in _WRAPPERS.values() for kind in each]
    wrappers = {kind.__name__: kind for kind in kinds if kind not in _NOT_AMONG_WRAPPERS}
    root = _module(
        "gym", {**_CORE, **making, "spaces": gymnasium.spaces, "__version__": "0.21.0", "error": gymnasium.error}
    )
    registration = {**making, "registry": old_gym.registry, "EnvSpec": old_gym.Spec}
    base = {"MujocoEnv": old_mujoco.MujocoEnv}
    modules = [
        root,
        _module("gym.core", _CORE),
        _module("gym.envs", registration),
        _module("gym.envs.registration", registration),
        _module("gym.envs.mujoco", base | old_mujoco.ROBOTS),
        _module("gym.envs.mujoco.mujoco_env", base),
        *(
            _module(f"gym.envs.mujoco.{name}{version}", {f"{kind}Env": old_mujoco.ROBOTS[f"{kind}Env"]})
            for name, kind in _ROBOTS.items()
            for version in ("", "_v3")
        ),
        _module("gym.error", vars(gymnasium.error)),
        _module("gym.logger", vars(gymnasium.logger) | {"set_level": _set_level}),
        _module("gym.utils", {"EzPickle": gymnasium.utils.EzPickle, "colorize": gymnasium.utils.colorize}),
        _module("gym.utils.ezpickle", {"EzPickle": gymnasium.utils.EzPickle}),
        _module("gym.utils.seeding", {"np_random": old_gym.np_random, "hash_seed": old_gym.hash_seed}),
        _module("gym.vector", _VECTOR),
        _module("gym.vector.vector_env", _VECTOR),
        _module("gym.vector.sync_vector_env", _VECTOR),
        _module("gym.vector.async_vector_env", _VECTOR),
        _module("gym.wrappers", wrappers),
        _module("gym.wrappers.monitoring", {}),
        *(_module(f"gym.wrappers.{name}", {kind.__name__: kind for kind in each}) for name, each in _WRAPPERS.items()),
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
    offline: dict[str, Any] = {"set_dataset_path": files.set_dataset_path, "DATASET_PATH": str(files.folder())}
    offline |= _public(old_offline, "OfflineEnv", "OfflineEnvWrapper", "filepath_from_url", "get_keys")
    offline |= _public(old_offline, "download_dataset_from_url")
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
    scaling = _public(old_offline, "NormalizedBoxEnv")
    return [
        _module("d4rl", functions | offline),
        _module("d4rl.offline_env", offline),
        _module("d4rl.infos", infos),
        _module("d4rl.ope", {name: value for name, value in vars(ope).items() if _is_own(name, value)}),
        _module("d4rl.utils", {}),
        _module("d4rl.utils.dataset_utils", _public(old_offline, "DatasetWriter")),
        _module("d4rl.utils.wrappers", scaling),
        *(_module(f"d4rl.{name}", _MAZES if name == "pointmaze" else {}) for name in _FAMILIES),
        _module("d4rl.pointmaze.maze_model", _MAZES),
        _module("d4rl.pointmaze.waypoint_controller", _public(old_mazes, "WaypointController")),
        _module("d4rl.locomotion.wrappers", scaling),
        _module("d4rl.locomotion.ant", _public(old_mazes, "AntMazeEnv")),
        _module("d4rl.locomotion.maze_env", _ANT_MAZES),
        _module("d4rl.gym_mujoco.gym_envs", {}),
        _module("d4rl.kitchen.kitchen_envs", {}),
    ]


def _public(module: ModuleType, *names: str) -> dict[str, Any]:
    return {name: getattr(module, name) for name in names}


def _is_own(name: str, value: Any) -> bool:
    """Whether a name of `offbench.d4rl.ope` is one that D4RL's module has."""
    return name.isupper() or (callable(value) and getattr(value, "__module__", "") == ope.__name__ and name[0] != "_")


def _module(name: str, members: Mapping[str, Any]) -> ModuleType:
    """A package without files, whose error for a name that it lacks says what it has."""
    module = ModuleType(name, f"Stands for {name} of 2021 in this process; see offbench.d4rl.")
    kept = {key: value for key, value in members.items() if not key.startswith("__") or key == "__version__"}
    vars(module).update(kept)
    offered = ", ".join(sorted(key for key in kept if not key.startswith("_"))) or "nothing but its name"

    def missing(wanted: str) -> Any:
        raise AttributeError(f"offbench's stand-in for {name} has no {wanted!r}; it offers {offered}")

    vars(module).update(__path__=[], __getattr__=missing, __offers__=f"offbench's stand-in for {name} offers {offered}")
    return module


def _set_level(level: int) -> None:
    gymnasium.logger.min_level = level
