import functools
import os
import sys
from pathlib import Path

# The matrices of the tests are small: a second thread costs more in waiting than it wins. Processes that tests start
# read it from here, too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest
import shape_checks
import torch

torch.set_num_threads(1)
# A run that starts workers says so by workers=; the others stay in the process that looks at them.
os.environ["OFFBENCH_WORKERS"] = "1"
# No test speaks to the server of Weights & Biases.
os.environ["WANDB_MODE"] = "offline"
os.environ.pop("WANDB_PROJECT", None)

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("patient", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("patient")


def pytest_runtest_setup() -> None:
    """Check shapes anew. Once something was exported to ONNX, list the operators no more, as each export does."""
    shape_checks.forget()
    exporter = sys.modules.get("torch.onnx._internal.exporter._registration")
    if exporter is not None and "onnxscript" in sys.modules:
        apis = exporter.onnxscript_apis
        if not hasattr(apis.get_torchlib_ops, "cache_info"):
            apis.get_torchlib_ops = functools.cache(apis.get_torchlib_ops)


shape_checks.install()


@pytest.fixture
def shared() -> Path:
    """The folder with real data and reference traces that lies beside a checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the folder of real data {folder}, which is absent")
    return folder


@pytest.fixture(scope="session")
def pendulum_file(tmp_path_factory) -> Path:
    """A small dataset with the pendulum's shapes, as a native file."""
    from offbench.data.trajectories import Provenance, Trajectories  # not before shapes are checked
    from offbench.formats import native

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
