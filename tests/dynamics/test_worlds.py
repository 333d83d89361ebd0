"""Steps in an ensemble: who predicts which row, and that nothing else depends on who is asked."""

from dataclasses import replace

import pytest
import torch

from offbench.dynamics.fitting import DynamicsConfig
from offbench.dynamics.network import Prediction
from offbench.dynamics.terminations import never
from offbench.dynamics.worlds import Learned, Moment

CONFIG = DynamicsConfig(members=4, elites=3, hidden=(8, 8))


def given(rows: int):
    network = CONFIG.network(2, 1)
    parameters = network.initialise([0, 1], "dynamics")
    generator = torch.Generator().manual_seed(0)
    s = torch.randn(2, rows, 2, dtype=torch.float64, generator=generator)
    a = torch.randn(2, rows, 1, dtype=torch.float64, generator=generator)
    return network, parameters, s, a, Moment(torch.tensor([5, 6]), torch.tensor(7), "x")


@pytest.mark.parametrize("rows", [1, 3, 10, 12])
def test_a_row_is_drawn_from_its_elite_whether_all_are_asked_or_it_alone(rows, monkeypatch) -> None:
    monkeypatch.setattr("offbench.dynamics.worlds.CHUNK", 2)
    network, parameters, s, a, moment = given(rows)
    all_asked = Learned(network, parameters, 3, never).step(s, a, moment)
    one_asked = Learned(network, parameters, 3, never, everyone=False).step(s, a, moment)
    torch.testing.assert_close(one_asked.observations, all_asked.observations)
    torch.testing.assert_close(one_asked.rewards, all_asked.rewards)
    assert one_asked.prediction is None
    assert all_asked.prediction.means.shape == (2, 4, rows, 3)


def test_elites_have_equal_shares_of_the_rows_and_no_other_member_has_any() -> None:
    network, parameters, s, a, moment = given(300)

    class Numbered(type(network)):
        def predicted(self, parameters, pairs):
            members = torch.arange(pairs.shape[1], dtype=pairs.dtype).view(1, -1, 1, 1)
            means = members.expand(*pairs.shape[:3], 3)
            return Prediction(means, torch.zeros_like(means))

    numbered = replace(network)
    object.__setattr__(numbered, "__class__", Numbered)
    for everyone in (True, False):
        world = Learned(numbered, parameters, 3, never, everyone=everyone)
        first = world.step(s, a, moment).rewards
        assert [int((first[0] == member).sum()) for member in range(4)] == [100, 100, 100, 0]
        assert not torch.equal(first, world.step(s, a, moment._replace(name="y")).rewards)
