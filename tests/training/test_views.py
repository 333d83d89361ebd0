from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

import offbench
from offbench.algorithms.bc import BC, BCConfig
from offbench.algorithms.decision_transformer import DecisionTransformer, DecisionTransformerConfig
from offbench.algorithms.rvs import RvS, RvSConfig
from offbench.data.sequences import Sequences
from offbench.data.trajectories import Provenance, Trajectories
from offbench.data.transitions import Transitions
from offbench.environments.simulator import make_simulator
from offbench.environments.task import task
from offbench.errors import DataError, OffbenchError
from offbench.evaluation.rollout import returns
from offbench.formats import native
from offbench.training.group import Group
from offbench.training.views import check_requirements, check_spaces, completed, make_view

SMALL = {
    "dt": {"context": 4, "embedding": 16, "layers": 1, "warmup": 10},
    "rvs": {"hidden": (16,), "condition": "sum"},
}
QUICK = {"batch_size": 16, "quiet": True, "compile": "never", "episodes": 3, "evaluate_every": 20}


@pytest.fixture
def data(pendulum_file):
    return native.load(pendulum_file)


def test_a_view_takes_the_options_that_the_config_names(data):
    wide = np.full(1, -2, np.float32), np.full(1, 2, np.float32)
    config = completed(DecisionTransformerConfig(context=7, normalise_states=False), data, None)
    view = make_view(DecisionTransformer, config, data, wide, dtype=torch.float64)
    assert isinstance(view, Sequences)
    assert (view.context, view.dtype, view.scaling.std.tolist()) == (7, torch.float64, [1.0] * 3)
    assert view.transforms[-1] == {"name": "scale_returns_to_go", "divisor": config.return_scale}
    assert make_view(RvS, completed(RvSConfig(), data, None), data, wide).context == 1
    assert isinstance(make_view(BC, BCConfig(), data, wide), Transitions)


def test_what_is_not_given_comes_from_data_and_task_and_what_is_given_stays(data):
    config = completed(DecisionTransformerConfig(return_scale=50.0), data, task("pendulum"))
    assert config.evaluation_target == pytest.approx(data.returns.max())
    assert (config.return_scale, config.episode_limit) == (50.0, 200)
    assert completed(BCConfig(), data, task("pendulum")) == BCConfig()


def test_data_without_what_is_learnt_from_are_refused(data):
    with pytest.raises(DataError, match="DecisionTransformer learns from actions and rewards, and tiny has no rewards"):
        check_requirements(DecisionTransformer, replace(data, rewards=None))


def cartpole(actions, **changes):
    """Rows as CartPole's, with any actions; none of them are a box's where they are whole numbers."""
    rng = np.random.default_rng(0)
    columns = {
        "observations": rng.normal(size=(42, 4)).astype(np.float32),
        "offsets": np.array([0, 20, 40]),
        "terminations": np.zeros(40, bool),
        "truncations": np.arange(40) % 20 == 19,
        "actions": actions,
        "rewards": np.ones(40, np.float32),
        "provenance": Provenance("cartpole"),
    }
    return Trajectories(**(columns | changes))


