"""``gym.envs.mujoco``: the base that scripts derive their own robots from, and Gym's robots as such ones."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.mujoco import mujoco_rendering
from gymnasium.spaces import Box

from offbench.basis.shapes import Array
from offbench.d4rl.old_env import Env, say_once
from offbench.d4rl.old_sim import Simulation
from offbench.environments.mujoco_states import mujoco
from offbench.environments.pictures import off_screen
from offbench.errors import OffbenchError


class MujocoEnv(Env):
    """A robot of a script's own: a model, and ``step``, ``reset_model`` and ``_get_obs``, which a subclass defines.

    Attributes:
        model: MjModel.
        data: MjData.
        sim: both, as mujoco-py had them.
        frame_skip: physics steps a step.
        init_qpos: coordinates of the model's file; init_qvel its velocities.
    """

    def __init__(self, model_path: str | Path, frame_skip: int) -> None:
        path = Path(model_path)
        if not path.is_file():
            # Gym's own models are found by their name alone.
            path = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / path.name
        if not path.is_file():
            raise OffbenchError(f"there is no model {model_path}; give the path of an XML file, or a name of Gym's")
        self._take(mujoco.MjModel.from_xml_path(str(path)), frame_skip)
        self.action_space = self._set_action_space()
        self.seed()
        observation = self.step(self.action_space.sample())[0]
        self.observation_space = Box(-np.inf, np.inf, np.shape(observation), np.asarray(observation).dtype.type)

    def _take(self, model: Any, frame_skip: int) -> None:
        self.model, self.frame_skip = model, frame_skip
        self.data = mujoco.MjData(model)
        self.sim = Simulation(model, self.data)
        mujoco.mj_forward(model, self.data)
        self.init_qpos, self.init_qvel = self.data.qpos.copy(), self.data.qvel.copy()
        self.metadata = {"render.modes": [], "video.frames_per_second": round(1.0 / self.dt)}

    def _set_action_space(self) -> Box:
        low, high = self.model.actuator_ctrlrange.astype(np.float32).T
        return Box(low, high, dtype=np.float32)

    @abstractmethod
    def reset_model(self) -> Any:
        """Draw and set the state of a new episode; returns the observation."""

    def viewer_setup(self) -> None:
        """Nothing: there is no window."""

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Seed ``np_random``, a generator with the old methods."""
        self.np_random = np.random.RandomState(seed)
        return [seed]

    def reset(self) -> Any:
        """Start an episode; returns the observation."""
        self.sim.reset()
        return self.reset_model()

    def set_state(self, qpos: Array, qvel: Array) -> None:
        """Make coordinates and velocities the state."""
        if np.shape(qpos) != (self.model.nq,) or np.shape(qvel) != (self.model.nv,):
            shapes = f"{np.shape(qpos)} and {np.shape(qvel)}"
            raise OffbenchError(
                f"qpos and qvel have {shapes}; ({self.model.nq},) and ({self.model.nv},) would be right"
            )
        self.data.qpos[:], self.data.qvel[:] = qpos, qvel
        mujoco.mj_forward(self.model, self.data)

    @property
    def dt(self) -> float:
        """Seconds a step."""
        return float(self.model.opt.timestep * self.frame_skip)

    def do_simulation(self, ctrl: Any, n_frames: int) -> None:
        """Some steps of physics under one control."""
        self.data.ctrl[:] = ctrl
        mujoco.mj_step(self.model, self.data, n_frames)
        mujoco.mj_rnePostConstraint(self.model, self.data)

    def get_body_com(self, body_name: str) -> Array:
        """Where a body's frame is, (3,) metres."""
        place: Array = self.data.body(body_name).xpos
        return place

    def state_vector(self) -> Array:
        """Coordinates and velocities, one after the other."""
        return np.concatenate([self.data.qpos, self.data.qvel])

    def render(self, mode: str = "human", **kwargs: Any) -> Any:
        """A picture (height, width, 3) uint8 for "rgb_array"; for a window nothing, which is said once a process."""
        if mode == "human":
            return say_once("render() shows nothing: there are no windows here; mode='rgb_array' gives a picture")
        if mode != "rgb_array":
            raise OffbenchError(f"render(mode={mode!r}) is not offered here; a picture by mode='rgb_array' may be")
        width, height = kwargs.get("width", 500), kwargs.get("height", 500)
        self.model.vis.global_.offwidth, self.model.vis.global_.offheight = width, height
        with off_screen():
            renderer: Any = mujoco_rendering.MujocoRenderer(self.model, self.data, None, width, height)
            picture = renderer.render("rgb_array")
            renderer.close()
        return picture


def _robot(name: str, id: str, **arguments: Any) -> type[MujocoEnv]:
    """Gym's class of a robot: what a subclass overrides of step, reset_model and _get_obs is what counts."""

    def __init__(self: Any, *ignored: Any, **kwargs: Any) -> None:  # noqa: N807 - becomes the class's
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*is out of date")
            self._body = gymnasium.make(id, max_episode_steps=-1, disable_env_checker=True, **arguments).unwrapped
        self._body.reset(seed=0)
        self.model, self.data, self.frame_skip = self._body.model, self._body.data, self._body.frame_skip
        self.sim = Simulation(self.model, self.data)
        self.init_qpos, self.init_qvel = self._body.init_qpos, self._body.init_qvel
        self.metadata = {"render.modes": [], "video.frames_per_second": round(1.0 / self.dt)}
        self.action_space, self.observation_space = self._body.action_space, self._body.observation_space
        self.seed()
        if type(self)._get_obs is not members["_get_obs"]:
            shown = self._get_obs()
            self.observation_space = Box(-np.inf, np.inf, np.shape(shown), np.float64)

    def step(self: Any, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        """Advance by one step: observation, reward, done, info."""
        _, reward, terminated, _, info = self._body.step(action)
        return self._get_obs(), float(reward), bool(terminated), info

    def reset_model(self: Any) -> Any:
        """Draw and set the state of a new episode; returns the observation."""
        self._body.reset_model()
        return self._get_obs()

    def seed(self: Any, seed: int | None = None) -> list[int | None]:
        """Seed both generators, the simulation's and the script's."""
        self._body.reset(seed=seed)
        self.np_random = np.random.RandomState(seed)
        return [seed]

    def _get_obs(self: Any) -> Any:
        return self._body._get_obs()

    members = {"__init__": __init__, "step": step, "reset_model": reset_model, "seed": seed, "_get_obs": _get_obs}
    return type(name, (MujocoEnv,), {**members, "__doc__": f"{id} under the old interface, without a time limit."})


_CONTACTS = {"use_contact_forces": True, "contact_force_range": (0.0, 0.0)}
ROBOTS = {
    f"{name}Env": _robot(f"{name}Env", f"{name}-v4", **(_CONTACTS if name == "Ant" else {}))
    for name in ("Ant", "HalfCheetah", "Hopper", "Humanoid", "HumanoidStandup", "InvertedDoublePendulum",
                 "InvertedPendulum", "Reacher", "Swimmer", "Walker2d")
}  # fmt: skip
