"""V-PTR: the learner learns of phi of states, and acts by it."""

import pytest
import torch

from offbench.algorithms.base import Sizes
from offbench.algorithms.v_ptr import VPTR, VPTRConfig
from offbench.conformance.toys import toy
from offbench.data.supervision import SemiSupervised, hide_actions, hide_rewards
from offbench.errors import DataError, OffbenchError
from offbench.training.views import completed, make_view

SMALL = {"icvf_hidden": (16, 8), "icvf_updates": 5, "icvf_batch_size": 16, "batch_size": 16}


def made(learner="td3_bc,hidden=[8]", data=None, **changes):
    """(the algorithm, its view), fitted."""
    split = hide_actions(toy(), 0.5, 1.0) if data is None else data
    config = completed(VPTRConfig(learner, **SMALL | changes), split.labelled, None)
    view = make_view(VPTR, config, split, dtype=torch.float64)
    algorithm = VPTR(config, Sizes(3, 2), (0, 1), 100, dtype=torch.float64)
    algorithm.prepare(view, lambda line: None)
    return algorithm, view


def test_the_learner_sees_phi_of_states_and_true_actions() -> None:
    algorithm, view = made()
    indices = torch.arange(32).view(2, 16)
    plain, batch = view.inner.batch(indices), algorithm.batch(view, indices)
    assert batch.observations.shape == (2, 16, 8)
    parameters = algorithm.networks["icvf"]
    torch.testing.assert_close(batch.observations, algorithm.icvf.phi(parameters, plain.observations))
    torch.testing.assert_close(batch.next_observations, algorithm.icvf.phi(parameters, plain.next_observations))
    assert torch.equal(batch.actions, plain.actions)
    assert torch.equal(batch.rewards, plain.rewards)
    assert len(view) == len(view.inner) == 150


def test_it_acts_by_phi() -> None:
    algorithm, view = made()
    states = view.inner.batch(torch.arange(8).view(2, 4)).observations
    torch.testing.assert_close(algorithm.act(states), algorithm.learner.act(algorithm.phi(states)))


def test_phi_is_learned_from_all_episodes_and_stays() -> None:
    algorithm, view = made()
    assert len(view.everything) == 20
    assert len(view.states()) == len(view.everything.observations)
    before = {name: value.clone() for name, value in algorithm.networks["icvf"].items()}
    fresh = algorithm.icvf.initialise((0, 1), "intention values")
    assert not torch.equal(before["phi.layer0.weight"], fresh["phi.layer0.weight"])
    algorithm.before(0, view)
    algorithm.step(view, torch.arange(32).view(2, 16))
    assert all(torch.equal(before[name], value) for name, value in algorithm.networks["icvf"].items())


def test_without_updates_phi_is_random() -> None:
    algorithm, _ = made(icvf_updates=0)
    fresh = algorithm.icvf.initialise((0, 1), "intention values")
    assert torch.equal(algorithm.networks["icvf"]["phi.layer0.weight"], fresh["phi.layer0.weight"])


def test_learners_that_cannot_be() -> None:
    with pytest.raises(DataError, match=r"the learner dt,.* sees Sequences, and phi stands for single states"):
        made("dt")
    split = hide_actions(toy(), 0.5, 1.0)
    bare = SemiSupervised(hide_rewards(split.labelled), hide_rewards(split.action_free), split.split)
    with pytest.raises(DataError, match="needs rewards"):
        made(data=bare)
    made("bc,hidden=[8]", data=bare)
    with pytest.raises(OffbenchError, match="expectile of intention values"):
        VPTRConfig(icvf_expectile=2.0)
