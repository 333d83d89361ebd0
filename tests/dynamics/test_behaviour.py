"""The cloned behaviour: its loss, its moving average, and that it acts in all the ways in which the data's did."""

import numpy as np
import pytest
import torch

from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.dynamics.behaviour import BehaviourConfig, average_decay, fit_behaviour
from offbench.dynamics.worlds import Moment
from offbench.errors import OffbenchError

SMALL = BehaviourConfig(diffusion_steps=5, width=16, blocks=1, updates=30, batch_size=16, learning_rate=1e-2)


def two_ways(scale: float = 1.0) -> Transitions:
    """States above 0 are left by either of two actions, those below by one; the second number never changes."""
    rng = np.random.default_rng(0)
    states = np.stack([rng.normal(size=401), np.full(401, 3.0)], 1).astype(np.float32)
    side = np.where(states[:400, 0] > 0, rng.choice([-0.8, 0.8], 400), 0.4)
    data = Trajectories(
        observations=states,
        offsets=np.array([0, 400]),
        terminations=np.zeros(400, bool),
        truncations=np.arange(400) == 399,
        actions=(side + rng.normal(scale=0.02, size=400)).astype(np.float32)[:, None],
        rewards=np.full(400, scale, np.float32),
        action_range=(-np.ones(1, np.float32), np.ones(1, np.float32)),
    )
    return Transitions(data, dtype=torch.float64)


def test_the_loss_is_its_equation_in_numpy() -> None:
    made = fit_behaviour(two_ways(), SMALL, [0, 5])
    rng = np.random.default_rng(1)
    s, a, noise = rng.normal(size=(2, 6, 2)), rng.normal(size=(2, 6, 1)), rng.normal(size=(2, 6, 1))
    k = rng.integers(5, size=(2, 6))
    found = made.losses(made.parameters, *map(torch.from_numpy, (s, a, k, noise)))
    kept = made.diffusion.kept.numpy()[k][..., None]
    noised = torch.from_numpy(np.sqrt(kept) * a + np.sqrt(1 - kept) * noise)
    states = torch.from_numpy((s - made.mean.numpy()) / made.std.numpy())
    predicted = made.network.at(made.parameters, noised, states, torch.from_numpy(k)).numpy()
    np.testing.assert_allclose(found, ((predicted - noise) ** 2).mean((1, 2)), rtol=1e-12)
    states = two_ways().observations[:-1].double().numpy()
    np.testing.assert_allclose(made.mean, states.mean(0))
    np.testing.assert_allclose(made.std, [states[:, 0].std(), 1.0])  # of what never changes


def test_the_average_keeps_more_and_more_of_itself() -> None:
    assert average_decay(0) == 0
    assert average_decay(1) == pytest.approx(1 - 2**-0.75)
    assert average_decay(10**9) == 0.9999


def test_it_acts_in_both_ways_where_the_data_did() -> None:
    config = BehaviourConfig(diffusion_steps=10, width=32, blocks=1, updates=300, batch_size=64, learning_rate=2e-2)
    made = fit_behaviour(two_ways(), config, [0])
    states = torch.tensor([[1.0, 3.0], [-1.0, 3.0]], dtype=torch.float64).repeat_interleave(500, 0).unsqueeze(0)
    with torch.no_grad():
        acted = made.act(states, Moment(torch.tensor([0]), torch.tensor(0), "test"))[0, :, 0]
    above, below = acted[:500], acted[500:]
    assert 0.25 < float((above > 0).double().mean()) < 0.75
    assert float((above.abs() - 0.8).abs().median()) < 0.1
    assert float((below - 0.4).abs().median()) < 0.1


def test_seeds_together_are_those_alone() -> None:
    lines: list[str] = []
    both, alone = fit_behaviour(two_ways(), SMALL, [0, 5], lines.append), fit_behaviour(two_ways(), SMALL, [5])
    for name, value in alone.parameters.items():
        torch.testing.assert_close(value[0], both.parameters[name][1], rtol=1e-9, atol=1e-12)
    states = torch.randn(1, 7, 2, dtype=torch.float64).expand(2, -1, -1)
    moment = Moment(torch.tensor([0, 5]), torch.tensor(3), "test")
    with torch.no_grad():
        acted = both.act(states, moment)
        torch.testing.assert_close(acted[1:], alone.act(states[1:], moment._replace(keys=torch.tensor([5]))))
        assert torch.equal(acted, both.act(states, moment))
        assert not torch.equal(acted, both.act(states, moment._replace(name="other")))
    assert lines[-1].startswith("behaviour: 30 of 30 updates, loss ")


def test_a_loss_that_is_not_finite_is_refused() -> None:
    data = two_ways()
    data.observations.fill_(torch.nan)
    with pytest.raises(OffbenchError, match="behaviour policy's loss is not finite; give a smaller"):
        fit_behaviour(data, SMALL, [0])
