"""Between a random, the learned and the true model."""

import numpy as np
import pytest
import torch

import offbench
from offbench.algorithms.base import Sizes
from offbench.algorithms.mopo import MOPO, MOPOConfig
from offbench.data.transitions import Transitions
from offbench.dynamics.truth import Mixed, Simulated
from offbench.dynamics.worlds import Learned, Moment
from offbench.environments.task import task
from offbench.errors import OffbenchError
from offbench.training.views import completed

SMALL = {"hidden": (8, 8), "dynamics_hidden": (8,), "rollout_count": 12, "rollout_length": 2, "batch_size": 8,
         "rollout_every": 10, "termination": "Pendulum", "penalty": "none"}  # fmt: skip


def mopo(**changes) -> MOPO:
    return MOPO(MOPOConfig(**SMALL | changes), Sizes(3, 1), (0, 1), 100, dtype=torch.float64)


def imagined(algorithm, data):
    torque = np.array([-2.0], np.float32), np.array([2.0], np.float32)
    algorithm.before(0, Transitions(data, action_range=torque, dtype=torch.float64))
    s, a, r, following, _ = torch.split(algorithm.imagination.rows[:, :24], algorithm.imagination.parts, -1)
    return s, a, r[..., 0], following


def test_with_the_whole_truth_every_branch_is_the_simulators(pendulum_file) -> None:
    algorithm = mopo(truth=1.0, truth_task="pendulum")
    assert isinstance(algorithm.imagination.world, Simulated)
    s, a, r, following = imagined(algorithm, offbench.load(pendulum_file))
    cos, sin, speed = s.unbind(-1)
    angle, torque = torch.atan2(sin, cos), 2 * a[..., 0]
    new = (speed + (15 * torch.sin(angle) + 3 * torque) * 0.05).clamp(-8, 8)  # Gymnasium's Pendulum-v1
    torch.testing.assert_close(r, -(angle**2 + 0.1 * speed**2 + 0.001 * torque**2), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(following[..., 2], new, rtol=1e-4, atol=1e-4)
    said: list[str] = []
    algorithm.prepare(None, said.append)
    assert said == ["dynamics: none are fitted, the simulator plays all branches"]


def test_half_of_the_truth_lies_half_way() -> None:
    algorithm = mopo(truth=0.5, truth_task="pendulum")
    world = algorithm.imagination.world
    assert isinstance(world, Mixed)
    assert (type(world.first), type(world.second), world.share) == (Learned, Simulated, 0.5)


def test_below_none_a_model_that_was_never_fitted_has_a_share() -> None:
    algorithm = mopo(truth=-0.25)
    world = algorithm.imagination.world
    s, a = torch.full((2, 4, 3), 0.5, dtype=torch.float64), torch.full((2, 4, 1), 0.5, dtype=torch.float64)
    moment = Moment(torch.tensor([0, 1]), torch.tensor(0), "x")
    learned, never_fitted, mixed = (each.step(s, a, moment).observations for each in (world.first, world.second, world))
    torch.testing.assert_close(mixed, 0.75 * learned + 0.25 * never_fitted)
    assert not torch.allclose(learned, never_fitted)


def test_the_task_of_the_run_is_the_one_whose_simulator_plays(pendulum_file, tmp_path) -> None:
    data = offbench.load(pendulum_file)
    assert completed(MOPOConfig(truth=0.5), data, task("pendulum")).truth_task == "pendulum"
    assert completed(MOPOConfig(), data, task("pendulum")).truth_task is None
    stranger = task("pendulum").model_copy(update={"name": "mine"})
    with pytest.raises(OffbenchError, match="mine is one of your own"):
        completed(MOPOConfig(truth=0.5), data, stranger)
    with pytest.raises(OffbenchError, match="this run has no task"):
        mopo(truth=1.0)
    settings = {name: value for name, value in SMALL.items() if name != "termination"}
    run = offbench.train(
        "mopo", pendulum_file, output=tmp_path / "run", seeds=1, steps=20, episodes=1, truth=1.0, compile="never",
        quiet=True, **settings,
    )  # fmt: skip
    assert run.records[0].config["truth_task"] == "pendulum"
