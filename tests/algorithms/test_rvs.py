import pytest
import torch

from offbench.algorithms import registry
from offbench.algorithms.base import Sizes
from offbench.algorithms.rvs import RvS, RvSConfig
from offbench.data.sequences import SequenceBatch
from offbench.errors import OffbenchError

SIZES = Sizes(observation=3, action=2)
GIVEN = {"evaluation_target": 40.0, "return_scale": 10.0, "episode_limit": 20, "hidden": (16, 16)}


def make(seeds=(0,), **changes) -> RvS:
    return RvS(RvSConfig(**GIVEN | changes), SIZES, seeds, 100, dtype=torch.float64)


def steps(seeds=1, batch=6) -> SequenceBatch:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(seeds, batch, 1, *shape, generator=generator, dtype=torch.float64)

    timesteps = torch.randint(0, 20, (seeds, batch, 1), generator=generator)
    return SequenceBatch(normal(3), normal(2), normal(), normal(), timesteps, torch.ones(seeds, batch, 1))


def test_the_condition_is_the_average_over_the_rest_of_the_limit_or_the_sum():
    to_go, timesteps = torch.tensor([[4.0, 4.0, 0.5]]), torch.tensor([[0, 10, 19]])
    # Scaled by 10, so 40 in 20 steps, 40 in 10 and 5 in 1.
    torch.testing.assert_close(make().conditions(to_go, timesteps), torch.tensor([[2.0, 4.0, 5.0]]))
    assert torch.equal(make(condition="sum").conditions(to_go, timesteps), to_go)


@pytest.mark.parametrize("condition", ["average", "sum"])
def test_losses_equal_the_equations_written_out(condition):
    for actor in ("gaussian", "deterministic"):
        algorithm, batch = make(actor=actor, condition=condition), steps()
        s, a, g, t = batch.observations[0, :, 0], batch.actions[0, :, 0], batch.returns_to_go[0, :, 0], batch.timesteps
        w = g * 10 / (20 - t[0, :, 0]) if condition == "average" else g
        mean = algorithm.network(algorithm.networks["actor"], torch.cat([s, w[:, None]], -1)[None])[0]
        loss = algorithm.losses(algorithm.networks, batch)["actor_loss"][0]
        if actor == "gaussian":
            expected = -torch.distributions.Normal(mean, 1.0).log_prob(a).sum(-1).mean()
        else:
            expected = ((mean - a) ** 2).mean()
        torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("condition", ["average", "sum"])
def test_an_average_stays_as_asked_and_a_sum_is_lowered_by_rewards(condition):
    algorithm = make(condition=condition)
    states = torch.randn(1, 2, 3, dtype=torch.float64)
    asked = algorithm.acting()
    asked.reset(torch.ones(1, 2, dtype=torch.bool))
    first = asked.act(states)
    start = 2.0 if condition == "average" else 4.0
    torch.testing.assert_close(first, algorithm.choose(states, torch.full((1, 2), start, dtype=torch.float64)))
    asked.observe(torch.tensor([[5.0, 0.0]], dtype=torch.float64))
    then = [2.0, 2.0] if condition == "average" else [3.5, 4.0]
    torch.testing.assert_close(asked.act(states), algorithm.choose(states, torch.tensor([then], dtype=torch.float64)))
    asked.reset(torch.tensor([[True, False]]))
    torch.testing.assert_close(asked.act(states), first)


def test_actions_stay_within_their_bounds():
    algorithm = make()
    actions = algorithm.act(torch.full((1, 3, 3), 1e4, dtype=torch.float64))
    assert float(actions.abs().max()) == 1.0


def test_acting_before_a_reset_is_refused():
    with pytest.raises(OffbenchError, match=r"call reset\(mask\) first"):
        make().acting().act(torch.zeros(1, 2, 3, dtype=torch.float64))


def test_presets_and_limits_of_hyperparameters():
    assert registry.configure(RvS, "d4rl/hopper-medium-v2", {}).batch_size == 16384
    assert registry.configure(RvS, "d4rl/pen-human-v1", {}).hidden == (1024, 1024)
    with pytest.raises(OffbenchError, match=r"dropout must lie in \[0, 1\), not 1.0"):
        make(dropout=1.0)
    with pytest.raises(OffbenchError, match="RvS needs evaluation_target, return_scale and episode_limit"):
        RvS(RvSConfig(), SIZES, [0], 1)
