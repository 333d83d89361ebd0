"""A task of D4RL with its dataset, as ``gymnasium.make("hopper-medium-v2")`` gives it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from gymnasium.wrappers import TimeLimit

from offbench.basis.shapes import Array
from offbench.catalog import store
from offbench.d4rl.arrays import read_arrays
from offbench.d4rl.files import chosen, dataset_file, folder
from offbench.d4rl.registry import card_of, score, task_of
from offbench.environments.single import make_environment
from offbench.environments.task import Task
from offbench.errors import DataError, OffbenchError

# Observations and actions of tasks of D4RL that cannot be simulated here, so that their data can be read all the same.
_SHAPES = {"kitchen": (60, 9), "kitchen-mixed": (60, 9)}


class OfflineEnvironment(gymnasium.Env[Array, Array]):
    """A Gymnasium environment that knows its dataset and its reference scores.

    It is the outermost object that ``gymnasium.make`` returns, so that nothing hides its methods; the time limit is
    within. Names that it lacks itself are looked up in the environment within.

    Attributes:
        ref_min_score: return that scores 0.
        ref_max_score: return that scores 1.
        dataset_url: where the dataset is published.
        dataset_filepath: the file that `get_dataset` reads or will read, as a text.
    """

    ENTRY_POINT: ClassVar[str] = "offbench.d4rl.environment:OfflineEnvironment"
    # What Gymnasium compares a render mode with before it makes one; the environment within has the last word.
    metadata = {"render_modes": ["human", "rgb_array", "depth_array"]}

    def __init__(self, dataset: str, render_mode: str | None = None, **arguments: Any) -> None:
        """Make the environment of a dataset's task.

        Args:
            dataset: D4RL's name, ``hopper-medium-v2``.
            render_mode: as Gymnasium takes it.
            arguments: further arguments of the simulator's environment.

        Raises:
            UnknownNameError: D4RL has no such dataset.
            OffbenchError: its environment cannot be made. Where only the simulation is missing (the kitchen), it is
                made without, and reset and step raise this.
        """
        card, task = card_of(dataset), task_of(dataset)
        given = arguments if render_mode is None else {**arguments, "render_mode": render_mode}
        self._inner = _simulated(task.model_copy(update={"arguments": {**task.arguments, **given}}))
        self._keys = task.observation if isinstance(self._inner.observation_space, Dict) else ()
        self._dataset = dataset
        self._max_episode_steps = task.episode_limit
        self.dataset_url = card.files[0].url
        self.ref_min_score, self.ref_max_score = task.low.mean, task.high.mean
        self.action_space, self.observation_space = self._inner.action_space, _flat_space(self._inner, self._keys)
        self.metadata, self.render_mode = self._inner.metadata, self._inner.render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Start an episode: observation (observation,) and what the simulator tells besides."""
        observation, info = self._inner.reset(seed=seed, options=options)
        return self._flat(observation), info

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Advance by one step: observation, reward, termination, truncation, info."""
        observation, reward, terminated, truncated, info = self._inner.step(action)
        return self._flat(observation), float(reward), bool(terminated), bool(truncated), info

    def render(self) -> Any:
        """What the environment within renders."""
        return self._inner.render()

    @property
    def simulation(self) -> Any:
        """The innermost environment."""
        return self._inner.unwrapped

    def lift_limit(self) -> None:
        """Go on beyond the time limit, which somebody else counts."""
        layer: Any = self._inner
        while isinstance(layer, gymnasium.Wrapper):
            if isinstance(layer, TimeLimit):
                layer._max_episode_steps = sys.maxsize
            layer = layer.env

    def close(self) -> None:
        """Free what the environment within holds."""
        self._inner.close()

    def get_dataset(self, h5path: str | Path | None = None) -> dict[str, Any]:
        """The dataset in D4RL's layout, each array in the dtype of the file; fetched on first use.

        Args:
            h5path: a D4RL file to read instead.

        Raises:
            DataError: a file that cannot be read, or whose observations or actions do not fit the environment.
            OffbenchError: the file cannot be fetched.
        """
        path = dataset_file(card_of(self._dataset)) if h5path is None else Path(h5path)
        arrays = read_arrays(path)
        for name, space in (("observations", self.observation_space), ("actions", self.action_space)):
            if np.shape(arrays[name])[1:] != space.shape:
                raise DataError(
                    f"{name} of {path} have shape {np.shape(arrays[name])[1:]} a row; {space.shape} would be right for "
                    f"{self._dataset}"
                )
        return arrays

    @property
    def dataset_filepath(self) -> str:
        """The file of the data, which is there once `get_dataset` was called."""
        card = card_of(self._dataset)
        there = chosen(card) or next((path for path in (store.source_paths(card)[0],) if path.is_file()), None)
        return str(there or folder() / card.files[0].name)

    def get_normalized_score(self, score_or_return: Any) -> Any:
        """(return - ref_min_score) / (ref_max_score - ref_min_score), a fraction: multiply by 100 for a score."""
        return score(self._dataset, score_or_return)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_inner" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._inner.unwrapped, name)

    def _flat(self, observation: Any) -> Array:
        if not self._keys:
            return np.asarray(observation)
        return np.concatenate([np.ravel(observation[key]) for key in self._keys])


class _Unsimulated(gymnasium.Env[Array, Array]):
    """Spaces without a simulation: whoever wants to step is told why there is none."""

    def __init__(self, shapes: tuple[int, int], reason: str) -> None:
        observations, actions = shapes
        self.observation_space = Box(-np.inf, np.inf, (observations,), np.float64)
        self.action_space = Box(-1.0, 1.0, (actions,), np.float32)
        self._told = f"{reason}; get_dataset and the scores work, reset and step do not"

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Say why there is no simulation."""
        raise OffbenchError(self._told)

    def step(self, action: Array) -> Any:
        """Say why there is no simulation."""
        raise OffbenchError(self._told)


def _simulated(task: Task) -> gymnasium.Env[Any, Any]:
    try:
        return make_environment(task)
    except OffbenchError as error:
        if task.name not in _SHAPES:
            raise
        return _Unsimulated(_SHAPES[task.name], str(error))


def _flat_space(environment: gymnasium.Env[Any, Any], keys: tuple[str, ...]) -> gymnasium.Space[Any]:
    space = environment.observation_space
    if not isinstance(space, Dict):
        return space
    parts = [space[key] for key in keys]
    assert all(isinstance(part, Box) for part in parts)
    low, high = (np.concatenate([np.ravel(getattr(part, side)) for part in parts]) for side in ("low", "high"))
    return Box(low, high, dtype=low.dtype.type)
