"""Batched simulators: many copies of one environment, stepped together and never reset behind the caller's back.

MuJoCo's robots, mazes and the pendulum have simulators of their own, which step arrays and threads and give exactly
Gymnasium's trajectories. All else is a list of Gymnasium environments.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import gymnasium
import numpy as np
import numpy.typing as npt

from offbench.environments.task import Task
from offbench.errors import OffbenchError

Array = npt.NDArray[Any]


class Step(NamedTuple):
    """What one step of all environments gives; every array has the leading axis environments.

    Attributes:
        observations: (environments, observation).
        rewards: (environments,) float64; 0 where the episode had ended before.
        terminations: (environments,) bool; stays true once it was.
        truncations: (environments,) bool, the time limit was reached; never together with a termination.
    """

    observations: Array
    rewards: Array
    terminations: Array
    truncations: Array


class Simulator(Protocol):
    """A fixed number of environments of one task.

    There is no automatic reset: an environment whose episode has ended stays as it is, costs nothing, rewards 0 and
    repeats its flags and its last observation until the next `reset`. Actions are clipped to the action bounds.
    """

    @property
    def count(self) -> int:
        """Number of environments."""
        ...

    @property
    def observation_size(self) -> int:
        """Length of one observation."""
        ...

    @property
    def action_low(self) -> Array:
        """(action,) float32, lower bounds."""
        ...

    @property
    def action_high(self) -> Array:
        """(action,) float32, upper bounds."""
        ...

    @property
    def episode_limit(self) -> int:
        """Steps after which an episode is truncated."""
        ...

    def reset(self, seeds: Sequence[int]) -> Array:
        """Start an episode in every environment, each from its own seed: observations (environments, observation)."""
        ...

    def step(self, actions: Array) -> Step:
        """Advance every environment whose episode has not ended by actions (environments, action).

        Raises:
            OffbenchError: wrong shape, or an action that is not finite (the environment is named).
        """
        ...

    def close(self) -> None:
        """Free what the environments hold."""
        ...


@runtime_checkable
class StateSimulator(Simulator, Protocol):
    """A simulator that can start at states of the caller's choice, for studies of the true dynamics."""

    def set_states(self, observations: Array) -> Array:
        """Start an episode in every environment at the state that its observation describes.

        As a reset it forgets all else: the time, ended episodes, the solver's warm start. What an observation hides is
        zero; each simulator says what that is.

        Args:
            observations: (environments, observation).

        Returns:
            Observations (environments, observation) of the new states.

        Raises:
            OffbenchError: wrong shape, or an observation that is not finite (the environment is named).
        """
        ...


def make_state_simulator(task: Task, count: int) -> StateSimulator:
    """A simulator of ``count`` environments of a task that can start at given states.

    Raises:
        OffbenchError: as `make_simulator`, or a task whose simulator cannot be set to a state.
    """
    simulator = make_simulator(task, count)
    if not isinstance(simulator, StateSimulator):
        simulator.close()
        raise OffbenchError(
            f"the simulator of task {task.name} cannot start at given states; those of Hopper, HalfCheetah, Walker2d, "
            "Ant and Pendulum can"
        )
    return simulator


def make_simulator(task: Task, count: int) -> Simulator:
    """A simulator of ``count`` environments of a task.

    Raises:
        OffbenchError: count < 1, or an environment that Gymnasium cannot make or that does not suit a flat policy.
    """
    from offbench.environments.antmaze import AntMazeSimulator
    from offbench.environments.locomotion import LocomotionSimulator
    from offbench.environments.pendulum import PendulumSimulator
    from offbench.environments.pointmaze import PointMazeSimulator

    if count < 1:
        raise OffbenchError(f"a simulator needs at least one environment, not {count}")
    for kind in (PointMazeSimulator, AntMazeSimulator, LocomotionSimulator, PendulumSimulator):
        if kind.supports(task):
            return kind(task, count)
    return GymnasiumSimulator(task, count)


