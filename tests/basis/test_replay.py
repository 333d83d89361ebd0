"""What a GPU replays is, to the last bit, what it does when it is told kernel by kernel."""

from typing import Any

import numpy as np
import pytest
import torch

from offbench.algorithms import registry
from offbench.algorithms.base import Sizes
from offbench.basis.replay import WARM, Replayed
from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.dynamics import fitting
from offbench.training.group import Group

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
SMALL: dict[str, Any] = {"hidden": (32, 32), "batch_size": 32}
IMAGINED: dict[str, Any] = SMALL | {
    "dynamics_hidden": (32, 32), "dynamics_epochs": 2, "rollout_count": 64, "rollout_every": 5, "rollout_length": 2,
    "termination": "HalfCheetah",
}  # fmt: skip


def data() -> Trajectories:
    rng, steps = np.random.default_rng(0), 1000
    ends = np.zeros(steps, dtype=bool)
    ends[99::100] = True
    return Trajectories(
        observations=rng.normal(size=(steps + 10, 4)).astype(np.float32),
        offsets=np.arange(0, steps + 1, 100),
        terminations=np.zeros(steps, dtype=bool),
        truncations=ends,
        actions=np.tanh(rng.normal(size=(steps, 2))).astype(np.float32),
        rewards=rng.normal(size=steps).astype(np.float32),
    )


def test_without_a_gpu_it_is_just_called() -> None:
    heard: list[float] = []
    replayed = Replayed(lambda tensor: heard.append(float(tensor)))
    for number in range(WARM + 3):
        replayed(torch.tensor(number))
    assert heard == list(range(WARM + 3))


@needs_gpu
@pytest.mark.parametrize(
    ("name", "settings"), [("iql", SMALL), ("td3_bc", SMALL), ("mopo", IMAGINED), ("ravl", IMAGINED)]
)
def test_replayed_updates_are_those_that_are_told_one_by_one(name: str, settings: dict[str, Any]) -> None:
    found = registry.algorithm(name)
    config, view = found.Config(**settings), Transitions(data(), device="cuda")

    def state(replay: bool) -> dict[str, torch.Tensor]:
        algorithm = found(config, Sizes(4, 2), [3, 7], 100, "cuda")
        algorithm.prepare(view, lambda line: None)
        group = Group(algorithm, view, found.step, replay)
        group.advance(0, 14)
        group.advance(14, 25)
        return algorithm.state() | {"totals": group.totals}

    told, replayed = state(False), state(True)
    assert all(torch.equal(value, replayed[key]) for key, value in told.items())
    assert int(told["count"]) == 25


@needs_gpu
def test_a_fit_replays_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    config = fitting.DynamicsConfig(members=3, elites=2, hidden=(16, 16), batch_size=64, most_epochs=4)
    view = Transitions(data(), device="cuda")
    replayed = fitting.fit(view, config, [0, 1])
    monkeypatch.setattr(Replayed, "__call__", lambda self, argument: self.function(argument))
    told = fitting.fit(view, config, [0, 1])
    assert all(torch.equal(value, replayed.parameters[key]) for key, value in told.parameters.items())
