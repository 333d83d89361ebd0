import threading

import mujoco
import numpy as np
import pytest

from offbench.environments import mujoco_states
from offbench.environments.mujoco_states import (
    STATES_PER_THREAD,
    CompiledStates,
    ThreadedStates,
    has_batch,
    make_states,
)
from offbench.errors import OffbenchError

# A box dropped on a plane, pushed by a motor: contacts, so that the solver's warm start matters.
MODEL = mujoco.MjModel.from_xml_string("""
<mujoco><worldbody>
  <geom type="plane" size="5 5 1"/>
  <body name="box" pos="0 0 0.3"><freejoint/><geom type="box" size="0.1 0.2 0.05"/></body>
  <body pos="1 0 0.2"><joint name="slide" type="slide" axis="1 0 0"/><geom size="0.2"/></body>
</worldbody><actuator><motor joint="slide"/></actuator></mujoco>
""")
KINDS = [
    pytest.param(CompiledStates, marks=pytest.mark.skipif(not has_batch(), reason="mujoco.batch needs MuJoCo 4.0")),
    ThreadedStates,
]


def started(kind, count: int, watch=(), threads: int = 2):
    """States at the model's start."""
    states, data = kind(MODEL, count, watch, threads), mujoco.MjData(MODEL)
    for i in range(count):
        states.copy_from(i, data)
    return states


def alone(controls, frame_skip: int):
    """Trajectory (steps, nq) of one MjData under controls (steps, 1)."""
    data = mujoco.MjData(MODEL)
    positions = []
    for control in controls:
        data.ctrl[:] = control
        for _ in range(frame_skip):
            mujoco.mj_step(MODEL, data)
        positions.append(data.qpos.copy())
    return np.stack(positions)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_each_state_moves_as_it_would_alone_whatever_the_threads(kind, threads):
    controls = np.random.default_rng(0).normal(size=(100, 20, 1))
    states = started(kind, 20, threads=threads)
    positions = []
    for control in controls:
        states.advance(np.arange(20), control, 3)
        positions.append(states.values["qpos"].copy())
    expected = np.stack([alone(controls[:, i], 3) for i in range(20)], axis=1)
    np.testing.assert_array_equal(np.stack(positions), expected)
    states.close()


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_named_states_move(kind):
    states = started(kind, 12, watch=["xpos"])
    before = {name: value.copy() for name, value in states.values.items()}
    chosen = np.array([1, 2, 5, 6, 7, 8, 9, 10, 11])
    states.advance(chosen, np.ones((12, 1)), 2)
    for name, value in states.values.items():
        moved = (value != before[name]).reshape(12, -1).any(axis=1)
        assert np.flatnonzero(moved).tolist() == chosen.tolist()
    states.advance(np.array([], dtype=int), np.ones((12, 1)), 1)


@pytest.mark.parametrize("kind", KINDS)
def test_velocities_are_set_as_gymnasiums_set_state_does(kind):
    states = started(kind, 9)
    velocities = np.random.default_rng(0).normal(size=(9, MODEL.nv))
    states.advance(np.arange(9), np.zeros((9, 1)), 100)
    data = mujoco.MjData(MODEL)
    mujoco.mj_step(MODEL, data, 100)
    states.advance(np.arange(9), np.ones((9, 1)), 5, velocities)
    data.qvel[:] = velocities[3]
    mujoco.mj_forward(MODEL, data)
    data.ctrl[:] = 1
    mujoco.mj_step(MODEL, data, 5)
    np.testing.assert_array_equal(states.values["qpos"][3], data.qpos)
    np.testing.assert_array_equal(states.values["qvel"][3], data.qvel)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_goes_on_exactly_as_its_source(kind):
    data = mujoco.MjData(MODEL)
    mujoco.mj_step(MODEL, data, 80)
    assert data.ncon > 0
    states = kind(MODEL, 2, ["xpos"], 1)
    states.copy_from(1, data)
    np.testing.assert_array_equal(states.values["xpos"][1], data.xpos)
    states.advance(np.array([1]), np.zeros((2, 1)), 20)
    mujoco.mj_step(MODEL, data, 20)
    for name in ("qpos", "qvel", "xpos"):
        np.testing.assert_array_equal(states.values[name][1], getattr(data, name))


def test_contact_forces_are_those_after_the_step():
    states = started(ThreadedStates, 9, watch=["cfrc_ext"])
    states.advance(np.arange(9), np.zeros((9, 1)), 500)
    data = mujoco.MjData(MODEL)
    mujoco.mj_step(MODEL, data, 500)
    mujoco.mj_rnePostConstraint(MODEL, data)
    assert states.values["cfrc_ext"].shape == (9, 3, 6)
    for forces in states.values["cfrc_ext"]:
        np.testing.assert_array_equal(forces, data.cfrc_ext)
    weight = MODEL.body("box").mass[0] * 9.81
    assert states.values["cfrc_ext"][0, 1, 5] == pytest.approx(weight, rel=1e-2)


def test_every_index_is_worked_on_once_and_errors_come_out():
    states = ThreadedStates(MODEL, 40, [], 4)
    seen = []
    states.run(np.arange(40), seen.append)
    assert sorted(seen) == list(range(40))

    def fail(i: int) -> None:
        if i == 37:
            raise ValueError("state 37")

    with pytest.raises(ValueError, match="state 37"):
        states.run(np.arange(40), fail)
    states.run(np.arange(40), seen.append)
    assert len(seen) == 80
    states.close()
    states.run(np.arange(40), seen.append)
    assert len(seen) == 120


def test_few_states_are_stepped_without_threads():
    states = ThreadedStates(MODEL, 2 * STATES_PER_THREAD - 1, [], 8)
    workers = set()
    states.run(np.arange(states.count), lambda _: workers.add(threading.current_thread()))
    assert workers == {threading.current_thread()}


def test_the_fastest_exact_kind_is_chosen(monkeypatch):
    if has_batch():
        assert isinstance(make_states(MODEL, 2, ["xpos"]), CompiledStates)
    assert isinstance(make_states(MODEL, 2, ["cfrc_ext"]), ThreadedStates)
    monkeypatch.setattr(mujoco_states, "has_batch", lambda: False)
    assert isinstance(make_states(MODEL, 2), ThreadedStates)


def test_errors():
    with pytest.raises(OffbenchError, match="0 states on 1 threads"):
        make_states(MODEL, 0, threads=1)
    with pytest.raises(OffbenchError, match="1 states on 0 threads"):
        make_states(MODEL, 1, threads=0)
