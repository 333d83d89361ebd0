"""The dynamics in which D4RL's Hopper, HalfCheetah, Walker2d and Ant were recorded, on the MuJoCo that is installed.

D4RL's data come from MuJoCo 2.0, and nearly all published scores on them from mujoco-py, whose last version brings
MuJoCo 2.1.0. Three things have changed since:

- MuJoCo 2.1.1 made the masses and inertias of capsules exact (its changelog). Before, they were those of a cylinder:
  the capsule's straight part, longer by half its radius at both ends. Today's links are 2% to 4% heavier in Hopper and
  2% to 8% in Walker2d, and 8% to 14% and 8% to 25% harder to turn about their own centres. HalfCheetah weighs 14 kg
  either way; its torso is 2% lighter today, its feet 2% to 4% heavier and 17% to 22% harder to turn.
- Since MuJoCo 3.5.0, the margins of two geoms are added to that of their contact; before, the larger one counted
  (measured with 3.2.7, 3.3.7, 3.4.0, 3.5.0 and 4.0.0). Hopper has margins, 1 mm everywhere, and Ant, 1 cm.
- The Runge-Kutta method of MuJoCo 4.0.0 turns a free body otherwise than the plain method, in which the weighted mean
  of the four angular velocities turns it once; by 1e-7 to 1e-6 a step, which decides whether a foot touches the ground.
  Of the robots only Ant has a free joint, so that it is stepped by the plain method here.

With all undone, each step of the first 2,000 rows of D4RL's ant-medium-v2 comes out within 8e-6, half of them within
4e-7 (without the third, within 0.93 and 6e-6; in today's dynamics, within 3 and 1e-2). Each step of the first rows of
hopper-medium-v2 and halfcheetah-medium-v2 that can be replayed by itself comes out within 7e-5, half of them within
6e-7, contacts included, with each of the versions above. No recorded step of Walker2d has been replayed.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.environments.mujoco_states import mujoco
from offbench.errors import OffbenchError

# By Gymnasium's id, what the robot's mass is scaled to, in kg.
TOTAL_MASS: dict[str, float | None] = {"Hopper-v4": None, "HalfCheetah-v4": 14.0, "Walker2d-v4": None, "Ant-v4": None}
# kg/m^3, that of every link.
DENSITY = {"Hopper-v4": 1000.0, "HalfCheetah-v4": 1000.0, "Walker2d-v4": 1000.0, "Ant-v4": 5.0}


def record_as_d4rl(environment: Any, name: str) -> None:
    """Give an environment of Gymnasium the dynamics of MuJoCo before 2.1.1.

    Its model is compiled again, with the masses and inertias written out, so that all that MuJoCo derives from them
    follows. (In a model that is compiled already, ``mj_setConst`` updates neither the mean inertia, to which the
    solver's tolerance is relative, nor the boxes about bodies, which lie in their inertial frames: with HalfCheetah's
    axes in another order, MuJoCo 3.5.0 missed contacts in 3 of 1,998 steps.)

    Args:
        environment: Gymnasium's Hopper, HalfCheetah, Walker2d or Ant in version 4, before its first reset.
        name: its id.

    Raises:
        OffbenchError: another environment, or a model that is not that of Gymnasium.
    """
    if name not in TOTAL_MASS:
        raise OffbenchError(f"D4RL's dynamics are known for {', '.join(TOTAL_MASS)}, not for {name}")
    body = environment.unwrapped
    before = body.model
    _check(before, name)
    root = ET.parse(body.fullpath).getroot()
    write_inertias(root, before, cylinders(before, TOTAL_MASS[name], DENSITY[name]))
    if margins_add():
        _check_margins(before, name)
        halve_margins(root)
    model = mujoco.MjModel.from_xml_string(ET.tostring(root, encoding="unicode"))
    # Gymnasium has these grow with the pictures that are asked for.
    model.vis.global_.offwidth, model.vis.global_.offheight = before.vis.global_.offwidth, before.vis.global_.offheight
    body.model, body.data = model, mujoco.MjData(model)
    body.mujoco_renderer.model, body.mujoco_renderer.data = body.model, body.data
    if name == "Ant-v4":
        body.physics_step = runge_kutta  # for the batched simulator, which steps states of its own

        def simulate(controls: Array, frames: int) -> None:
            body.data.ctrl[:] = controls
            runge_kutta(body.model, body.data, frames)
            mujoco.mj_rnePostConstraint(body.model, body.data)

        body._step_mujoco_simulation = simulate


def runge_kutta(model: Any, state: Any, steps: int) -> None:
    """What ``mj_step`` does to an MjData of a model with the integrator RK4, by the plain method of fourth order.

    A model without activations, as those of Gymnasium's robots are. Everything but time, coordinates and velocities is
    left as the last of the four stages has it, as ``mj_step`` leaves it.
    """
    h, qpos, qvel, qacc = model.opt.timestep, state.qpos, state.qvel, state.qacc  # looked up once: views of its memory
    for _ in range(steps):
        time = state.time
        mujoco.mj_forward(model, state)
        place, speed = qpos.copy(), qvel.copy()
        stage = speed, qacc.copy()
        # Weighted sums of the stages' velocities and accelerations.
        moved, gained = stage[0] / 6, stage[1] / 6
        for ahead, weight in ((h / 2, 1 / 3), (h / 2, 1 / 3), (h, 1 / 6)):
            qpos[:] = place
            mujoco.mj_integratePos(model, qpos, stage[0], ahead)
            qvel[:] = speed + ahead * stage[1]
            state.time = time + ahead
            mujoco.mj_forward(model, state)
            stage = qvel.copy(), qacc.copy()
            moved, gained = moved + weight * stage[0], gained + weight * stage[1]
        qpos[:] = place
        mujoco.mj_integratePos(model, qpos, moved, h)
        qvel[:] = speed + h * gained
        state.time = time + h


def cylinders(model: Any, total: float | None, density: float) -> tuple[Array, Array, Array]:
    """What MuJoCo before 2.1.1 computed of the bodies of a model, whose geoms are capsules and spheres.

    Args:
        model: MjModel.
        total: what the mass of all bodies is scaled to, in kg.
        density: that of every geom, in kg/m^3.

    Returns:
        Masses (bodies,) in kg, centres of mass (bodies, 3) in the bodies' frames, and inertias (bodies, 3, 3) about
        these in kg m^2; those of the world are 0.
    """
    masses, centres, inertias = np.zeros(model.nbody), np.zeros((model.nbody, 3)), np.zeros((model.nbody, 3, 3))
    for body in range(1, model.nbody):
        geoms = np.flatnonzero(model.geom_bodyid == body)
        radii, places = model.geom_size[geoms, 0], model.geom_pos[geoms]
        spheres = model.geom_type[geoms] == mujoco.mjtGeom.mjGEOM_SPHERE
        # A sphere was one then too, and has the mass of a cylinder that is 4/3 of its radius long.
        lengths = np.where(spheres, 4 / 3 * radii, 2 * model.geom_size[geoms, 1] + radii)
        parts = density * np.pi * radii**2 * lengths
        across = np.where(spheres, 2 / 5 * parts * radii**2, parts * (3 * radii**2 + lengths**2) / 12)
        along = np.where(spheres, across, parts * radii**2 / 2)
        masses[body], centres[body] = parts.sum(), parts @ places / parts.sum()
        for i, (geom, mass, place) in enumerate(zip(geoms, parts, places, strict=True)):
            turn = np.zeros(9)
            mujoco.mju_quat2Mat(turn, model.geom_quat[geom])
            axes, away = turn.reshape(3, 3), place - centres[body]
            inertias[body] += axes @ np.diag([across[i], across[i], along[i]]) @ axes.T
            inertias[body] += mass * (away @ away * np.eye(3) - np.outer(away, away))
    scale = total / masses.sum() if total else 1.0
    return scale * masses, centres, scale * inertias


def margins_add() -> bool:
    """Whether the installed MuJoCo adds the margins of two geoms in contact."""
    major, minor = (int(part) for part in mujoco.__version__.split(".")[:2])
    return (major, minor) >= (3, 5)


def write_inertias(root: ET.Element, model: Any, bodies: tuple[Array, Array, Array]) -> None:
    """Write what `cylinders` gives of a model's bodies into its XML, to be used as is."""
    compiler = root.find("compiler")
    assert compiler is not None
    compiler.attrib.pop("settotalmass", None)
    compiler.set("inertiafromgeom", "false")
    # MuJoCo numbers bodies in the order of the XML, the world first; Ant's feet have no names.
    elements = list(root.iter("body"))
    assert len(elements) == model.nbody - 1
    for element, mass, centre, i in zip(elements, *(column[1:] for column in bodies), strict=True):
        full = [i[0, 0], i[1, 1], i[2, 2], i[0, 1], i[0, 2], i[1, 2]]
        numbers = {"pos": centre, "mass": [mass], "fullinertia": full}
        texts = {key: " ".join(repr(float(value)) for value in values) for key, values in numbers.items()}
        ET.SubElement(element, "inertial", texts)


