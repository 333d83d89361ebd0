"""Where today's simulators differ from those that D4RL recorded in, told by replaying each stored step by itself.

Two things differ: MuJoCo before 2.1.1 took the masses and inertias of capsules for those of cylinders, longer by half a
radius at both ends (its changelog, 2.1.1), and MuJoCo 4 adds the margins of two geoms in contact, of which it used to
take the larger. MuJoCo 2.3 and 3 differ in a third, in 3 of 1,000 steps of HalfCheetah.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from offbench.data.hdf5 import read_hdf5
from offbench.data.trajectories import Trajectories
from offbench.environments.simulator import make_environment
from offbench.environments.task import task

DENSITY = 1000.0  # kg/m^3, where a model says nothing else
TOTAL_MASS = {"hopper-v4": None, "halfcheetah-v4": 14.0}  # what the model is scaled to


def cylinders(model: Any, total: float | None) -> None:
    """Give a model of capsules the masses and inertias that MuJoCo computed before 2.1.1, in place."""
    masses, inertias = np.zeros(model.nbody), np.zeros((model.nbody, 3, 3))
    for body in range(1, model.nbody):
        geoms = np.flatnonzero(model.geom_bodyid == body)
        assert (model.geom_type[geoms] == mujoco.mjtGeom.mjGEOM_CAPSULE).all()
        radius, length = model.geom_size[geoms, 0], 2 * model.geom_size[geoms, 1] + model.geom_size[geoms, 0]
        mass = DENSITY * np.pi * radius**2 * length
        centre = mass @ model.geom_pos[geoms] / mass.sum()
        for geom, m, r, h in zip(geoms, mass, radius, length, strict=True):
            turn = np.zeros(9)
            mujoco.mju_quat2Mat(turn, model.geom_quat[geom])
            across = m * (3 * r**2 + h**2) / 12
            own = turn.reshape(3, 3) @ np.diag([across, across, m * r**2 / 2]) @ turn.reshape(3, 3).T
            away = model.geom_pos[geom] - centre
            inertias[body] += own + m * (away @ away * np.eye(3) - np.outer(away, away))
        masses[body], model.body_ipos[body] = mass.sum(), centre
    scale = total / masses.sum() if total else 1.0
    for body in range(1, model.nbody):
        values, axes = np.linalg.eigh(scale * inertias[body])
        axes[:, 0] *= np.linalg.det(axes)
        model.body_mass[body], model.body_inertia[body] = scale * masses[body], values
        mujoco.mju_mat2Quat(model.body_iquat[body], axes.ravel())
    # The shortcuts of frames that coincide hold no longer.
    for shortcut in (model.body_sameframe, model.geom_sameframe, model.body_simple, model.dof_simplenum):
        shortcut[:] = 0
    mujoco.mj_setConst(model, mujoco.MjData(model))


def differences(name: str, data: Trajectories, recorded: bool) -> np.ndarray:
    """Largest difference of coordinates and velocities after each step that starts and ends within the bounds."""
    body = make_environment(task(name)).unwrapped
    body.reset(seed=0)
    if recorded:
        cylinders(body.model, TOTAL_MASS[name])
        body.model.geom_margin[body.model.geom("floor").id] = 0
    places, speeds = data.extras["qpos"], data.extras["qvel"]
    inside = np.ones(data.steps, bool)
    inside[data.offsets[1:] - 1] = False  # the state after the last step was not recorded
    if name == "hopper-v4":  # whose recorded velocities are those of the observation, cut at 10
        fast = (np.abs(speeds) >= 10).any(axis=1)
        inside[:-1] &= ~fast[:-1] & ~fast[1:]
    found = []
    for step in np.flatnonzero(inside):
        mujoco.mj_resetData(body.model, body.data)
        body.set_state(places[step], speeds[step])
        body.do_simulation(data.actions[step], body.frame_skip)
        after = np.concatenate([body.data.qpos - places[step + 1], body.data.qvel - speeds[step + 1]])
        found.append(np.abs(after).max())
    return np.array(found)


@pytest.mark.parametrize(("name", "file"), [("hopper-v4", "hopper"), ("halfcheetah-v4", "halfcheetah")])
def test_two_differences_explain_the_recorded_steps(shared: Path, name: str, file: str) -> None:
    data = read_hdf5(shared / "real" / "d4rl_slices" / f"{file}_medium-v2.hdf5")
    explained = differences(name, data, recorded=True)
    assert len(explained) > 700
    assert np.median(explained) < 1e-6
    assert np.quantile(explained, 0.99) < 1e-4
    assert np.median(differences(name, data, recorded=False)) > 5e-3
