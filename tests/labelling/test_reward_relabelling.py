"""A relabelled dataset is a dataset, and says where its rewards come from."""

import numpy as np
import pytest
from preference_cases import compared, linear

import offbench
from offbench.cli.main import main
from offbench.errors import DataError
from offbench.labelling.reward_relabelling import RelabelConfig, relabel_rewards

CONFIG = RelabelConfig(hidden=(16,), updates=80, members=3, aggregate="uwo", shift="none", learning_rate=3e-3)


def test_learned_rewards_rank_episodes_as_the_true_ones(tmp_path):
    data = compared(pairs=150)
    made = relabel_rewards(data, CONFIG, seed=1)
    assert np.corrcoef(made.returns, linear().returns)[0, 1] > 0.9
    assert np.ptp(made.returns) == pytest.approx(50, rel=1e-5)  # the steps of an episode
    assert np.array_equal(made.observations, data.trajectories.observations)
    assert made.digest != relabel_rewards(data, CONFIG, seed=2).digest
    assert made.digest == relabel_rewards(data, CONFIG, seed=1).digest

    first, second = made.provenance.notes[-2:]
    assert "rewards are those of a reward model (markovian, config " in first
    assert "seed 1" in first
    assert "mean - 0.5 variance (UWO) of 3 standardised members" in first
    assert data.preferences.digest in second
    assert "of 15 held out" in second
    assert "accuracy" in second
    assert any("labelled by Teacher" in note for note in made.provenance.notes)

    offbench.save(made, tmp_path / "made.offbench")
    read = offbench.load(tmp_path / "made.offbench")
    assert read.digest == made.digest
    assert np.array_equal(read.rewards, made.rewards)
    assert set(made.provenance.notes) <= set(read.provenance.notes)


def test_data_without_preferences_are_refused():
    with pytest.raises(DataError, match="preferences=500x50 would be right"):
        relabel_rewards(linear(), CONFIG)


def test_the_command_writes_a_dataset_to_train_on(tmp_path, capsys):
    target = tmp_path / "made.offbench"
    dataset = "offbench/pendulum/swingup-v0?preferences=40x10"
    flags = ["--hidden", "8", "--updates", "10", "-o", str(target)]
    assert main(["label", dataset, "--with", "reward_model", *flags]) == 0
    made = offbench.load(target)
    assert f"digest {made.digest}" in capsys.readouterr().out
    assert np.ptp(made.returns) == pytest.approx(made.lengths.max(), rel=1e-3)