PUSHES = np.arange(40).reshape(40, 1) % 2


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
@pytest.mark.parametrize("name", ["bc", "iql", "dt", "rvs"])
def test_discrete_actions_are_refused_before_training(name, dtype, tmp_path):
    with pytest.raises(DataError, match=rf"^actions of cartpole are discrete \({dtype}, .*boxes alone: floating-point"):
        offbench.train(name, cartpole(PUSHES.astype(dtype)), seeds=1, steps=2, output=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("shape", [(40,), (40, 1)])
@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_whole_number_actions_of_files_are_refused(shape, dtype, tmp_path):
    observations = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    columns = {"observations": observations, "rewards": np.ones(40, np.float32), "terminals": np.arange(40) % 20 == 19}
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        for column, values in (columns | {"actions": PUSHES.astype(dtype).reshape(shape)}).items():
            file[column] = values
    with pytest.raises(DataError, match=r"actions of .*x\.hdf5 are discrete"):
        offbench.train("bc", tmp_path / "x.hdf5", seeds=1, steps=2, output=tmp_path / "run", **QUICK)


def test_discrete_observations_are_refused_and_what_floats_hold_is_not(tmp_path):
    data = cartpole((2.0 * PUSHES - 1).astype(np.float32))
    check_spaces(BC, data)
    with pytest.raises(DataError, match=r"observations of cartpole are discrete \(int64, 0 to 41\), and awac, bc, "):
        check_spaces(BC, replace(data, observations=np.arange(42)[:, None]))


def test_a_learner_of_others_is_given_discrete_data_as_they_are(tmp_path):
    data = cartpole(PUSHES, observations=np.arange(42)[:, None])
    Seen.data = None
    offbench.train(Seen, data, seeds=1, steps=2, workers=1, quiet=True, output=tmp_path / "run")
    assert (Seen.data.actions.dtype, Seen.data.observations.dtype) == (np.int64, np.int64)


class Seen:
    """A learner that keeps what it was given."""

    data = None

    def fit(self, data, task, seed, budget):
        Seen.data = data
        return self

    def act(self, observations):
        return np.zeros((len(observations), 1), np.float32)


def test_actions_and_observations_that_are_no_vectors_are_told_whatever_the_task(data, tmp_path):
    stacked = np.zeros((data.steps, 2, 1), np.float32)
    images = np.zeros((len(data.observations), 4, 4), np.float32)
    for changes, sentence in (
        ({"actions": stacked}, r"actions that are vectors, not of shape \(2, 1\) as those of tiny; \(500, 2\) would"),
        (
            {"observations": images},
            r"observations that are vectors, not of shape \(4, 4\) as those of tiny",
        ),
    ):
        wrong = replace(data, **changes)
        for view, what in ((Transitions, "transitions"), (Sequences, "sequences")):
            with pytest.raises(DataError, match=f"^{what} need {sentence}"):
                view(wrong)
        with pytest.raises(DataError, match=f"^our algorithms need {sentence}"):
            offbench.train("bc", wrong, seeds=1, steps=2, output=tmp_path / "run", **QUICK)


@pytest.mark.parametrize("name", SMALL)
def test_what_was_asked_for_is_recorded_and_the_stored_policy_earns_the_recorded_returns(name, pendulum_file, tmp_path):
    run = offbench.train(name, pendulum_file, seeds=2, steps=20, output=tmp_path / "run", **SMALL[name], **QUICK)
    record = run.records[1]
    best = float(native.load(pendulum_file).returns.max())
    assert record.config["evaluation_target"] == pytest.approx(best)
    assert record.config["episode_limit"] == 200  # of the task; the data's episodes have 25 steps
    starts = record.evaluations[-1].environment_seeds
    simulator = make_simulator(task("pendulum"), 3)
    again, _ = returns(simulator, run.policy(seed=1), starts)
    np.testing.assert_allclose(again, record.evaluations[-1].returns, rtol=1e-6)
    other, _ = returns(simulator, run.policy(seed=1, target=100 * best), starts)
    assert not np.allclose(again, other)


def test_another_target_is_scored_under_its_own_name(pendulum_file, tmp_path):
    run = offbench.train("rvs", pendulum_file, seeds=1, steps=20, output=tmp_path / "run", **SMALL["rvs"], **QUICK)
    (usual,), (other,) = offbench.evaluate(run.folder, episodes=2), offbench.evaluate(run.folder, episodes=2, target=9)
    assert other.config == usual.config | {"evaluation_target": 9.0}
    assert other.method_digest != usual.method_digest
    assert other.evaluations[0].environment_seeds == usual.evaluations[0].environment_seeds
    assert other.evaluations[0].returns != usual.evaluations[0].returns
    plain = offbench.train("bc", pendulum_file, seeds=1, steps=2, output=tmp_path / "bc", hidden=(8,), **QUICK)
    with pytest.raises(OffbenchError, match="policies of bc are not asked for a return; leave the target out"):
        offbench.evaluate(plain.folder, target=9)


@pytest.mark.parametrize("name", SMALL)
def test_a_run_that_died_goes_on_exactly(name, pendulum_file, tmp_path, monkeypatch):
    def train(folder, resume=False):
        hyperparameters = SMALL[name] | QUICK | {"evaluate_every": 15, "checkpoint_every": 10}
        return offbench.train(name, pendulum_file, seeds=2, steps=40, output=folder, resume=resume, **hyperparameters)

    whole = train(tmp_path / "whole")
    advance = Group.advance

    def dying(self, start, stop):
        if start >= 30:
            raise RuntimeError("power cut")
        advance(self, start, stop)

    monkeypatch.setattr(Group, "advance", dying)
    with pytest.raises(OffbenchError, match="RuntimeError: power cut"):
        train(tmp_path / "died")
    monkeypatch.undo()
    resumed = train(tmp_path / "died", resume=True)
    for one, other in zip(whole.records, resumed.records, strict=True):
        assert one.evaluations == other.evaluations
        assert one.losses == other.losses
