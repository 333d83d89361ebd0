"""Learned rewards in the place of the learner's: which ones, how they are scaled, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from offbench.algorithms.base import Sizes
from offbench.algorithms.reward_model import RewardModel, RewardModelConfig
from offbench.conformance.toys import ACTION, OBSERVATION, toy
from offbench.data.supervision import compare
from offbench.errors import DataError, OffbenchError
from offbench.labelling.reward_relabelling import RelabelConfig, relabel_rewards
from offbench.training.group import Group
from offbench.training.views import completed, make_view

DATA = compare(toy(), 60, 5)
OPTIONS = {"model_hidden": (8,), "model_updates": 20, "hold_out": 0.0, "model_learning_rate": 1e-2}


def made(seeds=(3, 5), learner="iql,hidden=[8]", **options):
    config = completed(RewardModelConfig(learner=learner, batch_size=16, **OPTIONS | options), DATA.trajectories, None)
    view = make_view(RewardModel, config, DATA)
    algorithm = RewardModel(config, Sizes(OBSERVATION, ACTION), seeds, 1000)
    said: list[str] = []
    algorithm.prepare(view, said.append)
    return Group(algorithm, view, RewardModel.step), said


def test_batches_have_the_rewards_of_each_seeds_own_models():
    group, said = made(members=2, aggregate="wco")
    algorithm = group.algorithm
    algorithm.before(0, group.data)
    indices = torch.arange(40).expand(2, -1)
    rewards = algorithm.batch(group.data, indices).rewards
    config = RelabelConfig(
        hidden=(8,), updates=20, hold_out=0.0, learning_rate=1e-2, members=2, aggregate="wco", return_span=15.0
    )
    for row, seed in enumerate((3, 5)):
        relabelled = relabel_rewards(DATA, config, seed)
        view = relabelled.transitions()
        torch.testing.assert_close(rewards[row], view.batch(indices[:1]).rewards[0], rtol=1e-5, atol=1e-5)
    assert (rewards[0] - rewards[1]).abs().max() > 0.01
    assert said[-1].endswith(
        "the least (WCO) of 2 standardised members, scaled so that returns span 15, plus 1/2 a step"
    )


def test_rewards_come_scaled_and_the_learners_transform_is_left_out():
    group, _ = made(learner="iql,hidden=[8],reward_transform=return_range")
    assert group.algorithm.learner.config.reward_transform == "none"
    assert "transform_rewards" not in [step["name"] for step in group.data.transforms]


def test_the_state_has_the_models():
    group, _ = made()
    names = set(group.algorithm.state())
    assert {
        "networks/reward/layer0.weight",
        "networks/reward/input.mean",
        "learner/networks/actor/layer0.weight",
    } <= names
    assert group.algorithm.state()["networks/reward/layer0.weight"].shape == (2, 1, OBSERVATION + ACTION, 8)


def test_antmaze_has_its_own_shift():
    from offbench.algorithms import registry

    assert registry.preset(RewardModel, "d4rl/antmaze-medium-play-v2").values == {"shift": "minus_one"}
    assert registry.preset(RewardModel, "d4rl/hopper-medium-replay-v2") is None


@pytest.mark.parametrize(
    "options", [{"model": "mlp"}, {"aggregate": "max"}, {"members": 0}, {"shift": "half"}], ids=str
)
def test_configs_that_cannot_be_are_told(options):
    with pytest.raises(OffbenchError, match=next(iter(options))):
        RewardModelConfig(**options)


def test_learners_that_see_returns_are_refused():
    with pytest.raises(DataError, match="no rewards, so its episodes have no returns"):
        made(learner="rvs")


def test_the_teachers_preferences_decide_what_is_learned():
    pairs = DATA.preferences
    turned = replace(DATA, preferences=replace(pairs, first=pairs.second, second=pairs.first))
    config = RelabelConfig(hidden=(8,), updates=60, hold_out=0.0, learning_rate=1e-2, shift="none")
    there, back = (relabel_rewards(data, config).rewards for data in (DATA, turned))
    assert np.corrcoef(there, back)[0, 1] < -0.5
