import pytest
import torch

from offbench.algorithms.base import Sizes
from offbench.algorithms.bc import BC, BCConfig
from offbench.algorithms.iql import IQL, IQLConfig
from offbench.errors import OffbenchError
from offbench.training import compilation
from offbench.training.compilation import group_size, update_step

CPU = torch.device("cpu")


def test_without_a_compiler_training_is_eager_and_says_so_when_insisted(monkeypatch):
    monkeypatch.setattr(compilation, "compiler", lambda: None)
    assert update_step(BC, "auto", CPU, 10**9) == (BC.step, False)
    with pytest.raises(OffbenchError, match=r"there is no C\+\+ compiler; install g\+\+"):
        update_step(BC, "always", CPU)


def test_auto_compiles_long_runs_only(monkeypatch):
    monkeypatch.setattr(compilation, "compiler", lambda: "/usr/bin/g++")
    assert update_step(BC, "auto", CPU, 100)[1] is False
    assert update_step(BC, "auto", CPU, 10**6)[1] is True
    assert update_step(BC, "never", CPU, 10**6)[1] is False


@pytest.mark.parametrize(("seeds", "expected"), [(1, 1), (5, 5), (7, 7), (8, 4)])
def test_small_networks_are_grouped_in_equal_parts(seeds, expected):
    one = BC(BCConfig(), Sizes(11, 3), [0], 1)  # 0.8 MB a seed
    assert group_size(one, seeds, compiled=True) == expected
    assert group_size(one, seeds, compiled=False) == seeds


def test_large_networks_are_updated_seed_by_seed():
    one = IQL(IQLConfig(), Sizes(11, 3), [0], 1)  # 4 MB a seed
    assert group_size(one, 8, compiled=True) == 1
