"""Critics as functions of the state."""

import numpy as np
import pytest
import torch

import offbench
from offbench.algorithms.base import Sizes
from offbench.algorithms.bc import BC, BCConfig
from offbench.algorithms.iql import IQL, IQLConfig
from offbench.algorithms.values import critic_values
from offbench.data.scaling import Scaling
from offbench.data.transitions import Transitions
from offbench.dynamics.fitting import DynamicsConfig, fit
from offbench.dynamics.value_aware import value_gradients
from offbench.errors import OffbenchError
from offbench.training.finished import Run

SCALING = Scaling(np.array([1.0, -2.0]), np.array([2.0, 0.5]), -np.ones(1), np.ones(1))
RANGE = (np.full(1, -2, np.float32), np.full(1, 2, np.float32))


def test_they_are_those_of_critics_and_targets_at_the_policys_actions() -> None:
    iql = IQL(IQLConfig(hidden=(8,)), Sizes(2, 1), [3, 4], 10, dtype=torch.float64)
    for value in iql.networks["target_critic"].values():
        value.mul_(1.5)
    states = torch.randn(6, 2, generator=torch.Generator().manual_seed(0)).double()
    found = critic_values(iql, SCALING)(states)
    scaled = ((states - torch.tensor([1.0, -2.0])) / torch.tensor([2.0, 0.5])).expand(2, -1, -1)
    pairs = torch.cat([scaled, iql.act(scaled)], -1)
    expected = [iql.critic(iql.networks[name], pairs)[0, :, :, 0] for name in ("critic", "target_critic")]
    torch.testing.assert_close(found, torch.cat(expected))
    assert found.shape == (4, 6)


def test_the_critics_of_a_finished_run_weight_a_model(pendulum_file, tmp_path) -> None:
    settings = {"steps": 20, "hidden": (8,), "episodes": 1, "quiet": True, "compile": "never"}
    offbench.train("iql", pendulum_file, output=tmp_path / "iql", **settings)
    policy, view = Run(tmp_path / "iql").policy(0), Transitions(offbench.load(pendulum_file), action_range=RANGE)
    gradients = value_gradients(critic_values(policy.algorithms[0], policy.scaling), view)
    assert gradients.shape == (len(view), 4, 3)
    config = DynamicsConfig(members=2, elites=1, hidden=(8,), probabilistic=False, loss="value_gradient", most_epochs=2)
    assert bool(fit(view, config, [0], gradients=gradients).errors.isfinite().all())


def test_an_algorithm_without_critics_is_refused() -> None:
    bc = BC(BCConfig(hidden=(8,)), Sizes(2, 1), [0], 10)
    with pytest.raises(OffbenchError, match="BC has no critic"):
        critic_values(bc, SCALING)
