"""Completed data: a learner given true labels makes the numbers that it makes without a model."""

from functools import partial

import numpy as np
import pytest
import torch

from offbench.algorithms import registry
from offbench.algorithms.base import Sizes
from offbench.algorithms.filled import GIVEN, Filled, FilledConfig, learner_view, with_learner
from offbench.conformance.subject import difference
from offbench.conformance.toys import ACTION, OBSERVATION, toy
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, OffbenchError, UnknownNameError
from offbench.training.group import Group
from offbench.training.views import completed, make_view

SEEDS = [3, 5]
SMALL = {"bc": "bc,hidden=[8]", "td3_bc": "td3_bc,hidden=[8]", "rebrac": "rebrac,hidden=[8]", "dt": "dt,embedding=8"}


def hidden(data: Trajectories, episodes: int = 10) -> Trajectories:
    """The data with zeros for the actions of all but the first episodes."""
    from dataclasses import replace

    given = np.arange(data.steps) < data.offsets[episodes]
    assert data.actions is not None
    actions = np.where(given[:, None], data.actions, 0).astype(np.float32)
    return replace(data, actions=actions, extras={GIVEN: given})


class TrueActions(Filled):
    """Labels are the true actions, which it was told."""

    Config = FilledConfig
    fills = "actions"
    view = partial(learner_view, fills="actions")

    def build_model(self):
        pass

    def labels(self, data):
        true = torch.from_numpy(np.array(toy().actions)).to(self.dtype)
        return true.expand(len(self.seeds), -1, -1)


class TrueRewards(TrueActions):
    """Labels are the true rewards."""

    fills = "rewards"
    view = partial(learner_view, fills="rewards")

    def labels(self, data):
        true = torch.from_numpy(np.array(toy().rewards)).to(self.dtype)
        return true.expand(len(self.seeds), -1).unsqueeze(-1)


def trained(found, config, data, updates=6):
    config = completed(config, data, None)
    view = make_view(found, config, data, dtype=torch.float64)
    group = Group(found(config, Sizes(OBSERVATION, ACTION), SEEDS, 1000, dtype=torch.float64), view, found.step)
    group.advance(0, updates)
    return group.algorithm


@pytest.mark.parametrize("name", SMALL)
def test_true_actions_make_the_learner_of_all_the_data(name):
    text = SMALL[name]
    made = trained(TrueActions, FilledConfig(text, batch_size=16), hidden(toy()))
    changes = dict(vars(made.learner.config))
    found = registry.algorithm(name)
    plain = trained(found, found.Config(**changes), toy())
    assert difference(made.learner.state(), plain.state()) == 0


def test_true_rewards_make_the_learner_of_all_the_data():
    from dataclasses import replace

    bare = replace(toy(), rewards=None)
    made = trained(TrueRewards, FilledConfig("iql,hidden=[8]", batch_size=16), bare)
    plain = trained(registry.algorithm("iql"), made.learner.config, toy())
    assert difference(made.learner.state(), plain.state()) == 0


def test_state_names_the_learners_tensors_once():
    made = trained(TrueActions, FilledConfig(SMALL["td3_bc"], batch_size=16), hidden(toy()), 2)
    assert made.period == 2
    assert set(made.latest) == {"critic_loss", "actor_loss"}
    names = set(made.state())
    assert {"count", "metrics/actor_loss", "learner/networks/actor/layer0.weight"} <= names
    assert not {"learner/count", "learner/metrics/actor_loss"} & names


def test_a_learner_is_written_out_with_its_preset():
    config = with_learner(FilledConfig("iql"), "d4rl/antmaze-umaze-v2", lambda one: one)
    assert config.batch_size == 256
    assert "expectile=0.9" in config.learner
    again = with_learner(config, "", lambda one: one)
    assert again == config


@pytest.mark.parametrize(
    ("learner", "error", "words"),
    [
        ("td3", UnknownNameError, "td3_bc"),
        ("td3_bc,alfa=1", UnknownNameError, "alpha"),
        ("mopo", OffbenchError, "fits a model"),
        ("ss:Other", OffbenchError, "no module|cannot be imported|one of offbench's"),
    ],
)
def test_learners_that_cannot_be(learner, error, words):
    with pytest.raises(error, match=words):
        with_learner(FilledConfig(learner), "", lambda one: one)


@pytest.mark.parametrize(
    ("found", "learner", "words"),
    [(TrueActions, "bc,top_fraction=0.5", "leaves episodes out"), (TrueRewards, "dt", "sees Sequences|needs")],
)
def test_views_that_cannot_be_completed(found, learner, words):
    config = completed(FilledConfig(learner), hidden(toy()), None)
    with pytest.raises(DataError, match=words):
        make_view(found, config, hidden(toy()))
