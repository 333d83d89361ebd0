"""One Gymnasium environment of a task, as batched simulators, pictures and D4RL's names start from it."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from offbench.basis.modules import names_object, search_current_folder
from offbench.environments.task import Task
from offbench.errors import OffbenchError


def make_environment(task: Task) -> gymnasium.Env[Any, Any]:
    """One Gymnasium environment of a task, with its time limit and dynamics and without the checks meant for authors.

    Raises:
        OffbenchError: Gymnasium does not know or cannot make it, its actions are no box, or ``task.observation``
            does not name entries of its observation.
    """
    if "gymnasium-robotics" in task.simulator:
        register_robotics()
    if task.environment.startswith("offbench/"):
        # Imported here because few tasks need them, and they need MuJoCo.
        from offbench.environments import d4rl_adroit, d4rl_mazes

        d4rl_adroit.register()
        d4rl_mazes.register()
    try:
        with _quiet():
            environment: gymnasium.Env[Any, Any] = gymnasium.make(
                _named(task.environment),
                max_episode_steps=task.episode_limit,
                disable_env_checker=True,
                **task.arguments,
            )
            if task.dynamics == "d4rl":
                # Imported here because few tasks need it, and it needs MuJoCo.
                from offbench.environments.d4rl_dynamics import record_as_d4rl

                record_as_d4rl(environment, task.environment)
    # An environment that does not suit the installed simulator may raise anything, and so may the module of a user's.
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split()) or f"{type(error).__name__} in its own code"
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


def make_by_id(environment: str) -> gymnasium.Env[Any, Any]:
    """The environment of that id, with the time limit that Gymnasium gives it.

    Raises:
        OffbenchError: Gymnasium does not know or cannot make it.
    """
    if environment not in gymnasium.registry:
        register_robotics()
    try:
        with _quiet():
            made: gymnasium.Env[Any, Any] = gymnasium.make(environment, disable_env_checker=True)
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OffbenchError(f"environment {environment} cannot be made: {reason}") from error
    return made


def _named(environment: str) -> str | EnvSpec:
    """What Gymnasium makes an environment of: an id, or the spec of the class that ``module:Class`` names."""
    if not names_object(environment):
        return environment
    search_current_folder()
    module, _, name = environment.partition(":")
    return EnvSpec(id=name, entry_point=getattr(import_module(module), name))


def register_robotics() -> None:
    """Make the environments of Gymnasium-Robotics known to Gymnasium."""
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
