"""Gymnasium's Hopper, HalfCheetah, Walker2d and Ant (v4 and v5) in a batch, exactly its trajectories.

One Gymnasium environment draws the starts and holds the constants; the physics runs in `MujocoStates`, and
observations, rewards and terminations are array code over all environments. The order of floating-point operations, and
the float32 sum of the control cost, are Gymnasium's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from offbench.basis.shapes import Array
from offbench.environments.mujoco_states import MujocoStates, make_states, mujoco
from offbench.environments.protocol import Episodes, Step, check_seeds, checked_actions, checked_columns, checked_states
from offbench.environments.single import make_environment
from offbench.environments.task import Task
from offbench.errors import OffbenchError

ROBOTS = ("Hopper", "HalfCheetah", "Walker2d", "Ant")
# Gymnasium's Hopper and Walker2d show velocities within these bounds only.
SHOWN_SPEED = 10.0


class LocomotionSimulator:
    """Environments of one robot that is rewarded for moving forward."""

    def __init__(self, task: Task, count: int, threads: int | None = None) -> None:
        """Take how many threads may step, None for all; their number changes no result."""
        if not self.supports(task):
            raise OffbenchError(
                f"task {task.name} is none of {', '.join(ROBOTS)} in version 4 or 5; see make_simulator"
            )
        self._environment = make_environment(task)
        self._gym = cast(Any, self._environment.unwrapped)
        self._robot, self._version = task.environment.split("-")
        self.count = count
        self.action_low = self._gym.action_space.low.astype(np.float32)
        self.action_high = self._gym.action_space.high.astype(np.float32)
        self.observation_size = int(self._gym.observation_space.shape[0])
        step = getattr(self._gym, "physics_step", None)  # that of D4RL's dynamics, where they have one
        self._states = make_states(self._gym.model, count, self._watched(), threads, step)
        self._episodes = Episodes(count, task.episode_limit)

    @staticmethod
    def supports(task: Task) -> bool:
        """Whether a task is one of these robots."""
        return task.environment in {f"{robot}-{version}" for robot in ROBOTS for version in ("v4", "v5")}

    @property
    def episode_limit(self) -> int:
        """Steps after which an episode is truncated."""
        return self._episodes.limit

    def reset(self, seeds: Sequence[int]) -> Array:
        """Start an episode in every environment, each from its own seed: observations (environments, observation)."""
        check_seeds(seeds, self.count)
        for i, seed in enumerate(seeds):
            self._environment.reset(seed=int(seed))
            self._states.copy_from(i, self._gym.data)
        self._episodes.start()
        return self._observe()

    def set_states(self, observations: Array) -> Array:
        """Start episodes at the states of observations; see `StateSimulator.set_states`.

        Hidden, and set to 0: the distance travelled (Ant: both coordinates) and the contact forces. Hopper and Walker2d
        show no velocity beyond 10, so a component of exactly 10 or -10 may have been larger, and is taken as it is.
        """
        observations = checked_states(observations, self.count, self.observation_size)
        model, hidden = self._gym.model, self._hidden()
        shown = model.nq - hidden
        positions = np.concatenate([np.zeros((self.count, hidden)), observations[:, :shown]], axis=1)
        self._start(positions, observations[:, shown : shown + model.nv])
        return self._observe()

    @property
    def state_sizes(self) -> Mapping[str, int]:
        """See `ExactSimulator.state_sizes`: coordinates, velocities, what MuJoCo's solver starts from in the next step.

        Ant's reward counts from where its torso was in the last substep, which the coordinates do not tell.
        """
        model = self._gym.model
        sizes = {"qpos": int(model.nq), "qvel": int(model.nv), "qacc_warmstart": int(model.nv)}
        return sizes | {"torso_x": 1} if self._robot == "Ant" else sizes

    def states(self) -> dict[str, Array]:
        """The states as they are; see `ExactSimulator.states`."""
        found = {name: self._states.read(name) for name in ("qpos", "qvel", "qacc_warmstart")}
        return found | {"torso_x": self._forward_position()[:, None].copy()} if self._robot == "Ant" else found

    def restore(self, states: Mapping[str, Array]) -> Array:
        """Start episodes at states that were read; see `ExactSimulator.restore`.

        Observations show Ant's contact forces as 0 until a first step.
        """
        columns = checked_columns(states, self.state_sizes, self.count)
        self._start(columns["qpos"], columns["qvel"], columns["qacc_warmstart"])
        if self._robot == "Ant":
            self._forward_position()[:] = columns["torso_x"][:, 0]
        return self._observe()

    def step(self, actions: Array) -> Step:
        """Advance every environment whose episode has not ended; see `Simulator.step`."""
        live = self._episodes.live()
        actions = checked_actions(actions, self.action_low, self.action_high, self.count)
        before = self._forward_position().copy()
        self._states.advance(np.flatnonzero(live), actions, self._gym.frame_skip)
        velocity = (self._forward_position() - before) / self._gym.dt
        healthy = self._healthy()
        rewards = self._rewards(velocity, healthy, actions)
        return self._episodes.finish(live, self._observe(), rewards, ~healthy & self._terminates())

    def close(self) -> None:
        """Free what the environments hold."""
        self._states.close()
        self._environment.close()

    def _start(self, positions: Array, velocities: Array, warm_starts: Array | None = None) -> None:
        """Start an episode in every environment, with the warm start that a first step would have if none is given."""
        model, state = self._gym.model, self._gym.data
        for i in range(self.count):
            # What a step leaves behind, and what a reset does not: the time and the solver's warm start.
            mujoco.mj_resetData(model, state)
            self._gym.set_state(positions[i], velocities[i])
            if warm_starts is not None:
                state.qacc_warmstart[:] = warm_starts[i]
            self._states.copy_from(i, state)
        self._episodes.start()

    # ---------------------------------------------------------------- Gymnasium's formulas

    def _watched(self) -> list[str]:
        if self._robot != "Ant":
            return []
        return ["xpos", *watched_contact(self._gym, rewarded=_costs_contact(self._gym))]

    def _terminates(self) -> bool:
        return self._robot != "HalfCheetah" and bool(self._gym._terminate_when_unhealthy)

    def _forward_position(self) -> Array:
        """(environments,) metres; Ant's is its torso's, which MuJoCo updates before the last substep."""
        values = self._states.values
        if self._robot != "Ant":
            return values["qpos"][:, 0]
        body: int = self._gym.model.body("torso" if self._version == "v4" else self._gym._main_body).id
        return values["xpos"][:, body, 0]

    def _hidden(self) -> int:
        """How many coordinates, the first ones, the observation leaves out."""
        if not self._gym._exclude_current_positions_from_observation:
            return 0
        return 2 if self._robot == "Ant" else 1

    def _healthy(self) -> Array:
        """(environments,) bool."""
        position, velocity = self._states.values["qpos"], self._states.values["qvel"]
        if self._robot == "HalfCheetah":
            return np.ones(self.count, dtype=bool)
        low, high = self._gym._healthy_z_range
        if self._robot == "Ant":
            height = position[:, 2]
            checks = [
                np.isfinite(position).all(axis=1),
                np.isfinite(velocity).all(axis=1),
                low <= height,
                height <= high,
            ]
        else:
            height, angle = position[:, 1], position[:, 2]
            checks = [low < height, height < high]
            low, high = self._gym._healthy_angle_range
            checks += [low < angle, angle < high]
        if self._robot == "Hopper":
            low, high = self._gym._healthy_state_range
            rest = np.concatenate([position[:, 2:], velocity], axis=1)
            checks += [(low < rest).all(axis=1), (rest < high).all(axis=1)]
        healthy: Array = np.logical_and.reduce(checks)
        return healthy

    def _rewards(self, velocity: Array, healthy: Array, actions: Array) -> Array:
        """(environments,): forward velocity and being healthy, less the costs of control and contact."""
        gym = self._gym
        # Ant's version 4 has no such weight.
        rewards = getattr(gym, "_forward_reward_weight", 1.0) * velocity
        if self._robot != "HalfCheetah":
            paid = healthy | (self._version == "v4" and gym._terminate_when_unhealthy)
            rewards = rewards + paid * gym._healthy_reward
        squares = np.sum(np.square(actions), axis=1)
        # NumPy 1 multiplies the weight by a float32 number in float64, NumPy 2 in float32.
        dtype = np.result_type(gym._ctrl_cost_weight * squares[0])
        costs = np.multiply(gym._ctrl_cost_weight, squares, dtype=dtype)
        if self._robot == "Ant" and _costs_contact(gym):
            forces = _contact_forces(gym, self._states).reshape(self.count, -1)
            costs = costs + gym._contact_cost_weight * np.sum(np.square(forces), axis=1)
        difference: Array = rewards - costs
        return difference

    def _observe(self) -> Array:
        position, velocity = self._states.values["qpos"], self._states.values["qvel"]
        if self._robot in ("Hopper", "Walker2d"):
            velocity = np.clip(velocity, -SHOWN_SPEED, SHOWN_SPEED)
        parts = [position[:, self._hidden() :], velocity]
        if self._robot == "Ant":
            parts.append(shown_contact(self._gym, self._states))
        return np.concatenate(parts, axis=1)


def clipped(task: Task, observations: Array) -> Array:
    """(...) bool, which observations (..., observation) show a velocity cut to 10: only Hopper's and Walker2d's do."""
    velocities = {"Hopper": 6, "Walker2d": 9}.get(task.environment.partition("-")[0], 0)
    first = observations.shape[-1] - velocities
    return np.asarray((np.abs(observations[..., first:]) >= SHOWN_SPEED).any(axis=-1))


# -------------------------------------------------------------------- Ant, here and in mazes


def watched_contact(ant: Any, rewarded: bool) -> list[str]:
    """What must be watched for the contact forces of a Gymnasium Ant (v4 or v5), shown or ``rewarded``, if any."""
    all_zero = tuple(ant._contact_force_range) == (0, 0)
    return ["cfrc_ext"] if (rewarded or _shows_contact(ant)) and not all_zero else []


def shown_contact(ant: Any, states: MujocoStates) -> Array:
    """(environments, forces) that the observation of a Gymnasium Ant ends with; none where it shows no forces."""
    if not _shows_contact(ant):
        return np.zeros((states.count, 0))
    # Version 5 leaves out the world, whose forces are zero.
    return _contact_forces(ant, states)[:, 0 if _is_version_4(ant) else 1 :].reshape(states.count, -1)


def _contact_forces(ant: Any, states: MujocoStates) -> Array:
    """(environments, bodies, 6) within Ant's bounds."""
    if "cfrc_ext" not in states.values:
        return np.zeros((states.count, ant.model.nbody, 6))
    low, high = ant._contact_force_range
    clipped: Array = np.clip(states.values["cfrc_ext"], low, high)
    return clipped


def _shows_contact(ant: Any) -> bool:
    return bool(ant._use_contact_forces if _is_version_4(ant) else ant._include_cfrc_ext_in_observation)


def _costs_contact(ant: Any) -> bool:
    return bool(ant._use_contact_forces) if _is_version_4(ant) else True


def _is_version_4(ant: Any) -> bool:
    return hasattr(ant, "_use_contact_forces")
