import os
from pathlib import Path

import pytest
import torch

# The matrices of the tests are small: a second thread costs more in waiting than it wins.
torch.set_num_threads(1)
# A run that starts workers says so by workers=; the others stay in the process that looks at them.
os.environ["OFFBENCH_WORKERS"] = "1"


@pytest.fixture
def shared() -> Path:
    """The folder with real data and reference traces that lies beside a checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the folder of real data {folder}, which is absent")
    return folder
