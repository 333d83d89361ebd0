from pathlib import Path

import pytest
import shape_checks
import torch

# The matrices of the tests are small: a second thread costs more in waiting than it wins.
torch.set_num_threads(1)

shape_checks.install()


@pytest.fixture
def shared() -> Path:
    """The folder with real data and reference traces that lies beside a checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the folder of real data {folder}, which is absent")
    return folder
