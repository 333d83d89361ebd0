from pathlib import Path

import numpy as np
import pytest

from offbench.data.trajectories import Provenance, Trajectories
from offbench.formats import native


@pytest.fixture(scope="session")
def pendulum_file(tmp_path_factory) -> Path:
    """A small dataset with the pendulum's shapes, as a native file."""
    rng = np.random.default_rng(0)
    episodes, length = 20, 25
    steps = episodes * length
    angle = rng.uniform(-np.pi, np.pi, steps + episodes)
    ends = np.zeros(steps, bool)
    ends[length - 1 :: length] = True
    data = Trajectories(
        observations=np.stack([np.cos(angle), np.sin(angle), rng.normal(size=len(angle))], 1).astype(np.float32),
        offsets=np.arange(0, steps + 1, length, dtype=np.int64),
        terminations=np.zeros(steps, bool),
        truncations=ends,
        actions=rng.uniform(-2, 2, (steps, 1)).astype(np.float32),
        rewards=-rng.uniform(0, 16, steps).astype(np.float32),
        provenance=Provenance(dataset="tiny", task="pendulum"),
    )
    path = tmp_path_factory.mktemp("data") / "tiny.offbench"
    native.save(data, path)
    return path
