"""D4RL's Adroit hand on the MuJoCo that is installed: models and observations are Gymnasium-Robotics', the rest D4RL's.

Facts and figures are those of Farama-Foundation/D4RL, ``{pen,hammer,door,relocate}_v0.py`` in
``d4rl/hand_manipulation_suite``. Gymnasium-Robotics' AdroitHand-v1 has the same models, starts and observations, and
differs in two things: its pen may fall and the episode goes on, and since version 1.2.1 (its pull request 220) it
rewards the distance from the palm to hammer, handle and ball, which D4RL's rewards cost.

MuJoCo has changed three things since D4RL's 2.0, which are undone here: it adds the contact margins of two geoms
(`offbench.environments.d4rl_dynamics`), it finds contacts of cylinders by another method, and more than one a pair.
Inertias are written out in these models. So undone, each step of the stored rows of pen-human-v1, pen-expert-v1,
hammer-human-v1 and door-human-v1 comes out within 4e-7 in every coordinate, and its reward within 2e-6; without, within
0.05 and 0.03. No recorded step of relocate has been replayed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from offbench.basis.shapes import Array
from offbench.environments.d4rl_dynamics import margins_add
from offbench.environments.mujoco_states import mujoco
from offbench.errors import UnknownNameError

ADROIT_ID = "offbench/Adroit-v1"


class Adroit(gymnasium.Wrapper[Array, Array, Array, Array]):
    """A hand of Gymnasium-Robotics (which is ``unwrapped``) in D4RL's dynamics, with D4RL's rewards and ends."""

    def __init__(self, goal: str, **drawing: Any) -> None:
        """Take what the hand is to do, and Gymnasium's arguments of how to draw it.

        Raises:
            UnknownNameError: ``goal`` is none of pen, hammer, door and relocate.
        """
        if goal not in GOALS:
            raise UnknownNameError("goal of D4RL's Adroit hand", goal, GOALS)
        hand = gymnasium.make(f"AdroitHand{goal.title()}-v1", disable_env_checker=True, **drawing)
        super().__init__(hand.unwrapped)
        self._outcome = GOALS[goal]
        _contacts_as_d4rl(self._hand.model)

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Advance by one step: observation, reward, whether the pen has fallen, False, Gymnasium-Robotics' facts."""
        observation, _, _, _, facts = self.env.step(action)
        reward, ended = self._outcome(self._hand.data)
        return observation, reward, ended, False, facts

    @property
    def _hand(self) -> Any:
        return self.unwrapped


def pen(data: Any) -> tuple[float, bool]:
    """Turned as the target is, about its place: reward after a step, and whether it has fallen, which ends the episode.

    Args:
        data: MjData after the step, as in the other three.
    """
    along, target = _place(data, "object_top", "object_bottom"), _place(data, "target_top", "target_bottom")
    likeness = float(along @ target / (np.linalg.norm(along) * np.linalg.norm(target)))
    height = data.body("Object").xpos[2]
    distance = _length(data.body("Object").xpos - data.site("eps_ball").xpos)
    reward = likeness - distance
    if distance < 0.075:
        reward += 10 * (likeness > 0.9) + 50 * (likeness > 0.95)
    fallen = bool(height < 0.075)
    return reward - 5 * fallen, fallen


def hammer(data: Any) -> tuple[float, bool]:
    """The nail is driven in by the hammer: reward after a step; nothing ends the episode."""
    handle, head = data.body("Object").xpos, data.site("tool").xpos
    out = _length(_place(data, "S_target", "nail_goal"))
    reward = -0.1 * _length(data.site("S_grasp").xpos - handle) - _length(head - data.site("S_target").xpos)
    reward -= 10 * out + 0.01 * _length(data.qvel)
    reward += 2 * bool(handle[2] > 0.04 and head[2] > 0.04) + 25 * (out < 0.02) + 75 * (out < 0.01)
    return reward, False


def door(data: Any) -> tuple[float, bool]:
    """The door is opened by its handle: reward after a step; nothing ends the episode."""
    angle = float(data.joint("door_hinge").qpos[0])
    reward = -0.1 * _length(_place(data, "S_grasp", "S_handle"))
    reward -= 0.1 * (angle - 1.57) ** 2 + 1e-5 * float(data.qvel @ data.qvel)
    return reward + 2 * (angle > 0.2) + 8 * (angle > 1.0) + 10 * (angle > 1.35), False


def relocate(data: Any) -> tuple[float, bool]:
    """The ball is lifted and brought to the target: reward after a step; nothing ends the episode."""
    ball, palm, target = data.body("Object").xpos, data.site("S_grasp").xpos, data.site("target").xpos
    reward, left = -0.1 * _length(palm - ball), _length(ball - target)
    if ball[2] > 0.04:
        reward += 1 - 0.5 * _length(palm - target) - 0.5 * left
    return reward + 10 * (left < 0.1) + 20 * (left < 0.05), False


GOALS: dict[str, Callable[[Any], tuple[float, bool]]] = {
    "pen": pen,
    "hammer": hammer,
    "door": door,
    "relocate": relocate,
}


def register() -> None:
    """Make the environment known to Gymnasium."""
    if ADROIT_ID not in gymnasium.registry:
        gymnasium.register(ADROIT_ID, entry_point=f"{Adroit.__module__}:{Adroit.__name__}")


# ------------------------------------------------------------------- helpers


def _contacts_as_d4rl(model: Any) -> None:
    """Find and soften contacts as MuJoCo 2.0 did."""
    # The larger margin of two counted: that of all geoms but the nail's board, which has none.
    if margins_add():
        model.geom_margin[:] = model.geom_margin.max() / 2
    # Whichever of the two the installed version knows as its default.
    for name in ("mjDSBL_NATIVECCD", "mjDSBL_MULTICCD"):
        model.opt.disableflags |= int(getattr(mujoco.mjtDisableBit, name, 0))


def _place(data: Any, site: str, other: str) -> Array:
    """(3,) metres, from one site to another."""
    difference: Array = data.site(site).xpos - data.site(other).xpos
    return difference


def _length(vector: Array) -> float:
    return float(np.linalg.norm(vector))
