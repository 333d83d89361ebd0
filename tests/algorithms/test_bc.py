from dataclasses import replace

import numpy as np
import pytest
import torch
from batches import batch, make

from offbench.algorithms.bc import BC
from offbench.errors import DataError, OffbenchError
from offbench.training.views import make_view


def test_the_loss_is_the_mean_squared_error():
    algorithm = make(BC)
    b = batch(algorithm)
    expected = ((algorithm.act(b.observations) - b.actions) ** 2).sum() / (32 * 2)
    torch.testing.assert_close(algorithm.losses(algorithm.networks, b)["actor_loss"][0], expected)


def test_a_top_fraction_keeps_whole_episodes_of_highest_undiscounted_return(toy):
    view = make_view(BC, BC.Config(top_fraction=0.25, normalise_states=False), toy)
    best = np.sort(np.argsort(-toy.returns)[:5])  # of 20
    b = view.batch(torch.arange(len(view))[None])
    expected = np.concatenate([toy[int(episode)].actions for episode in best])
    np.testing.assert_array_equal(b.actions[0].numpy(), expected)
    assert view.transforms[0] == {
        "name": "best_episodes",
        "fraction": 0.25,
        "episodes": 5,
        "lowest_return": toy.returns[best].min(),
    }


def test_states_are_standardised_over_the_episodes_that_are_kept(toy):
    view = make_view(BC, BC.Config(top_fraction=0.1), toy)
    states = view.batch(torch.arange(len(view))[None]).observations[0]
    assert len(view) == 30
    torch.testing.assert_close(states.mean(0), torch.zeros(3), atol=1e-5, rtol=0)


def test_all_episodes_need_no_rewards_and_the_best_do(toy):
    unlabelled = replace(toy, rewards=None)
    view = make_view(BC, BC.Config(), unlabelled)
    assert len(view) == 300
    assert "best_episodes" not in [step["name"] for step in view.transforms]
    with pytest.raises(DataError, match="has no rewards"):
        make_view(BC, BC.Config(top_fraction=0.5), unlabelled)


def test_hyperparameters_without_meaning_are_refused():
    with pytest.raises(OffbenchError, match=r"top_fraction must lie in \(0, 1\], not 0"):
        BC.Config(top_fraction=0.0)
    with pytest.raises(OffbenchError, match=r"learning_rate must lie in \(0, 1\], not 2"):
        BC.Config(learning_rate=2.0)
