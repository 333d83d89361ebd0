"""What D4RL's own modules offered beside its environments: offline_env, and the writer and wrappers of utils.

Names, arguments and results are those of https://github.com/Farama-Foundation/D4RL, ``d4rl/offline_env.py`` and
``d4rl/utils``.
"""

from __future__ import annotations

from abc import ABCMeta
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box

from offbench.basis.files import atomic
from offbench.d4rl import files
from offbench.d4rl.arrays import read_arrays
from offbench.d4rl.old_env import Env
from offbench.d4rl.old_mazes import OfflineAdapted
from offbench.d4rl.old_wrappers import Wrapper
from offbench.errors import OffbenchError
from offbench.formats.hdf5_file import h5py


def filepath_from_url(dataset_url: str) -> str:
    """Where the file of an address is: what was chosen for its name, else below D4RL's folder, there or not."""
    found = files.file_of_url(dataset_url)
    return str(found[1] if found else files.folder() / dataset_url.rpartition("/")[2])


def download_dataset_from_url(dataset_url: str) -> str:
    """The file of an address of D4RL, fetched unless it is there.

    Raises:
        OffbenchError: the address is none of D4RL's and nobody has put the file there, or it cannot be fetched.
    """
    if found := files.file_of_url(dataset_url):
        return str(files.dataset_file(found[0]))
    path = Path(filepath_from_url(dataset_url))
    if not path.is_file():
        raise OffbenchError(f"{dataset_url} is no address of D4RL's files; put the file at {path} to read it")
    return str(path)


def get_keys(h5file: Any) -> list[str]:
    """Paths of all datasets in an open HDF5 file."""
    found: list[str] = []
    h5file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return found


class OfflineEnv(Env, metaclass=ABCMeta):
    """The base of a script's own offline environments: a dataset by its address, and two reference returns."""

    def __init__(
        self,
        dataset_url: Any = None,
        ref_max_score: float | None = None,
        ref_min_score: float | None = None,
        deprecated: bool = False,
        deprecation_message: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.dataset_url = self._dataset_url = dataset_url
        self.ref_max_score, self.ref_min_score = ref_max_score, ref_min_score

    @property
    def dataset_filepath(self) -> str:
        """Where the file of the data is."""
        return filepath_from_url(self.dataset_url)

    def get_normalized_score(self, score: Any) -> Any:
        """(return - ref_min_score) / (ref_max_score - ref_min_score), a fraction."""
        if self.ref_max_score is None or self.ref_min_score is None:
            raise OffbenchError(f"{type(self).__name__} has no reference returns; give ref_min_score and ref_max_score")
        return (score - self.ref_min_score) / (self.ref_max_score - self.ref_min_score)

    def get_dataset(self, h5path: str | Path | None = None) -> dict[str, Any]:
        """The arrays of a file, by default that of the address; see `offbench.d4rl.read_arrays`."""
        if h5path is None and not isinstance(self._dataset_url, str):
            raise OffbenchError(f"{type(self).__name__} has no dataset_url; give one, or get_dataset a file")
        return read_arrays(download_dataset_from_url(self._dataset_url) if h5path is None else h5path)


# What gym.make gives for a name of D4RL is one, too.
OfflineEnv.register(OfflineAdapted)


class OfflineEnvWrapper(Wrapper, OfflineEnv):
    """A script's own environment with a dataset."""

    def __init__(self, env: Any, **kwargs: Any) -> None:
        Wrapper.__init__(self, env)
        OfflineEnv.__init__(self, **kwargs)


class DatasetWriter:
    """Collects steps and writes them in D4RL's layout.

    Attributes:
        data: lists by the name that they have in the file.
    """

    def __init__(self, mujoco: bool = False, goal: bool = False) -> None:
        self.mujoco, self.goal = mujoco, goal
        names = ["observations", "actions", "terminals", "rewards"]
        names += ["infos/qpos", "infos/qvel"] * mujoco + ["infos/goal"] * goal
        self.data: dict[str, list[Any]] = {name: [] for name in names}

    def __len__(self) -> int:
        return len(self.data["rewards"])

    def append_data(self, s: Any, a: Any, r: Any, done: Any, goal: Any = None, mujoco_env_data: Any = None) -> None:
        """One step: observation before it, action, reward, whether it is terminal; goal and MjData if there are any."""
        row = {"observations": s, "actions": a, "terminals": done, "rewards": r}
        if self.goal:
            row["infos/goal"] = goal
        if self.mujoco:
            row["infos/qpos"] = np.ravel(mujoco_env_data.qpos).copy()
            row["infos/qvel"] = np.ravel(mujoco_env_data.qvel).copy()
        for name, value in row.items():
            self.data[name].append(value)

    def write_dataset(self, fname: str | Path, max_size: int | None = None, compression: str | None = "gzip") -> None:
        """Write the first ``max_size`` steps, all if None: terminals as bool, all else as float32."""
        with atomic(Path(fname)) as temporary, h5py.File(temporary, "w") as file:
            for name, column in self.data.items():
                values = np.array(column, dtype=np.bool_ if name == "terminals" else np.float32)[:max_size]
                file.create_dataset(name, data=values, compression=compression)


class NormalizedBoxEnv(Wrapper):
    """Actions in [-1, 1]; observations shifted and scaled, rewards scaled, where it is asked for."""

    def __init__(self, env: Any, reward_scale: float = 1.0, obs_mean: Any = None, obs_std: Any = None) -> None:
        super().__init__(env)
        self._reward_scale = reward_scale
        self._should_normalize = obs_mean is not None or obs_std is not None
        self._obs_mean = np.asarray(0.0 if obs_mean is None else obs_mean)
        self._obs_std = np.asarray(1.0 if obs_std is None else obs_std)
        self.action_space = Box(-1.0, 1.0, env.action_space.shape, np.float32)

    @property
    def wrapped_env(self) -> Any:
        """The environment within."""
        return self.env

    def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        """Advance by one step of the action in the environment's units."""
        low, high = self.env.action_space.low, self.env.action_space.high
        scaled = np.clip(low + (np.asarray(action) + 1.0) * 0.5 * (high - low), low, high)
        observation, reward, done, info = self.env.step(scaled)
        if self._should_normalize:
            observation = (observation - self._obs_mean) / (self._obs_std + 1e-8)
        return observation, reward * self._reward_scale, done, info
