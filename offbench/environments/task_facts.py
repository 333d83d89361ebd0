"""What the lint is told about a task: its bounds, its clock, and how its rewards come about.

Rewards are recomputed where a formula on observations and actions gives them; those of the simulators' own source
(Gymnasium's Pendulum-v1 and MuJoCo environments, Gymnasium-Robotics' PointMaze).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.environments.pendulum import MAX_TORQUE
from offbench.environments.single import make_environment
from offbench.environments.task import Task
from offbench.lint.findings import Expected, TaskFacts

# Environments that never end an episode themselves.
_ENDLESS = ("Pendulum", "HalfCheetah", "Swimmer", "Reacher", "Pusher", "offbench/Maze2D")
# Gymnasium's HalfCheetah, Hopper and Walker2d: size of the observation, its component that is the forward velocity,
# reward for being alive, weight of the squared action.
_LOCOMOTION = {"HalfCheetah": (17, 8, 0.0, 0.1), "Hopper": (11, 5, 1.0, 1e-3), "Walker2d": (17, 8, 1.0, 1e-3)}


def facts(task: Task) -> TaskFacts:
    """What `offbench.lint.checks.lint` wants to know of a task; makes its environment once, for the action bounds.

    Raises:
        OffbenchError: the environment cannot be made.
    """
    environment = make_environment(task)
    space = environment.action_space
    low, high = getattr(space, "low", None), getattr(space, "high", None)
    environment.close()
    return replace(clock(task), action_low=low, action_high=high, expected_rewards=reward_formula(task))


def clock(task: Task) -> TaskFacts:
    """What a task says about the ends of episodes, for which no environment is made."""
    terminates = False if task.environment.split("-")[0] in _ENDLESS else None
    return TaskFacts(task.name, task.episode_limit, terminates=terminates)


def reward_formula(task: Task) -> Callable[[Trajectories], Expected | None] | None:
    """What recomputes the rewards of a task's data, or None where no formula is known.

    The function itself gives None for data that lack what it needs: an observation of another size, actions, a goal.
    """
    if task.environment.startswith("Pendulum-"):
        return _pendulum
    family = task.environment.split("-")[0]
    if family in _LOCOMOTION:
        return lambda trajectories: _locomotion(trajectories, *_LOCOMOTION[family])
    if task.environment.startswith("PointMaze_"):
        dense = "Dense" in task.environment
        observed = "desired_goal" in task.observation and task.observation[-1] == "desired_goal"
        return lambda trajectories: _pointmaze(trajectories, dense, observed)
    return None


def _pendulum(t: Trajectories) -> Expected | None:
    """The negative cost of angle, speed and torque before the step."""
    if t.actions is None or t.observations.shape[1:] != (3,) or t.actions.shape[1:] != (1,):
        return None
    cosine, sine, speed = _before(t).astype(np.float64).T
    torque = np.clip(t.actions[:, 0].astype(np.float64), -MAX_TORQUE, MAX_TORQUE)
    cost = np.arctan2(sine, cosine) ** 2 + 0.1 * speed**2 + 0.001 * torque**2
    return Expected(-cost, np.ones(t.steps, dtype=bool), exact=True)


def _locomotion(t: Trajectories, size: int, forward: int, alive: float, control: float) -> Expected | None:
    """Mean of the forward velocities before and after the step, for the distance travelled, alive reward, control cost.

    The simulator divides the distance by the time; velocities are always in the data, and states often are not.
    """
    if t.actions is None or t.observations.shape[1:] != (size,):
        return None
    velocity = (_before(t)[:, forward].astype(np.float64) + _after(t)[:, forward]) / 2
    cost = control * np.square(t.actions.astype(np.float64)).sum(axis=1)
    return Expected(velocity + alive - cost, _after_known(t), exact=False)


def _pointmaze(t: Trajectories, dense: bool, observed: bool) -> Expected | None:
    """Distance to the goal after the step; the goal ends the observation, or is the extra column ``goal``."""
    from offbench.environments.pointmaze import GOAL_RADIUS  # here, so that no other task waits for MuJoCo

    if t.observations.ndim != 2 or t.observations.shape[1] < (6 if observed else 4):
        return None
    goal = _before(t)[:, -2:] if observed else t.extras.get("goal")
    if goal is None or goal.shape[1:] != (2,):
        return None
    distance = np.linalg.norm(_after(t)[:, :2].astype(np.float64) - goal, axis=1)
    rewards = np.exp(-distance) if dense else (distance <= GOAL_RADIUS).astype(np.float64)
    # The sparse reward jumps at the radius, where the rounding of a float32 decides.
    return Expected(rewards, _after_known(t), exact=dense)


def _before(t: Trajectories) -> Array:
    """(steps, observation), in which each step acts."""
    before: Array = t.observations[t.sources]
    return before


def _after(t: Trajectories) -> Array:
    """(steps, observation), to which each step leads."""
    after: Array = t.observations[t.sources + 1]
    return after


def _after_known(t: Trajectories) -> Array:
    assert t.final_observations is not None
    known = np.ones(t.steps, dtype=bool)
    known[t.offsets[1:] - 1] = t.final_observations
    return known
