"""Tasks in D4RL's dynamics: their models against closed forms and MuJoCo's own cylinders, and D4RL's recorded steps."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from offbench.data.trajectories import Trajectories
from offbench.environments import d4rl_dynamics
from offbench.environments.locomotion import LocomotionSimulator
from offbench.environments.simulator import GymnasiumSimulator, make_simulator
from offbench.environments.single import _quiet, make_environment
from offbench.environments.task import task
from offbench.errors import OffbenchError
from offbench.formats.hdf5 import read_hdf5

ROBOTS = ["hopper", "halfcheetah", "walker2d", "ant"]
# What MuJoCo derives from shapes: other for a cylinder than for a capsule of the same inertia.
SHAPES = {"geom_type", "geom_size", "geom_rbound", "geom_aabb", "bvh_aabb", "dof_length"}
# Where two of a body's principal inertias are equal, the axes are any, and with them what shortcuts MuJoCo may take.
AXES = {"body_iquat", "body_sameframe", "geom_sameframe", "body_simple", "dof_simplenum"}


def model_of(name: str) -> Any:
    return make_environment(task(name)).unwrapped.model


# -------------------------------------------------------------------- the model


@pytest.mark.parametrize("robot", ["hopper", "walker2d"])
def test_masses_and_inertias_are_those_of_cylinders(robot: str) -> None:
    model = model_of(f"{robot}-d4rl")
    # Radius and length of the straight part, in metres, as the XML has them; the cylinder is longer by one radius.
    foot = (0.06, 0.39) if robot == "hopper" else (0.06, 0.2)
    leg = [(0.05, 0.45), (0.04, 0.5), foot]
    parts = [(0.05, 0.4), *leg] if robot == "hopper" else [(0.05, 0.4), *leg, *leg]
    for body, (radius, straight) in enumerate(parts, start=1):
        length = straight + radius
        mass = 1000 * np.pi * radius**2 * length
        across, along = mass * (radius**2 / 4 + length**2 / 12), mass * radius**2 / 2
        assert model.body_mass[body] == pytest.approx(mass, rel=1e-12)
        assert sorted(model.body_inertia[body]) == pytest.approx([along, across, across], rel=1e-9)


def test_halfcheetah_keeps_its_weight() -> None:
    model, today = model_of("halfcheetah-d4rl"), model_of("halfcheetah-v4")
    assert model.body_mass.sum() == pytest.approx(14, rel=1e-12)
    # A cylinder is lighter than its capsule by pi r^3 / 3, which all parts have in common: the torso has it twice.
    radius, straight = 0.046, np.array([1.3, 0.29, 0.3, 0.188, 0.266, 0.212, 0.14])
    volumes = np.pi * radius**2 * (straight + radius * np.array([2, 1, 1, 1, 1, 1, 1]))
    np.testing.assert_allclose(model.body_mass[1:], 14 * volumes / volumes.sum(), rtol=1e-9)
    volumes += np.pi * radius**3 / 3 * np.array([2, 1, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(today.body_mass[1:], 14 * volumes / volumes.sum(), rtol=1e-9)


@pytest.mark.parametrize("robot", ROBOTS)
def test_all_that_follows_from_masses_is_that_of_a_robot_made_of_cylinders(robot: str) -> None:
    """MuJoCo's compiler computes the inertias here, and combines those of HalfCheetah's torso and head."""
    body: Any = make_environment(task(f"{robot}-d4rl")).unwrapped
    root = ET.parse(body.fullpath).getroot()
    for geom in root.iter("geom"):
        if geom.get("type") == "capsule":
            radius, length = float(geom.get("size", "").split()[0]), body.model.geom(geom.get("name")).size[1]
            geom.set("type", "cylinder")
            geom.set("size", f"{radius!r} {float(length + radius / 2)!r}")
            if geom.attrib.pop("fromto", None) and robot != "ant":  # HalfCheetah's torso, along the x axis
                geom.set("euler", f"0 {np.pi / 2!r} 0")
            elif robot == "ant":
                placed = body.model.geom(geom.get("name"))
                geom.set("pos", " ".join(map(repr, placed.pos.tolist())))
                geom.set("quat", " ".join(map(repr, placed.quat.tolist())))
        if "margin" in geom.attrib and d4rl_dynamics.margins_add():
            geom.set("margin", repr(float(geom.attrib["margin"]) / 2))
    with _quiet():
        made = mujoco.MjModel.from_xml_string(ET.tostring(root, encoding="unicode"))
    names = [name for name in dir(made) if isinstance(getattr(made, name), np.ndarray)]
    assert {"dof_invweight0", "body_invweight0", "body_subtreemass", "dof_M0", "actuator_acc0"} < set(names)
    today = model_of(f"{robot}-v4")
    for name in set(names) - SHAPES - AXES - {"geom_quat"}:  # how far HalfCheetah's torso is turned about its length
        np.testing.assert_allclose(getattr(body.model, name), getattr(made, name), rtol=1e-8, atol=1e-9, err_msg=name)
    for name in ("meaninertia", "meanmass"):  # by the first of which the solver scales what it stops at
        assert getattr(body.model.stat, name) == pytest.approx(getattr(made.stat, name), rel=1e-8)
    assert np.abs(body.model.dof_invweight0 / today.dof_invweight0 - 1).max() > 0.01
    for name in ("geom_type", "geom_size", "geom_rbound", "geom_aabb"):
        np.testing.assert_array_equal(getattr(body.model, name), getattr(today, name))


def test_contacts_begin_at_the_larger_margin() -> None:
    """MuJoCo's rule is told from the contacts themselves: Hopper's foot, lowered onto the floor."""
    found = {}
    for name in ("hopper-v4", "hopper-d4rl"):
        body: Any = make_environment(task(name)).unwrapped
        contacts = []
        for height in np.arange(1.215, 1.205, -1e-4):  # the foot's lowest points are 1.21 below
            mujoco.mj_resetData(body.model, body.data)
            body.data.qpos[1] = height
            mujoco.mj_forward(body.model, body.data)
            contacts += [(contact.dist, contact.includemargin) for contact in body.data.contact]
        found[name] = contacts
        assert len(contacts) > 10
    assert {margin for _, margin in found["hopper-d4rl"]} == {0.001}
    assert 0.0009 < max(distance for distance, _ in found["hopper-d4rl"]) < 0.001
    assert {margin for _, margin in found["hopper-v4"]} == {0.002 if d4rl_dynamics.margins_add() else 0.001}


def test_only_models_that_are_known_are_given_d4rls_dynamics() -> None:
    swimmer = task("hopper-v4").model_copy(update={"dynamics": "d4rl", "environment": "Swimmer-v4"})
    with pytest.raises(OffbenchError, match=r"D4RL's dynamics are known for Hopper-v4, .*not for Swimmer-v4"):
        make_environment(swimmer)
    heavy = make_environment(task("hopper-v4"))
    heavy.unwrapped.model.body_mass[2] *= 1.01  # type: ignore[attr-defined]
    with pytest.raises(OffbenchError, match="the model of Hopper-v4 is not Gymnasium's"):
        d4rl_dynamics.record_as_d4rl(heavy, "Hopper-v4")
    twice = make_environment(task("walker2d-d4rl"))
    with pytest.raises(OffbenchError, match="the model of Walker2d-v4 is not Gymnasium's"):
        d4rl_dynamics.record_as_d4rl(twice, "Walker2d-v4")


# -------------------------------------------------------------------- episodes


@pytest.mark.parametrize("robot", ROBOTS)
def test_the_batched_simulator_equals_the_single_environment_exactly(robot: str) -> None:
    chosen, seeds = task(f"{robot}-d4rl"), [5, 900, 31]
    batched, single, today = make_simulator(chosen, 3), GymnasiumSimulator(chosen, 3), make_simulator(task(robot), 3)
    assert isinstance(batched, LocomotionSimulator)
    np.testing.assert_array_equal(batched.reset(seeds), single.reset(seeds))
    np.testing.assert_array_equal(today.reset(seeds), single.reset(seeds))
    rng, apart = np.random.default_rng(0), 0.0
    for _ in range(40):
        actions = rng.uniform(-1, 1, (3, len(batched.action_low)))
        for _ in range(10):  # held, so that hoppers fall and cheetahs run
            got, expected, other = batched.step(actions), single.step(actions), today.step(actions)
            for mine, its in zip(got, expected, strict=True):
                np.testing.assert_array_equal(mine, its)
            apart = max(apart, float(np.abs(got.observations - other.observations).max()))
    assert got.terminations.all() == (robot in ("hopper", "walker2d"))
    assert apart > 0.1


def differences(name: str, data: Trajectories) -> np.ndarray:
    """Largest difference of coordinates and velocities after each step that starts and ends within the bounds."""
    body: Any = make_environment(task(name)).unwrapped
    body.reset(seed=0)
    places, speeds = data.extras["qpos"], data.extras["qvel"]
    inside = np.ones(data.steps, bool)
    inside[data.offsets[1:] - 1] = False  # the state after the last step was not recorded
    if name.startswith("hopper"):  # whose recorded velocities are those of the observation, cut at 10
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


@pytest.mark.parametrize("robot", ["hopper", "halfcheetah"])
def test_the_recorded_steps_come_out(shared: Path, robot: str) -> None:
    data = read_hdf5(shared / "real" / "d4rl_slices" / f"{robot}_medium-v2.hdf5")
    found = differences(f"{robot}-d4rl", data)
    assert len(found) > 700
    assert np.median(found) < 1e-6
    assert found.max() < 1e-4
    assert np.median(differences(f"{robot}-v4", data)) > 5e-3


def test_ants_recorded_steps_come_out(shared: Path) -> None:
    data = read_hdf5(shared / "real" / "d4rl_ant" / "ant_medium-v2.hdf5")
    found = differences("ant-d4rl", data)
    assert len(found) == 1998
    assert np.median(found) < 5e-7
    assert found.max() < 1e-5
    assert np.median(differences("ant-v4", data)) > 5e-3


def test_ants_recorded_observations_and_rewards_come_out(shared: Path) -> None:
    data = read_hdf5(shared / "real" / "d4rl_ant" / "ant_medium-v2.hdf5")
    body: Any = make_environment(task("ant-d4rl")).unwrapped
    body.reset(seed=0)
    assert data.rewards is not None
    before = None
    for step in range(300):
        mujoco.mj_resetData(body.model, body.data)
        body.set_state(data.extras["qpos"][step], data.extras["qvel"][step])
        observation, reward, *_, info = body.step(data.actions[step])
        assert observation.shape == (111,)
        assert not observation[27:].any()  # contact forces, cut to the zeros that were recorded
        np.testing.assert_allclose(observation, data.observations[step + 1], atol=1e-5)
        # The torso's place is that of before the last stage, as it was when recording.
        place = body.data.body("torso").xpos[0]
        if before is not None:
            forward = (place - before) / body.dt
            assert reward - info["reward_forward"] + forward == pytest.approx(data.rewards[step], abs=1e-5)
        before = place


def test_the_plain_method_is_mujocos_where_nothing_turns_freely() -> None:
    """Hopper's joints are slides and hinges, which all methods move alike."""
    body: Any = make_environment(task("hopper-v4")).unwrapped
    body.reset(seed=0)
    other = mujoco.MjData(body.model)
    mujoco.mj_copyData(other, body.model, body.data)
    for step in range(30):
        body.data.ctrl[:] = other.ctrl[:] = np.sin(np.arange(3) + step)
        mujoco.mj_step(body.model, body.data, 4)
        d4rl_dynamics.runge_kutta(body.model, other, 4)
        np.testing.assert_allclose(other.qpos, body.data.qpos, atol=1e-9)
        np.testing.assert_allclose(other.qvel, body.data.qvel, atol=1e-7)
        assert other.time == pytest.approx(body.data.time)
