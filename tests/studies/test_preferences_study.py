"""The study of reward models on files of pairs, at a tiny size."""

import json
import math

import numpy as np
import pytest

from offbench.cli.main import main
from offbench.labelling.reward_models import RewardConfig
from offbench.studies import preferences as study

TINY = study.Budget(
    {name: RewardConfig(model=name, hidden=(8,), embedding=8, heads=2, updates=4) for name in study.MODELS}, 2
)


def pairs_file(path, pairs: int = 24, seed: int = 0):
    """An IPL file, labelled by the sum of the first number of the states."""
    rng = np.random.default_rng(seed)
    arrays = {f"obs_{side}": rng.normal(size=(pairs, 5, 3)) for side in (1, 2)}
    arrays |= {f"action_{side}": rng.uniform(-1, 1, (pairs, 5, 2)) for side in (1, 2)}
    labels = (arrays["obs_2"][..., 0].sum(1) > arrays["obs_1"][..., 0].sum(1)).astype(np.float32)
    labels[:2] = 0.5
    np.savez(path, label=labels, **arrays)
    return path


def test_the_page_has_a_row_a_model_and_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(study.BUDGETS, "small", TINY)
    file, output = pairs_file(tmp_path / "human.npz"), tmp_path / "out"
    command = ["study", "preferences", "--pairs", str(file), "--output", str(output)]
    assert main(command) == 0
    page = (output / "page.md").read_text()
    assert "24 pairs: the first is preferred in" in page
    assert "neither in 2." in page
    for name in ("MLP on state and action", "LSTM", "Preference Transformer"):
        assert page.count(f"| {name} | true |") == page.count(f"| {name} | shuffled |") == 1
    assert page.count("| always the majority | true |") == 1
    record = json.loads((output / "human-lstm.json").read_text())
    assert record["learned"]["true"]["accuracy"]["pairs"] == 22
    assert record["learned"]["true"]["cross_entropy"]["pairs"] == 24
    assert all(math.isfinite(value) for value in record["learned"]["true"]["accuracies_of_seeds"])

    before = capsys.readouterr().err
    assert "true labels" in before
    assert main(command) == 0
    assert "labels" not in capsys.readouterr().err

    pairs_file(file, seed=1)
    assert main(command) != 0
    assert "other pairs than" in capsys.readouterr().err


def test_files_of_one_name_are_refused(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    files = [pairs_file(tmp_path / name) for name in ("one.npz", "a/one.npz")]
    assert main(["study", "preferences", "--pairs", *map(str, files), "--output", str(tmp_path / "out")]) != 0
    assert "two have one name" in capsys.readouterr().err


@pytest.mark.parametrize("budget", ["small", "full"])
def test_budgets_have_all_models(budget):
    assert {name: config.model for name, config in study.BUDGETS[budget].configs.items()} == {
        n: n for n in study.MODELS
    }
