"""Relabelled data: which actions they have, what they say of their origin, and that they are data as any others."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from inverse_cases import moves, partly

import offbench
from offbench.errors import DataError
from offbench.labelling.inverse_dynamics import Windows
from offbench.labelling.inverse_fitting import InverseDynamicsConfig, Known, fitted
from offbench.labelling.relabelled import GIVEN, VARIANCE, joined, with_inverse_dynamics

SMALL = InverseDynamicsConfig(hidden=(16, 16), batch_size=32, updates=20, validate_every=10)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))


def test_the_union_has_all_episodes_and_says_which_actions_are_given() -> None:
    data = partly(labelled=0.25)
    whole = joined(data)
    assert len(whole) == 20
    given = whole.extras[GIVEN]
    assert given.sum() == 50
    np.testing.assert_array_equal(whole.actions[given], data.labelled.actions)
    assert not whole.actions[~given].any()
    np.testing.assert_array_equal(whole[5:].observations, data.action_free.observations)
    assert whole.action_range is not None
    assert "declares no range" not in whole.summary()


def test_what_stands_for_hidden_actions_keeps_the_bounds() -> None:
    whole = joined(partly(low=1.0, high=3.0))
    assert whole.actions.min() >= 1


def test_an_episode_that_was_cut_off_stays_the_last() -> None:
    data = partly()
    cut = data.labelled.truncations.copy()
    cut[-1] = False
    whole = joined(replace(data, labelled=replace(data.labelled, truncations=cut)))
    assert whole.unfinished
    assert whole.extras[GIVEN][-1]


def test_true_actions_stay_and_proxies_are_in_the_environments_units() -> None:
    data = partly()
    made = with_inverse_dynamics(data, SMALL, seed=4)
    given = made.extras[GIVEN]
    np.testing.assert_array_equal(made.actions[given], data.labelled.actions)
    whole = joined(data)
    known = Known(whole, np.array(given))
    model = fitted(known, SMALL, [4])
    network = SMALL.network(2, 2)
    labels = network.label(model.parameters, Windows(whole, 1, "cpu"), whole.steps)
    expected = -2 + (labels.actions[0].numpy() + 1) * 3  # of the range [-2, 4]
    np.testing.assert_allclose(made.actions[~given], expected[~given], rtol=1e-5)
    np.testing.assert_allclose(made.extras[VARIANCE], np.where(given, 0, labels.variance[0].numpy()), rtol=1e-5)
    assert (made.extras[VARIANCE][~given] > 0).all()
    np.testing.assert_array_equal(made.rewards, whole.rewards)


def test_the_data_say_which_model_labelled_them() -> None:
    data = partly()
    made = with_inverse_dynamics(data, SMALL, seed=4)
    said = " ".join(made.provenance.notes)
    assert "actions of 100 of 200 steps are the proxies of inverse dynamics (config " in said
    assert f"seed 4, offbench {offbench.__version__})" in said
    assert f"10 episodes, whose digest is {data.labelled.digest}" in said
    loss = float(fitted(Known(joined(data), np.array(made.extras[GIVEN])), SMALL, [4]).losses)
    assert f"the log-likelihood of actions of those held out is {-loss:.4g} a step" in said
    assert made.provenance.dataset == f"{data.labelled.name}, actions by inverse dynamics"


def test_equal_models_make_equal_data_and_others_do_not() -> None:
    data = partly()
    assert with_inverse_dynamics(data, SMALL).digest == with_inverse_dynamics(data, SMALL).digest
    assert with_inverse_dynamics(data, SMALL).digest != with_inverse_dynamics(data, SMALL, seed=1).digest


def test_steps_whose_next_observation_is_unknown_are_counted() -> None:
    data = partly()
    lost = np.ones(len(data.action_free), dtype=bool)
    lost[:3] = False
    made = with_inverse_dynamics(replace(data, action_free=replace(data.action_free, final_observations=lost)), SMALL)
    assert "the next observation of 3 of these steps was not recorded" in made.provenance.notes[-1]


def test_whole_data_are_refused() -> None:
    with pytest.raises(DataError, match="learns from a labelled part and one without actions"):
        with_inverse_dynamics(moves(), SMALL)


def test_they_are_saved_and_exported_and_trained_on_in_another_process(tmp_path) -> None:
    made = with_inverse_dynamics(partly(), SMALL)
    path = tmp_path / "moves.offbench"
    offbench.save(made, path)
    loaded = offbench.load(path)
    assert loaded.digest == made.digest
    assert loaded.provenance == made.provenance
    command = [sys.executable, "-m", "offbench", "train", "td3_bc", str(path), "--seeds", "1", "--steps", "20"]
    done = subprocess.run([*command, "--output", str(tmp_path / "run")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (record,) = offbench.Run(tmp_path / "run").records
    assert record.dataset_digest == made.digest
    assert record.dataset == "moves?actions=50%-q100&seed=0, actions by inverse dynamics"


def test_they_are_exported_to_minari(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    made = with_inverse_dynamics(partly(), SMALL)
    from offbench.formats.table import named

    named("minari").write(made, "moves/relabelled-v0", None)
    loaded = offbench.load("minari/moves/relabelled-v0")
    np.testing.assert_array_equal(loaded.actions, made.actions)
    np.testing.assert_array_equal(loaded.extras[GIVEN], made.extras[GIVEN])
    np.testing.assert_allclose(loaded.extras[VARIANCE], made.extras[VARIANCE])
