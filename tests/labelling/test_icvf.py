"""Values of intentions: what is drawn, what the loss is zero of, and what is learned on a chain."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, OffbenchError
from offbench.labelling.icvf import ICVF, Goals, Sampler, losses
from offbench.labelling.icvf_fitting import ICVFConfig, _Fitting, fit

STATES, DISCOUNT = 6, 0.9
SMALL = ICVFConfig(hidden=(32, 32), discount=DISCOUNT, polyak=0.05, learning_rate=3e-3, batch_size=128, updates=20)


def chain(episodes: int = 4) -> Trajectories:
    """Episodes that go from state 0 to state 5, one after the other; observations are unit vectors."""
    steps = (STATES - 1) * episodes
    ends = np.arange(1, steps + 1) % (STATES - 1) == 0
    observations = np.tile(np.eye(STATES, dtype=np.float32), (episodes, 1))
    return Trajectories(observations, np.arange(0, steps + 1, STATES - 1), np.zeros(steps, dtype=bool), ends)


def exact() -> torch.Tensor:
    """V(s_i, s_j, s_j) of the chain: -(1 - gamma^(j - i)) / (1 - gamma), never reached where j < i."""
    i, j = torch.meshgrid(torch.arange(STATES), torch.arange(STATES), indexing="ij")
    ahead = -(1 - DISCOUNT ** (j - i).clamp(min=0).double()) / (1 - DISCOUNT)
    return torch.where(j >= i, ahead, -1 / (1 - DISCOUNT))


class Table(ICVF):
    """Values by the numbers of state and outcome."""

    def value(self, parameters, states, outcomes, intents):
        return parameters["table"][0, states.argmax(-1), outcomes.argmax(-1)].unsqueeze(1)


def every_case() -> Goals:
    cases = np.indices((STATES - 1,) * 3).reshape(3, 1, -1)
    return Goals(*torch.from_numpy(cases))


def test_the_loss_of_the_exact_values_of_a_chain_is_zero() -> None:
    states, table = torch.eye(STATES, dtype=torch.float64), {"table": exact()[None]}
    # The last state is never acted from, and what can follow it is not learned.
    goals = every_case()
    found = losses(Table(STATES), table, table, states, goals, DISCOUNT, 0.9)
    torch.testing.assert_close(found, torch.zeros(1, 1, dtype=torch.float64), atol=1e-12, rtol=0)
    wrong = {"table": table["table"] + 0.1}
    assert float(losses(Table(STATES), wrong, table, states, goals, DISCOUNT, 0.9)) > 1e-3


def test_errors_weigh_by_whether_the_step_served_the_intention() -> None:
    states, exactly = torch.eye(STATES, dtype=torch.float64), exact()[None]
    goals = Goals(*(torch.tensor([[row]]) for row in (1, 2, 3)))
    off = {"table": exactly + 1.0}  # delta is -1
    for advantage, weight in ((-0.5, 0.1), (0.5, 0.9)):
        target = {"table": exactly.clone()}
        target["table"][0, 1, 3] -= advantage  # V'(s, z, z)
        found = losses(Table(STATES), off, target, states, goals, DISCOUNT, 0.9)
        torch.testing.assert_close(found, torch.full((1, 1), weight, dtype=torch.float64))


def test_a_state_that_is_its_own_outcome_is_worth_nothing_and_does_not_bootstrap() -> None:
    states, target = torch.eye(STATES, dtype=torch.float64), {"table": torch.full((1, STATES, STATES), -50.0).double()}
    goals = Goals(*(torch.tensor([[row]]) for row in (2, 2, 2)))
    zero = {"table": torch.zeros(1, STATES, STATES).double()}
    assert float(losses(Table(STATES), zero, target, states, goals, DISCOUNT, 0.9)) == 0


@pytest.mark.slow
def test_values_of_a_chain_are_learned() -> None:
    data = chain()
    made = fit(data, torch.tensor(np.array(data.observations)), replace(SMALL, updates=1200), [0])
    network, unit = SMALL.network(STATES), torch.eye(STATES)
    i, j = np.triu_indices(STATES - 1)
    value = network.value(made.parameters, unit[i][None], unit[j][None], unit[j][None]).mean(1)[0]
    torch.testing.assert_close(value, exact()[i, j].float(), atol=0.5, rtol=0)


def test_without_intentions_they_count_for_nothing() -> None:
    states = [torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(i)).double() for i in range(4)]
    for intents in (True, False):
        network = ICVF(observation=3, hidden=(8, 8), intents=intents)
        parameters = network.initialise([0], "test")
        one, other = (network.value(parameters, *states[:2], intent) for intent in states[2:])
        assert torch.equal(one, other) is not intents
        assert one.shape == (1, 2, 4)


def test_the_value_is_a_product_of_features_of_rank_d() -> None:
    network = ICVF(observation=3, hidden=(8, 4), members=1, intents=False)
    parameters = network.initialise([0], "test")
    parameters |= {
        name: 0 * value for name, value in parameters.items() if name.startswith("matrix") and "bias" in name
    }
    states = torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(0)).double()
    pairs = torch.cartesian_prod(torch.arange(20), torch.arange(20))
    value = network.value(parameters, states[:, pairs[:, 0]], states[:, pairs[:, 1]], states[:, pairs[:, 0]])
    assert int(torch.linalg.matrix_rank(value.view(20, 20), rtol=1e-9)) <= 4
    assert network.phi(parameters, states).shape == (1, 20, 4)


def test_goals_are_drawn_in_the_shares_of_the_source() -> None:
    lengths = np.full(50, 40)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    data = Trajectories(np.zeros((2050, 1), np.float32), offsets, *np.zeros((2, 2000), dtype=bool))
    now, outcome, intent = Sampler(data).draw(np.random.default_rng(0), (200_000,))
    assert set(now.tolist()) == set((np.arange(2000) + np.repeat(np.arange(50), 40)).tolist())
    # The present state is drawn outright, as what lies ahead within a rounding, or at random of all 2000.
    same, here = intent // 41 == now // 41, intent == now
    ahead = np.mean([0.5 / left if (left := 39 - step) else 1.0 for step in range(40)])
    assert here.mean() == pytest.approx(0.2 + 0.5 * ahead + 0.3 / 2000, abs=0.005)
    assert same.mean() == pytest.approx(0.7 + 0.3 / 50, abs=0.005)
    assert (intent[same & (intent > now)] % 41).max() == 39  # the last state that is acted from
    assert (outcome == intent).mean() > 0.5
    apart = outcome != intent
    assert (outcome[apart] // 41 == now[apart] // 41).mean() == pytest.approx(0.7, abs=0.05)


def test_what_lies_ahead_is_uniform_up_to_the_end() -> None:
    data = Trajectories(np.zeros((11, 1), np.float32), np.array([0, 10]), *np.zeros((2, 10), dtype=bool))
    sampler = Sampler(data)
    now = np.zeros(100_000, dtype=np.int64)
    goal = sampler._goal(np.random.default_rng(0), now, np.full_like(now, 9))
    counts = np.bincount(goal, minlength=10) / len(now)
    np.testing.assert_allclose(counts[1:9], 0.5 / 9 + 0.03, atol=0.004)
    assert counts[9] == pytest.approx(0.25 / 9 + 0.03, abs=0.004)  # rounding gives the ends half


def test_steps_without_a_recorded_next_observation_are_no_present() -> None:
    data = replace(chain(2), final_observations=np.array([False, True]))
    now, outcome, intent = Sampler(data).draw(np.random.default_rng(0), (1000,))
    assert set(now.tolist()) == {0, 1, 2, 3, 6, 7, 8, 9, 10}
    assert set(outcome.tolist()) | set(intent.tolist()) <= set(now.tolist())
    nothing = Trajectories(
        np.zeros((2, 1), np.float32), np.array([0, 1]), *np.zeros((2, 1), dtype=bool),
        final_observations=np.array([False]),
    )  # fmt: skip
    with pytest.raises(DataError, match="no step whose next observation was recorded"):
        Sampler(nothing)


def test_a_seed_is_the_same_alone_and_beside_others() -> None:
    data = chain()
    states = torch.tensor(np.array(data.observations)).double()
    together = fit(data, states, SMALL, [3, 5])
    alone = fit(data, states, SMALL, [5])
    for name, value in alone.parameters.items():
        torch.testing.assert_close(together.parameters[name][1:], value, rtol=0, atol=1e-9)
    torch.testing.assert_close(together.losses[1:], alone.losses)


def test_targets_take_up_the_parameters_before_the_step() -> None:
    states = torch.eye(STATES).double()
    fitting = _Fitting(states, SMALL, [0])
    fitting.target = {name: value + 1 for name, value in fitting.parameters.items()}
    before = {name: value.clone() for name, value in fitting.trained.items()}
    fitting.descend(torch.zeros(3, 1, 4, dtype=torch.int64))
    for name, value in before.items():
        torch.testing.assert_close(fitting.target[name], value + 0.95)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"updates": -1}, "at least 0 updates"),
        ({"hidden": ()}, "at least one layer"),
        ({"discount": 1.0}, "discount of intention values must lie between 0 and 1, not 1.0"),
        ({"expectile": 0.0}, "expectile of intention values"),
    ],
)
def test_hyperparameters_that_cannot_be(changes, words) -> None:
    with pytest.raises(OffbenchError, match=words):
        replace(SMALL, **changes)
