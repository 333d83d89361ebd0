"""Data for commands to be tried on."""

from pathlib import Path

import numpy as np
import pytest

from offbench.data.trajectories import Provenance, Trajectories
from offbench.formats import native


def save_pendulum(path: Path, seed: int = 0) -> Path:
    """Write a native file of pendulum data from which nothing is to be learned."""
    ends = np.zeros(30, bool)
    ends[9::10] = True
    generator = np.random.default_rng(seed)
    data = Trajectories(
        observations=generator.normal(size=(33, 3)).astype(np.float32),
        offsets=np.array([0, 10, 20, 30]),
        terminations=np.zeros(30, bool),
        truncations=ends,
        actions=generator.uniform(-2, 2, (30, 1)).astype(np.float32),
        rewards=generator.normal(size=30).astype(np.float32),
        provenance=Provenance(dataset="tiny", task="pendulum"),
    )
    native.save(data, path)
    return path


@pytest.fixture(scope="session")
def other_pendulum_file(tmp_path_factory) -> Path:
    """Another one, of other numbers under the same name."""
    return save_pendulum(tmp_path_factory.mktemp("data") / "other.offbench", seed=1)
