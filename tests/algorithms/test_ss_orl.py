"""SS-ORL: the learner learns from true actions where they are given and from proxies elsewhere."""

import dataclasses

import numpy as np
import pytest
import torch

import offbench
from offbench.algorithms.base import Sizes
from offbench.algorithms.ss_orl import SSORL, SSORLConfig
from offbench.conformance.toys import toy
from offbench.data.scaling import Scaling
from offbench.data.supervision import SemiSupervised, hide_actions, hide_rewards
from offbench.errors import DataError, OffbenchError
from offbench.labelling.relabelled import with_inverse_dynamics
from offbench.training.views import completed, make_view

SMALL = {"inverse_hidden": (16, 16), "inverse_updates": 20, "inverse_batch_size": 32, "batch_size": 16}


def made(learner="td3_bc,hidden=[8]", seeds=(0, 1), data=None, **changes):
    """(the algorithm, its view), fitted."""
    split = hide_actions(toy(), 0.5, 1.0) if data is None else data
    config = completed(SSORLConfig(learner, **SMALL | changes), split.labelled, None)
    view = make_view(SSORL, config, split, dtype=torch.float64)
    algorithm = SSORL(config, Sizes(3, 2), seeds, 100, dtype=torch.float64)
    algorithm.prepare(view, lambda line: None)
    algorithm.before(0, view)
    return algorithm, view


def test_batches_have_true_actions_where_given_and_each_seeds_proxies_elsewhere() -> None:
    algorithm, view = made()
    proxies = algorithm.labels(view)
    indices = torch.tensor([[0, 149, 150, 299], [299, 150, 149, 0]])
    batch = algorithm.batch(view, indices)
    true = torch.from_numpy(np.array(view.trajectories.actions)).double()
    torch.testing.assert_close(batch.actions[0, :2], true[[0, 149]])
    torch.testing.assert_close(batch.actions[0, 2:], proxies[0, [150, 299]])
    torch.testing.assert_close(batch.actions[1, :2], proxies[1, [299, 150]])
    assert not torch.allclose(proxies[0, 150:], proxies[1, 150:])
    torch.testing.assert_close(batch.rewards[0], view.inner.batch(indices).rewards[0])


def test_its_proxies_are_those_of_the_relabelled_data() -> None:
    split = hide_actions(toy(), 0.5, 1.0)
    algorithm, view = made(seeds=(3,), data=split)
    whole = with_inverse_dynamics(split, algorithm.config.inverse, seed=3)
    # The data are labelled in single precision, of which an optimiser makes other last digits.
    np.testing.assert_allclose(algorithm.labels(view)[0, 150:], whole.actions[150:], atol=1e-3)


def test_updates_leave_the_inverse_dynamics_alone() -> None:
    algorithm, view = made()
    before = {name: value.clone() for name, value in algorithm.networks["inverse_dynamics"].items()}
    for _ in range(2):
        algorithm.step(view, torch.arange(32).view(2, 16))
    assert all(torch.equal(before[name], value) for name, value in algorithm.networks["inverse_dynamics"].items())
    assert "inverse_dynamics" not in algorithm.optimisers


def test_the_config_of_the_inverse_dynamics_is_that_of_the_flags() -> None:
    config = SSORLConfig(
        inverse_past=2,
        inverse_members=3,
        inverse_density="gaussian",
        inverse_dropout=0.2,
        inverse_learning_rate=0.01,
        **SMALL,
    )
    given = dataclasses.asdict(config.inverse)
    for field in dataclasses.fields(config):
        name = field.name.removeprefix("inverse_")
        if name != field.name:
            assert given[name] == getattr(config, field.name)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inverse_dropout": 1.0}, "dropout of inverse dynamics must lie in"),
        ({"inverse_members": 0}, "members of inverse dynamics must be at least 1"),
        ({"inverse_past": -1}, "past of inverse dynamics must be at least 0"),
        ({"inverse_hidden": ()}, "at least one hidden layer"),
    ],
)
def test_hyperparameters_that_cannot_be(changes, words) -> None:
    with pytest.raises(OffbenchError, match=words):
        SSORLConfig(**SMALL | changes)


def test_data_without_rewards_are_refused_where_the_learner_needs_them() -> None:
    split = hide_actions(toy(), 0.5, 1.0)
    bare = SemiSupervised(hide_rewards(split.labelled), hide_rewards(split.action_free), split.split)
    with pytest.raises(DataError, match="needs rewards"):
        made(data=bare)
    made("bc,hidden=[8]", data=bare)


def test_a_run_takes_a_split_by_name_and_goes_on_exactly(pendulum_file, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    settings = SMALL | {"learner": "td3_bc,hidden=[8]", "seeds": 2, "episodes": 2, "quiet": True, "compile": "never"}
    source = f"{pendulum_file}?actions=30%-low"

    def train(folder, **more):
        arguments = {"steps": 40, "evaluate_every": 20, "checkpoint_every": 15, **settings, **more}
        return offbench.train("ss_orl", source, output=tmp_path / folder, **arguments)

    one = train("one")
    found = [record.config["learner"] for record in one.records]
    assert all("hidden=[8]" in learner for learner in found)
    again = train("two", group=1)
    for left, right in zip(one.records, again.records, strict=True):
        assert left.evaluations[-1].returns == pytest.approx(right.evaluations[-1].returns, rel=1e-4)
    assert len(list((tmp_path / "cache" / "labelling").rglob("*.safetensors"))) == 2


def test_the_range_of_actions_is_the_tasks(pendulum_file) -> None:
    split = offbench.load(f"{pendulum_file}?actions=50%-q100")
    bounds = (np.full(1, -2, np.float32), np.full(1, 2, np.float32))
    config = completed(SSORLConfig("td3_bc", **SMALL), split.labelled, None)
    view = make_view(SSORL, config, split, bounds)
    assert isinstance(view.scaling, Scaling)
    algorithm = SSORL(config, Sizes(3, 1), [0], 100)
    algorithm.prepare(view, lambda line: None)
    algorithm.before(0, view)
    labels = algorithm.labels(view)
    assert float(labels.abs().max()) <= 1
    actions = algorithm.batch(view, torch.zeros(1, 16, dtype=torch.int64)).actions
    assert float(actions[0, 0, 0]) == pytest.approx(float(split.labelled.actions[0, 0]) / 2)
