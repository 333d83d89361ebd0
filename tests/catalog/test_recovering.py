"""The environment that data were recorded in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import OffbenchError


def recorded(**origin: object) -> Trajectories:
    provenance = Provenance(**origin)  # type: ignore[arg-type]
    ends = np.array([True])
    return Trajectories(np.zeros((2, 3)), np.array([0, 1]), ends, ~ends, provenance=provenance)


@pytest.mark.parametrize(
    ("origin", "environment", "limit"),
    [
        ({"notes": ("recorded in Pendulum-v1",)}, "Pendulum-v1", 200),
        ({"notes": ("odd", "recorded in MountainCarContinuous-v0")}, "MountainCarContinuous-v0", 999),
        ({"task": "hopper-v4"}, "Hopper-v4", 1000),
        ({"task": "hopper-v4", "notes": ("recorded in Hopper-v5",)}, "Hopper-v5", 1000),
        ({"like": "d4rl/hopper-medium-v2"}, "Hopper-v4", 1000),
        ({"task": "pendulum", "like": "d4rl/hopper-medium-v2"}, "Pendulum-v1", 200),
        ({"task": "pointmaze-stitch"}, "PointMaze_UMazeDense-v3", None),
    ],
)
def test_it_is_the_one_that_data_name_else_that_of_their_task(
    origin: dict[str, object], environment: str, limit: int | None
) -> None:
    made = recorded(**origin).recover_environment()
    assert made.spec is not None
    assert made.spec.id == environment
    assert limit in (None, made.spec.max_episode_steps)
    made.close()


@pytest.mark.parametrize(
    ("origin", "sentence"),
    [
        ({"dataset": "x.hdf5"}, "nothing says which environment x.hdf5 was recorded in"),
        ({"notes": ("recorded in Hopper-v5 with the arguments healthy_reward",)}, "with arguments that are not read"),
        ({"notes": ("recorded in Nowhere-v0",)}, "environment Nowhere-v0 cannot be made"),
    ],
)
def test_what_is_not_known_is_said(origin: dict[str, object], sentence: str) -> None:
    with pytest.raises(OffbenchError, match=sentence):
        recorded(**origin).recover_environment()


def test_spaces_of_the_environment_are_those_of_its_data() -> None:
    data = replace(recorded(task="pendulum"), actions=np.zeros((1, 1), np.float32))
    environment = data.recover_environment()
    assert data.observation_space.shape == environment.observation_space.shape
    bounded = replace(data, action_range=(np.full(1, -2, np.float32), np.full(1, 2, np.float32)))
    assert bounded.action_space == environment.action_space
