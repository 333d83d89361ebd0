"""Branches that start from the simulator's recorded states are the simulator's, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from offbench.behaviours.controllers import UniformRandom
from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.dynamics.imagination import Branches, Imagination
from offbench.dynamics.quality import start_errors
from offbench.dynamics.terminations import walker2d
from offbench.dynamics.truth import Mixed, Simulated
from offbench.dynamics.worlds import Moment, Outcome
from offbench.environments.simulator import make_simulator
from offbench.environments.task import task
from offbench.generation.recording import in_float32, record

ROBOTS = ("hopper-v4", "halfcheetah-v4", "walker2d-v4", "ant-v4")
STEPS = 5
MOMENT = Moment(torch.tensor([0]), torch.tensor(0), "x")


def recorded(name: str, states: bool = True) -> Trajectories:
    """Episodes of uniformly random actions, as recipes record them."""
    known = task(name).model_copy(update={"episode_limit": 60})
    simulator = make_simulator(known, 24)
    policy = UniformRandom(simulator.action_low, simulator.action_high, list(range(24)))
    made = in_float32(record(simulator, policy, range(24), states))
    simulator.close()
    return made


@pytest.fixture(scope="module", params=ROBOTS)
def robot(request):
    return request.param, recorded(request.param)


def starts(data: Trajectories, ahead: int = STEPS) -> torch.Tensor:
    """(1, rows) the steps that so many steps of the same episode begin with."""
    left = np.repeat(data.offsets[1:], data.lengths) - np.arange(data.steps)
    return torch.from_numpy(np.flatnonzero(left >= ahead)).unsqueeze(0)


def test_states_are_kept_in_double_precision_and_change_no_transition(robot) -> None:
    name, data = robot
    plain = recorded(name, states=False)
    assert replace(data, extras={}).digest == plain.digest
    rows = data.steps + len(data)
    kinds = {key: (column.dtype, len(column)) for key, column in data.extras.items()}
    assert set(kinds) == {"qpos", "qvel", "qacc_warmstart"} | ({"torso_x"} if name == "ant-v4" else set())
    assert set(kinds.values()) == {(np.dtype(np.float64), rows)}
    hidden = 2 if name == "ant-v4" else 1
    shown = data.extras["qpos"][:, hidden:]
    assert np.array_equal(shown.astype(np.float32), data.observations[:, : shown.shape[1]])


def test_branches_from_rows_of_the_data_equal_the_simulator_over_five_steps(robot) -> None:
    """Next observations, rewards and terminations as recorded, float32; coordinates and velocities to the last bit."""
    name, data = robot
    view, rows = Transitions(data), starts(data)
    world = Simulated(task(name), view.scaling)
    world.begin(view, rows)
    assert world.exact
    current = view.batch(rows).observations
    for ahead in range(STEPS):
        truth = view.batch(rows + ahead)
        outcome = world.step(current, truth.actions, MOMENT)
        assert torch.equal(outcome.observations, truth.next_observations)
        assert torch.equal(outcome.rewards, truth.rewards)
        assert torch.equal(outcome.terminations, truth.terminations == 1)
        following = data.sources[rows[0].numpy() + ahead] + 1
        for key, column in world._simulator.states().items():
            assert np.array_equal(column, data.extras[key][following]), key
        current = outcome.observations
    assert rows.shape[1] > 200
    if name != "halfcheetah-v4":
        assert outcome.terminations.any()
        assert not outcome.terminations.all()
    world.close()


def test_without_the_warm_start_a_step_is_off_by_rounding() -> None:
    data = recorded("walker2d-v4")
    simulator, rows = make_simulator(task("walker2d-v4"), 200), starts(data)[0, :200].numpy()
    states = {key: column[data.sources[rows]] for key, column in data.extras.items()}
    ends = data.extras["qvel"][data.sources[rows] + 1]
    simulator.restore(states)
    simulator.step(data.actions[rows])
    assert np.array_equal(simulator.states()["qvel"], ends)
    simulator.restore(states | {"qacc_warmstart": np.zeros_like(states["qvel"])})
    simulator.step(data.actions[rows])
    off = np.abs(simulator.states()["qvel"] - ends).max(1)
    assert 0.1 < (off > 0).mean() < 1
    assert off.max() < 1e-6
    simulator.close()


def test_an_imagination_begins_exactly_and_goes_on() -> None:
    data = recorded("walker2d-v4")
    view = Transitions(data)
    world = Simulated(task("walker2d-v4"), view.scaling)
    one = Imagination(
        Branches(1, 40, STEPS, 1, 0.0), world, lambda states, noise: noise.tanh(), 2, 17, 6, torch.device("cpu"),
        torch.float32,
    )  # fmt: skip
    one.roll_out(view, torch.tensor([0, 7]), torch.tensor(0))
    assert world.exact
    s, a, r, following, ends = torch.split(one.rows[0, : int(one.filled[0])], one.parts, -1)
    lives = np.arange(40)
    own = make_simulator(task("walker2d-v4"), 40)
    first = [int(torch.nonzero((view.observations[view.sources] == start).all(-1))[0, 0]) for start in s[:40]]
    own.restore({key: view.extra(key, torch.tensor(first)) for key in own.state_sizes})
    at = 0
    for _ in range(STEPS):
        mine, actions = slice(at, at + len(lives)), np.zeros((40, 6))
        actions[lives] = a[mine]
        step = own.step(actions)
        assert np.array_equal(following[mine].numpy(), step.observations[lives].astype(np.float32))
        assert np.array_equal(r[mine, 0].numpy(), step.rewards[lives].astype(np.float32))
        assert np.array_equal(ends[mine, 0].numpy() == 1, step.terminations[lives])
        at += len(lives)
        lives = lives[~step.terminations[lives]]
    assert at == int(one.filled[0]) < 40 * STEPS  # some ended, and were masked from there on
    own.close()
    world.close()


def test_other_observations_than_were_shown_start_from_them() -> None:
    data = recorded("halfcheetah-v4")
    view, rows = Transitions(data), starts(data)[:, :8]
    world, fresh = (Simulated(task("halfcheetah-v4"), view.scaling) for _ in range(2))
    world.begin(view, rows)
    batch = view.batch(rows)
    moved = batch.observations.clone()
    moved[0, 0, 0] += 1e-3
    assert torch.equal(
        world.step(moved, batch.actions, MOMENT).observations, fresh.step(moved, batch.actions, MOMENT).observations
    )
    world.close()
    fresh.close()


def test_a_branch_may_be_longer_than_an_episode() -> None:
    data = recorded("halfcheetah-v4")
    view, rows = Transitions(data), starts(data, 12)
    world = Simulated(task("halfcheetah-v4").model_copy(update={"episode_limit": 3}), view.scaling)
    world.begin(view, rows)
    current = view.batch(rows).observations
    for ahead in range(12):
        truth = view.batch(rows + ahead)
        current = world.step(current, truth.actions, MOMENT).observations
        assert torch.equal(current, truth.next_observations)
    world.close()


class Elsewhere:
    """Leads nowhere near, and needs no row of the data."""

    def step(self, observations, actions, moment):
        return Outcome(observations + 1, observations[..., 0], torch.zeros_like(observations[..., 0], dtype=torch.bool))


def test_a_mixture_tells_its_worlds_where_branches_begin() -> None:
    data = recorded("walker2d-v4")
    view, rows = Transitions(data), starts(data)
    true = Simulated(task("walker2d-v4"), view.scaling)
    mixed = Mixed(Elsewhere(), true, 1.0, walker2d)
    mixed.begin(view, rows)
    batch = view.batch(rows)
    assert true.exact
    assert torch.equal(mixed.step(batch.observations, batch.actions, MOMENT).observations, batch.next_observations)
    true.close()


@pytest.mark.parametrize("name", ["hopper-v4", "halfcheetah-v4", "walker2d-v4"])
def test_what_a_start_from_observations_costs_is_measured(name) -> None:
    data = recorded(name)
    found = start_errors(Transitions(data), task(name), rows=10**6)
    assert found.exact == 1
    assert found.rows == data.steps - data.terminations.sum()
    median, most, largest = found.errors
    assert 0 < median < most <= largest
    shown = data.extras["qvel"][data.sources[~data.terminations]]
    assert found.clipped == ((np.abs(shown) > 10).any(1).mean() if name != "halfcheetah-v4" else 0)
    assert most > 0.01 if found.clipped else largest < 1e-4
    alone = start_errors(Transitions(replace(data, extras={})), task(name), rows=10**6)
    assert alone.exact is None
    assert np.array_equal(alone.errors, found.errors)