class GymnasiumSimulator:
    """Any Gymnasium environment with a box of actions: a list of environments, stepped in turn.

    Why not ``gymnasium.vector``: ``SyncVectorEnv`` is slightly slower than this loop and steps environments that have
    ended. ``AsyncVectorEnv`` does so too, also with its automatic reset disabled, and starts a process an environment:
    0.1 s each, so that a hundred of them take longer than the 2 s in which this loop plays a hundred episodes of
    AdroitHandPen (6,500 steps a second).
    """

    def __init__(self, task: Task, count: int) -> None:
        self._environments = [make_environment(task) for _ in range(count)]
        self._keys = task.observation
        space = self._environments[0].action_space
        assert isinstance(space, gymnasium.spaces.Box)
        self.count = count
        self.episode_limit = task.episode_limit
        self.action_low, self.action_high = space.low.astype(np.float32), space.high.astype(np.float32)
        self._observations: Array | None = None

    @property
    def observation_size(self) -> int:
        """Length of one observation."""
        space = self._environments[0].observation_space
        parts = [space[key] for key in self._keys] if isinstance(space, gymnasium.spaces.Dict) else [space]
        return sum(int(np.prod(part.shape)) for part in parts if part.shape is not None)

    def reset(self, seeds: Sequence[int]) -> Array:
        """Start an episode in every environment, each from its own seed: observations (environments, observation)."""
        check_seeds(seeds, self.count)
        pairs = zip(self._environments, seeds, strict=True)
        self._observations = np.stack([self._flat(env.reset(seed=int(seed))[0]) for env, seed in pairs])
        self._terminations = np.zeros(self.count, dtype=bool)
        self._truncations = np.zeros(self.count, dtype=bool)
        return self._observations.copy()

    def step(self, actions: Array) -> Step:
        """Advance every environment whose episode has not ended; see `Simulator.step`."""
        if self._observations is None:
            raise OffbenchError("the simulator was stepped before its first reset; call reset(seeds) first")
        actions = checked_actions(actions, self.action_low, self.action_high, self.count)
        rewards = np.zeros(self.count)
        for i in np.flatnonzero(~(self._terminations | self._truncations)):
            observation, reward, terminated, truncated, _ = self._environments[i].step(actions[i])
            self._observations[i] = self._flat(observation)
            rewards[i] = reward
            self._terminations[i] = terminated
            # Both at once is an end in the task: the bootstrap must stop there.
            self._truncations[i] = truncated and not terminated
        return Step(self._observations.copy(), rewards, self._terminations.copy(), self._truncations.copy())

    def close(self) -> None:
        """Free what the environments hold."""
        for environment in self._environments:
            environment.close()

    def _flat(self, observation: Any) -> Array:
        if self._keys:
            return np.concatenate([np.ravel(observation[key]) for key in self._keys])
        return np.ravel(observation)


# -------------------------------------------------------------------- shared by all simulators


class Episodes:
    """Which episodes of a batch that started together go on, for simulators that step arrays.

    Attributes:
        limit: steps after which an episode is truncated.
    """

    def __init__(self, count: int, limit: int) -> None:
        self.limit = limit
        self._terminations = np.zeros(count, dtype=bool)
        self._elapsed: int | None = None

    def start(self) -> None:
        """All episodes begin."""
        self._terminations[:] = False
        self._elapsed = 0

    def live(self) -> Array:
        """(environments,) bool, the episodes that have not ended.

        Raises:
            OffbenchError: none was ever started.
        """
        if self._elapsed is None:
            raise OffbenchError("the simulator was stepped before its first reset; call reset(seeds) first")
        return ~self._terminations & (self._elapsed < self.limit)

    def finish(self, live: Array, observations: Array, rewards: Array, terminations: Array) -> Step:
        """Count one step of the environments ``live``; what the others would get is masked.

        Takes observations (environments, observation), rewards and terminations (environments,), which a time limit
        does not override: the bootstrap must stop there.
        """
        assert self._elapsed is not None
        self._elapsed += bool(live.any())
        self._terminations |= live & terminations
        truncations = ~self._terminations & (self._elapsed >= self.limit)
        return Step(observations, np.where(live, rewards, 0.0), self._terminations.copy(), truncations)


