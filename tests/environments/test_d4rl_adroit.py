"""D4RL's Adroit hand: its recorded steps and rewards, how an episode of the pen ends, and its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import h5py
import mujoco
import numpy as np
import pytest

from offbench.environments.d4rl_adroit import Adroit, relocate
from offbench.environments.d4rl_dynamics import margins_add
from offbench.environments.simulator import make_simulator
from offbench.environments.single import make_environment
from offbench.environments.task import task
from offbench.errors import UnknownNameError

# What D4RL stores of an episode's start beside the hand, by the name that Gymnasium-Robotics gives it too.
DRAWN = {"pen": "desired_orien", "hammer": "board_pos", "door": "door_body_pos"}


@pytest.mark.parametrize(
    ("name", "steps"),
    [("pen-human-v1", 199), ("pen-expert-v1", 99), ("hammer-human-v1", 467), ("door-human-v1", 299)],
)
def test_recorded_steps_come_out_as_d4rl_has_them(name: str, steps: int, shared: Path) -> None:
    goal = name.split("-")[0]
    with h5py.File(shared / "real" / "d4rl_slices" / f"{name}.hdf5") as file:
        qpos, qvel, drawn = (file[f"infos/{key}"][:].astype(float) for key in ("qpos", "qvel", DRAWN[goal]))
        actions, rewards, observed = file["actions"][:], file["rewards"][:], file["observations"][:]
        followed = np.flatnonzero(~file["timeouts"][:-1])[::2]
    environment = make_environment(task(goal))
    environment.reset(seed=0)
    hand: Any = environment.unwrapped
    wrong: dict[str, list[float]] = {"coordinate": [], "reward": [], "observation": []}
    for i in followed:
        hand.set_env_state({"qpos": qpos[i], "qvel": qvel[i], DRAWN[goal]: drawn[i]})
        # People had more time than the task's episodes, so that steps after its limit are taken too.
        observation, reward, terminated, _, _ = environment.step(actions[i])
        assert not terminated
        wrong["coordinate"].append(np.abs(hand.data.qpos - qpos[i + 1]).max())
        wrong["reward"].append(abs(float(reward) - rewards[i]))
        wrong["observation"].append(np.abs(observation - observed[i + 1]).max())
    environment.close()
    assert len(followed) == steps
    assert max(wrong["coordinate"]) < 4e-7
    assert max(wrong["reward"]) < 2e-6
    assert max(wrong["observation"]) < 2e-5


def test_an_episode_of_the_pen_ends_when_it_falls() -> None:
    simulator, rng = make_simulator(task("pen"), 6), np.random.default_rng(0)
    simulator.reset(range(6))
    ended = np.zeros(6, bool)
    for _ in range(100):
        step = simulator.step(rng.uniform(-1, 1, (6, 24)))
        fallen = step.observations[:, 26] < 0.075  # its height
        np.testing.assert_array_equal(step.terminations, fallen)
        np.testing.assert_array_less(step.rewards[fallen & ~ended], -4)
        ended = fallen
    simulator.close()
    assert 0 < ended.sum() < 6
    assert (step.terminations ^ step.truncations).all()


def test_rewards_of_relocate_are_those_of_the_balls_place() -> None:
    hand: Any = make_environment(task("relocate")).unwrapped
    hand.reset(seed=0)
    data = hand.data
    palm, target, start = (
        each.copy() for each in (data.site("S_grasp").xpos, data.site("target").xpos, data.body("Object").xpos)
    )
    beside, away = target + np.array([0.07, 0, 0]), target + np.array([0.2, 0, 0])
    far = np.linalg.norm(palm - target)
    for place, reward in (
        (start, 0.0),
        (target, 31 - 0.5 * far),
        (beside, 11 - 0.5 * far - 0.035),
        (away, 1 - 0.5 * far - 0.1),
    ):
        data.qpos[-6:-3] = place - start
        mujoco.mj_forward(hand.model, data)
        reached = 0.1 * np.linalg.norm(palm - place)
        assert relocate(data) == (pytest.approx(reward - reached, abs=1e-9), False)


@pytest.mark.parametrize("goal", ["pen", "hammer", "door", "relocate"])
def test_starts_are_those_of_gymnasium_robotics_and_contacts_are_not(goal: str) -> None:
    environment = make_environment(task(goal))
    other = gymnasium.make(f"AdroitHand{goal.title()}-v1")
    for seed in (0, 7):
        np.testing.assert_array_equal(environment.reset(seed=seed)[0], other.reset(seed=seed)[0])
    model, theirs = environment.unwrapped.model, other.unwrapped.model  # type: ignore[attr-defined]
    # The larger of two margins is half a millimetre wherever anything can touch.
    assert theirs.geom_margin.max() == 0.0005
    assert set(model.geom_margin) == ({0.00025} if margins_add() else set(theirs.geom_margin))
    for name in ("mjDSBL_NATIVECCD", "mjDSBL_MULTICCD"):
        flag = int(getattr(mujoco.mjtDisableBit, name, 0))
        assert model.opt.disableflags & flag == flag


def test_a_goal_that_d4rl_lacks_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="goal of D4RL's Adroit hand named 'pencil'"):
        Adroit("pencil")
