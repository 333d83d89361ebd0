"""The formulas of rewards, against the simulators themselves and the published data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offbench.behaviours.controllers import UniformRandom
from offbench.data.trajectories import Trajectories
from offbench.environments.simulator import make_simulator
from offbench.environments.task import task
from offbench.environments.task_facts import facts, reward_formula
from offbench.formats.hdf5 import read_hdf5
from offbench.generation.recording import record
from offbench.lint.checks import lint


def rolled_out(name: str, episodes: int = 4) -> Trajectories:
    """Uniformly random actions in a task."""
    simulator = make_simulator(task(name), episodes)
    seeds = range(episodes)
    policy = UniformRandom(simulator.action_low, simulator.action_high, seeds)
    recorded = record(simulator, policy, seeds)
    extras = {"goal": np.repeat(simulator.goals, recorded.lengths, axis=0)} if name == "pointmaze-stitch" else {}
    simulator.close()
    return replace(recorded, extras=extras)


def shifted(trajectories: Trajectories, by: int) -> Trajectories:
    rewards = np.concatenate([np.roll(episode.rewards, by) for episode in trajectories])
    return replace(trajectories, rewards=rewards)


@pytest.mark.parametrize("name", ["pendulum", "pointmaze-stitch", "pointmaze-umaze-dense"])
def test_exact_formulas_give_the_simulators_rewards(name: str):
    data = rolled_out(name)
    expected = reward_formula(task(name))(data)
    assert expected.exact
    assert expected.known.all()
    np.testing.assert_allclose(data.rewards, expected.rewards, atol=2e-6)
    told = facts(task(name))
    assert [each for each in lint(data, told) if each.severity != "note"] == []
    for by in (1, -1):
        assert "rewards-shifted" in [each.code for each in lint(shifted(data, by), told)]


@pytest.mark.parametrize("name", ["hopper-v4", "walker2d-v4", "halfcheetah-v4"])
def test_formulas_from_velocities_tell_neighbouring_steps_apart(name: str):
    data, told = rolled_out(name), facts(task(name))
    assert not told.expected_rewards(data).exact
    assert [each for each in lint(data, told) if each.severity != "note"] == []
    for by, words in ((1, "one row late"), (-1, "one row early")):
        found = [each for each in lint(shifted(data, by), told) if each.code == "rewards-shifted"]
        assert len(found) == 1
        assert words in found[0].message


def test_the_sparse_maze_counts_the_goal_after_the_step():
    data = rolled_out("pointmaze-umaze", 20)
    expected = reward_formula(task("pointmaze-umaze"))(data)
    assert data.rewards.sum() > 0
    assert np.mean(data.rewards != expected.rewards) < 1e-3


def test_facts_carry_bounds_and_clock():
    told = facts(task("pendulum"))
    assert (told.name, told.episode_limit) == ("pendulum", 200)
    assert (told.action_low.tolist(), told.action_high.tolist()) == ([-2.0], [2.0])


def test_data_without_what_a_formula_needs_have_no_expectation():
    pendulum = rolled_out("pendulum")
    assert reward_formula(task("hopper-v4"))(pendulum) is None
    assert reward_formula(task("pendulum"))(replace(pendulum, actions=None)) is None
    assert reward_formula(task("pointmaze-stitch"))(replace(rolled_out("pointmaze-stitch"), extras={})) is None
    unknown = task("pendulum").model_copy(update={"environment": "MountainCarContinuous-v0"})
    assert reward_formula(unknown) is None


def test_a_last_step_without_its_observation_is_not_compared():
    hopper = rolled_out("hopper-v4")
    unknown = replace(hopper, final_observations=np.zeros(len(hopper), dtype=bool))
    known = reward_formula(task("hopper-v4"))(unknown).known
    assert np.flatnonzero(~known).tolist() == (hopper.offsets[1:] - 1).tolist()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("d4rl_slices/hopper_medium-v2.hdf5", "hopper-v4"),
        ("d4rl_slices/hopper_medium_replay-v1.hdf5", "hopper-v4"),
        ("d4rl_slices/halfcheetah_medium-v2.hdf5", "halfcheetah-v4"),
        ("d4rl_slices/halfcheetah_medium_replay-v1.hdf5", "halfcheetah-v4"),
        ("d3rlpy_pendulum_replay.hdf5", "pendulum"),
    ],
)
def test_published_rewards_stand_in_their_row(shared: Path, file: str, name: str):
    data, told = read_hdf5(shared / "real" / file), facts(task(name))
    assert {each.code for each in lint(data, told) if each.severity != "note"} <= {"infos-frozen"}
    for by in (1, -1):
        assert "rewards-shifted" in [each.code for each in lint(shifted(data, by), told)]