def make_environment(task: Task) -> gymnasium.Env[Any, Any]:
    """One Gymnasium environment of a task, with its time limit and dynamics and without the checks meant for authors.

    Raises:
        OffbenchError: Gymnasium does not know or cannot make it, its actions are no box, or ``task.observation``
            does not name entries of its observation.
    """
    if "gymnasium-robotics" in task.simulator:
        _register_robotics()
    try:
        with _quiet():
            environment: gymnasium.Env[Any, Any] = gymnasium.make(
                task.environment, max_episode_steps=task.episode_limit, disable_env_checker=True, **task.arguments
            )
            if task.dynamics == "d4rl":
                from offbench.environments.d4rl_dynamics import record_as_d4rl

                record_as_d4rl(environment, task.environment)
    except Exception as error:  # an environment that does not suit the installed simulator may raise anything
        reason = str(error) or f"{type(error).__name__} in its own code"
        raise OffbenchError(f"environment {task.environment} of task {task.name} cannot be made: {reason}") from error
    # Gymnasium-Robotics leaves the compiled maze's XML behind in the temporary folder, one file an environment.
    if leftover := getattr(environment.unwrapped, "tmp_xml_file_path", None):
        Path(leftover).unlink(missing_ok=True)
    if not isinstance(environment.action_space, gymnasium.spaces.Box):
        raise OffbenchError(f"{task.environment} has actions {environment.action_space}; a box of numbers is needed")
    space = environment.observation_space
    entries = list(space) if isinstance(space, gymnasium.spaces.Dict) else []
    if set(task.observation) - set(entries) or (entries and not task.observation):
        raise OffbenchError(
            f"task {task.name} takes the observation entries {list(task.observation)}; {task.environment} has {entries}"
        )
    return environment


def check_seeds(seeds: Sequence[int], count: int) -> None:
    """One seed an environment, or an OffbenchError."""
    if len(seeds) != count:
        raise OffbenchError(f"reset was given {len(seeds)} seeds for {count} environments; one each would be right")


def checked_actions(actions: Array, low: Array, high: Array, count: int) -> Array:
    """Actions (environments, action) clipped to the bounds, in their dtype; an OffbenchError if they cannot be used."""
    actions = np.asarray(actions)
    if actions.shape != (count, len(low)):
        raise OffbenchError(
            f"actions have shape {actions.shape}; (environments, action) = {(count, len(low))} is right"
        )
    if not np.isfinite(actions).all():
        worst = int(np.flatnonzero(~np.isfinite(actions).all(axis=1))[0])
        raise OffbenchError(f"the action {actions[worst].tolist()} for environment {worst} is not finite")
    clipped: Array = np.clip(actions, low, high).astype(low.dtype, copy=False)
    return clipped


def checked_states(observations: Array, count: int, size: int) -> Array:
    """Observations (environments, observation) in float64; an OffbenchError if they cannot be states."""
    observations = np.asarray(observations, dtype=np.float64)
    if observations.shape != (count, size):
        raise OffbenchError(
            f"states have shape {observations.shape}; (environments, observation) = {(count, size)} is right"
        )
    if not np.isfinite(observations).all():
        worst = int(np.flatnonzero(~np.isfinite(observations).all(axis=1))[0])
        raise OffbenchError(f"the state {observations[worst].tolist()} for environment {worst} is not finite")
    return observations


def _register_robotics() -> None:
    # Importing the package registers its environments and prints a notice about hand environments to stderr.
    with contextlib.redirect_stderr(io.StringIO()):
        import gymnasium_robotics

    if "PointMaze_UMaze-v3" not in gymnasium.registry:
        gymnasium.register_envs(gymnasium_robotics)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence two notices that say nothing to a user: D4RL's environments are old, and so is HalfCheetah's XML."""
    import mujoco as _mujoco

    mujoco: Any = _mujoco  # an extension module without type stubs

    def forward(message: str) -> None:
        if "settotalmass" not in message:
            warnings.warn(f"MuJoCo: {message}", RuntimeWarning, stacklevel=2)

    # The hook came with the MuJoCo whose compiler gives that notice; earlier ones have nothing to silence.
    hook = hasattr(mujoco, "get_mju_user_warning")
    before = mujoco.get_mju_user_warning() if hook else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is out of date", category=DeprecationWarning)
        if hook:
            mujoco.set_mju_user_warning(forward)
        try:
            yield
        finally:
            if hook:
                mujoco.set_mju_user_warning(before)
