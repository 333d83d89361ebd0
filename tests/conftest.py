import functools
import os
import sys
from pathlib import Path

# The matrices of the tests are small: a second thread costs more in waiting than it wins. Processes that tests start
# read it from here, too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
import shape_checks
import torch

torch.set_num_threads(1)
# A run that starts workers says so by workers=; the others stay in the process that looks at them.
os.environ["OFFBENCH_WORKERS"] = "1"

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
