from dataclasses import replace

import numpy as np
import pytest
import torch

from offbench.algorithms.base import Sizes
from offbench.behaviours.ladder import ladder, read_rung
from offbench.environments.simulator import make_simulator
from offbench.environments.task import task
from offbench.errors import OffbenchError
from offbench.online.sac import SACConfig
from offbench.online.selection import select
from offbench.online.training import BehaviourTraining, Collector, Plan, Replay, finished_rungs

PLAN = Plan(
    task="pendulum",
    updates=60,
    environments=8,
    random_transitions=400,
    capacity=1000,
    rung_every=20,
    rung_episodes=2,
    checkpoint_every=20,
    config=SACConfig(hidden=(16, 16), batch_size=32),
)


def train(plan, folder):
    training = BehaviourTraining(plan, folder, lambda line: None)
    training.run()
    return training


def test_a_training_goes_on_where_it_stopped(tmp_path):
    first = train(PLAN, tmp_path)
    assert [rung.updates for rung in first.rungs] == [20, 40, 60]
    second = BehaviourTraining(replace(PLAN, updates=100), tmp_path, lambda line: None)
    second._restore()
    assert all(torch.equal(value, second.learner.state()[name]) for name, value in first.learner.state().items())
    assert torch.equal(second.replay.rows[: len(second.replay)], first.replay.rows[: len(first.replay)])
    assert [rung.updates for rung in train(replace(PLAN, updates=100), tmp_path).rungs] == [20, 40, 60, 80, 100]


def test_the_same_plan_gives_the_same_policies(tmp_path):
    first, second = train(PLAN, tmp_path / "a"), train(PLAN, tmp_path / "b")
    assert first.rungs == second.rungs
    assert all(torch.equal(value, second.learner.state()[name]) for name, value in first.learner.state().items())


def test_another_plan_does_not_go_on_with_a_training(tmp_path):
    train(PLAN, tmp_path)
    with pytest.raises(OffbenchError, match="another seed"):
        train(replace(PLAN, seed=1), tmp_path)


def test_rungs_become_a_ladder(tmp_path):
    train(PLAN, tmp_path / "training")
    plan, rungs = finished_rungs(tmp_path / "training")
    found = select(tmp_path / "training", rungs, plan["task"], tmp_path / "ladder", 3, 4)
    assert ladder("pendulum", tmp_path / "ladder") == found
    for rung in found.rungs:
        assert rung.sampled.episodes == 4
        assert rung.sampled.length == 200
        read_rung(tmp_path / "ladder" / f"{rung.name}.safetensors", np.array([-2.0]), np.array([2.0]))


def test_a_replay_forgets_the_oldest():
    replay = Replay(Sizes(1, 1), 5)
    for number in range(4):
        replay.add(np.full((2, 5), number, np.float32))
    assert len(replay) == 5
    assert sorted(replay.rows[:, 0].tolist()) == [1, 2, 2, 3, 3]


def test_collected_transitions_are_those_of_the_simulator():
    collector = Collector([make_simulator(task("pendulum"), 2)], seed=0)
    before = [o.copy() for o in collector.observations]
    rows = collector.step(lambda o: np.full((len(o), 1), 0.5))
    assert rows.shape == (2, 3 + 1 + 1 + 3 + 1)
    np.testing.assert_allclose(rows[:, :3], before[0], rtol=1e-6)
    np.testing.assert_allclose(rows[:, 5:8], collector.observations[0], rtol=1e-6)
    assert (rows[:, 3] == 0.5).all()  # in [-1, 1], though the torque is 1 N m
    for _ in range(199):
        rows = collector.step(lambda o: np.zeros((len(o), 1)))
    assert (rows[:, -1] == 0).all()  # a time limit is no termination
    assert collector.episodes == [2]


@pytest.mark.slow
def test_a_behaviour_learns_to_swing_the_pendulum_up(tmp_path):
    plan = Plan(task="pendulum", updates=5000, random_transitions=2000, rung_every=2500, rung_episodes=10)
    training = train(replace(plan, config=SACConfig(hidden=(64, 64), learning_rate=1e-3)), tmp_path)
    assert task("pendulum").score(training.rungs[-1].sampled.mean) > 85
