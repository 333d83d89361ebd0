"""Fitted Q evaluation against values that are known."""

import numpy as np
import pytest
import torch

from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.errors import OffbenchError
from offbench.selection.fqe import FQEConfig, fit

QUICK = FQEConfig(hidden=(16, 16), discount=0.9, updates=600, learning_rate=5e-3, batch_size=64, polyak=0.1)


def chain(episodes=40, length=4, terminated=True, rewards=None):
    """A walk through states 0 to ``length`` of random actions in [-1, 1], rewarded with 1 a step."""
    rng = np.random.default_rng(0)
    steps = episodes * length
    places = np.tile(np.arange(length + 1), episodes)
    ends = np.tile(np.arange(length) == length - 1, episodes)
    return Trajectories(
        np.eye(length + 1, dtype=np.float32)[places],
        np.arange(0, steps + 1, length),
        ends if terminated else np.zeros(steps, bool),
        np.zeros(steps, bool) if terminated else ends,
        rng.uniform(-1, 1, (steps, 1)).astype(np.float32),
        np.ones(steps, np.float32) if rewards is None else rewards,
    )


def values(view, policies, config=QUICK, **options):
    """Of constant policies at the first states of the data."""
    actions = torch.tensor(policies).view(-1, 1, 1)
    starts = view.batch(view.first_steps.unsqueeze(0)).observations[0]
    fitted = fit(view, actions.expand(-1, len(view), -1), config, **options)
    return fitted.at(starts, actions.expand(-1, len(starts), -1))


def test_a_chain_of_four_steps_is_worth_its_discounted_sum():
    found = values(Transitions(chain()), [0.0, 0.5])
    assert found == pytest.approx(np.full((2, 1), (1 - 0.9**4) / 0.1), rel=0.02)


def test_a_truncated_chain_bootstraps_beyond_its_end():
    # The last state of a truncation is followed by nothing in the data, so that its Q is what the network makes of it.
    assert (values(Transitions(chain(terminated=False)), [0.0]) > (1 - 0.9**4) / 0.1 + 0.5).all()


def bandit(view_actions):
    return (1 + view_actions[:, 0]).astype(np.float32)


def test_policies_are_told_apart_by_what_their_actions_earn():
    data = chain()
    data = chain(rewards=bandit(np.asarray(data.actions)))
    # The policy acts after the first step alone where a start's action counts too: all steps earn 1 + a.
    found = values(Transitions(data), [-0.8, 0.0, 0.8])[:, 0]
    assert found == pytest.approx((1 + np.array([-0.8, 0.0, 0.8])) * (1 - 0.9**4) / 0.1, abs=0.25)


def test_a_policy_has_the_value_that_it_has_beside_others():
    view, short = Transitions(chain(), dtype=torch.float64), FQEConfig(hidden=(16,), updates=30, members=3)
    rows = torch.linspace(-1, 1, 3, dtype=torch.float64).view(-1, 1, 1).expand(-1, len(view), -1)
    starts = view.batch(view.first_steps.unsqueeze(0)).observations[0]
    together = fit(view, rows, short).at(starts, rows[:, : len(starts)])
    for row in range(3):
        alone = fit(view, rows[row : row + 1], short).at(starts, rows[row : row + 1, : len(starts)])
        assert alone == pytest.approx(together[row : row + 1], rel=1e-9)
    assert np.ptp(together, axis=1).min() > 0  # members differ: other networks on other samples


def test_the_same_seed_gives_the_same_values_and_compiling_changes_rounding_alone():
    view, short = Transitions(chain()), FQEConfig(hidden=(16,), updates=20)
    first, again = (values(view, [0.3], short, seed=5) for _ in range(2))
    assert (first == again).all()
    assert (first != values(view, [0.3], short, seed=6)).all()


@pytest.mark.slow
def test_compiled_updates_give_the_same_values():
    view, short = Transitions(chain(), dtype=torch.float64), FQEConfig(hidden=(16,), updates=60)
    actions = torch.zeros(2, len(view), 1, dtype=torch.float64)
    starts = view.batch(view.first_steps.unsqueeze(0)).observations[0]
    told, made = (fit(view, actions, short, compile=how).at(starts, actions[:, :40]) for how in ("never", "always"))
    assert made == pytest.approx(told, rel=1e-9)


def test_actions_at_other_transitions_are_refused():
    view = Transitions(chain())
    with pytest.raises(OffbenchError, match="160 transitions"):
        fit(view, torch.zeros(1, 3, 1), QUICK)
