import pytest

from offbench.conformance import toys
from offbench.data.trajectories import Trajectories


@pytest.fixture
def toy() -> Trajectories:
    """Twenty episodes of 15 steps, of which half are terminated and half truncated."""
    return toys.toy()