def halve_margins(root: ET.Element) -> None:
    """Where all margins are equal, the sum of two halves is the larger of two."""
    for geom in root.iter("geom"):
        if "margin" in geom.attrib:
            geom.set("margin", repr(float(geom.attrib["margin"]) / 2))


# -------------------------------------------------------------------- helpers


def _check(model: Any, name: str) -> None:
    """An OffbenchError unless the masses of a model are those of capsules and spheres, as today's MuJoCo has them."""
    radii, halves = model.geom_size[:, 0], model.geom_size[:, 1]
    exact = np.zeros(model.nbody)
    np.add.at(exact, model.geom_bodyid, DENSITY[name] * np.pi * radii**2 * (2 * halves + 4 / 3 * radii))
    if total := TOTAL_MASS[name]:
        exact[1:] *= total / exact[1:].sum()
    round_ = (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_SPHERE)
    known = np.isin(model.geom_type[model.geom_bodyid > 0], [int(kind) for kind in round_])
    if not known.all() or not np.allclose(model.body_mass[1:], exact[1:], rtol=1e-6, atol=0):
        raise OffbenchError(
            f"the model of {name} is not Gymnasium's, whose links are capsules of {DENSITY[name]:g} kg/m^3; D4RL's "
            "dynamics are known for that one only"
        )


def _check_margins(model: Any, name: str) -> None:
    """An OffbenchError unless all margins of a model are equal, as they are in D4RL's."""
    if len(set(model.geom_margin.tolist())) > 1:
        raise OffbenchError(f"the geoms of {name} have different margins, where D4RL's model has one")
