"""The simulators as a world: bit for bit those that score policies, and mixtures between two."""

import numpy as np
import pytest
import torch
from test_dynamics_fitting import SMALL, view

from offbench.data.scaling import Scaling
from offbench.dynamics.fitting import fit
from offbench.dynamics.quality import LEVELS, errors_by_step, quality
from offbench.dynamics.terminations import hopper, never
from offbench.dynamics.truth import Mixed, Simulated
from offbench.dynamics.worlds import Learned, Moment, Outcome
from offbench.environments.simulator import make_simulator
from offbench.environments.task import task


def scaling(name: str) -> Scaling:
    simulator = make_simulator(task(name), 1)
    low, high, size = simulator.action_low, simulator.action_high, simulator.observation_size
    simulator.close()
    return Scaling(np.zeros(size), np.ones(size), low, high)


@pytest.mark.parametrize("name", ["hopper-v4", "halfcheetah-v4", "walker2d-v4", "pendulum"])
def test_an_episode_is_played_as_the_simulator_plays_it(name) -> None:
    """To rounding; what a step is begun with beside the state, the solver's warm start, no observation holds."""
    known, unit = task(name), scaling(name)
    simulator = make_simulator(known, 6)
    current = torch.from_numpy(np.asarray(simulator.reset(range(6)), np.float64)).view(2, 3, -1)
    world, rng = Simulated(known, unit), np.random.default_rng(0)
    whole = np.ones(6, dtype=bool)  # of which environments the observations have held the state so far
    for number in range(5):
        actions = torch.from_numpy(rng.uniform(-0.1, 0.1, (2, 3, len(unit.low))))
        outcome = world.step(current, actions, Moment(torch.tensor([0, 1]), torch.tensor(number), "x"))
        truth = simulator.step(unit.to_environment(actions.flatten(0, 1).numpy()))
        if known.environment.startswith(("Hopper", "Walker2d")):  # velocities are shown up to 10
            whole &= (np.abs(current.flatten(0, 1).numpy()) < 10).all(1)
        assert whole.sum() >= (6 if number == 0 else 1)
        far = np.abs(outcome.observations.flatten(0, 1).numpy() - truth.observations)[whole].max()
        # The pendulum's observation is float32; contacts make small differences grow.
        near = 1e-5 if number or name == "pendulum" else 1e-12
        assert far < near, (number, far)
        assert outcome.rewards.flatten().numpy()[whole] == pytest.approx(truth.rewards[whole], rel=near, abs=near)
        assert np.array_equal(outcome.terminations.flatten().numpy()[whole], truth.terminations[whole])
        current = outcome.observations
    world.close()
    simulator.close()


class Constant:
    """Everything is one value."""

    def __init__(self, value: float) -> None:
        self.value = value

    def step(self, observations, actions, moment):
        state = torch.full_like(observations, self.value)
        return Outcome(state, state[..., 0], torch.zeros_like(state[..., 0], dtype=torch.bool))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_mixture_lies_between_its_worlds_and_ends_by_the_rule(share) -> None:
    mixed = Mixed(Constant(1.0), Constant(0.5), share, hopper)
    outcome = mixed.step(torch.zeros(1, 4, 11), torch.zeros(1, 4, 3), Moment(torch.tensor([0]), torch.tensor(0), "x"))
    value = 1 - share / 2
    torch.testing.assert_close(outcome.observations, torch.full((1, 4, 11), value))
    torch.testing.assert_close(outcome.rewards, torch.full((1, 4), value))
    assert outcome.terminations.all()  # an angle of 0.5 or more


def test_quality_of_a_linear_system() -> None:
    config = SMALL.__class__(members=3, elites=2, hidden=(32, 32), batch_size=64, most_epochs=40)
    data = view(steps=3000)
    made = fit(data, config, [0, 1])
    for one in quality(data, config, made, [0, 1]):
        assert one.errors.shape == one.spreads.shape == (3,)
        assert (one.errors / one.spreads < 0.6).all()
        assert one.errors == pytest.approx(0.05, rel=0.3)
        assert np.abs(one.covered - LEVELS).max() < 0.12


def test_errors_grow_with_the_steps_and_the_truth_has_none() -> None:
    config = SMALL
    data = view(steps=900)
    learned = Learned(config.network(2, 1), fit(data, config, [0, 1]).parameters, 2, never)
    far = errors_by_step(data, learned, Constant(0.0), [0, 1], rows=50, steps=4)
    assert far.shape == (4, 2)
    assert (far > 0).all()
    assert not errors_by_step(data, Constant(0.0), Constant(0.0), [0, 1], rows=50, steps=4).any()
