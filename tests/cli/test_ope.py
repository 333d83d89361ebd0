"""``ope`` and ``select``: every seed of every run is judged by the data, and what cannot be is refused."""

import json

import numpy as np
import pytest

import offbench
from offbench.cli.main import main

QUICK = {"steps": 4, "episodes": 1, "batch_size": 8, "compile": "never", "quiet": True}
FAST = ["--updates", "20", "--hidden", "8", "--discount", "0.9", "--quiet"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory, pendulum_file):
    root, data = tmp_path_factory.mktemp("runs"), str(pendulum_file)
    for name in ("iql", "bc"):
        offbench.train(name, data, output=root / name, seeds=2, hidden=(8,), **QUICK)
    return root


def test_all_policies_are_estimated_and_played(folders, pendulum_file, tmp_path, capsys):
    command = ["ope", str(folders / "iql"), str(folders / "bc"), "--episodes", "2", "--top", "1", "2", *FAST]
    command += ["--dataset", str(pendulum_file)]
    assert main([*command, "--output", str(tmp_path / "found.json")]) == 0
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    assert [one["policy"] for one in found["policies"]] == ["iql, seed 0", "iql, seed 1", "bc, seed 0", "bc, seed 1"]
    assert found["policies"][2]["the learner's own Q"] is None  # BC has none
    assert {"FQE", "doubly robust", "chance"} <= {one["estimator"] for one in found["estimators"]}
    assert found["config"]["updates"] == 20
    assert "| bc, seed 1 |" in printed
    assert "regret@2" in printed
    assert main([*command, "--output", str(tmp_path / "again.json")]) == 0
    assert json.loads((tmp_path / "again.json").read_text()) == found


def test_a_return_is_the_mean_of_the_episodes_that_a_policy_plays(folders):
    from offbench.evaluation.rollout import Evaluator
    from offbench.selection.candidates import PLAYING, candidates, true_values

    found = candidates([folders / "bc"])
    task = found[0].run.manifest.plan.whole_task
    discounted, whole = true_values(found, task, 3, 1.0)
    assert discounted == pytest.approx(whole)
    evaluator = Evaluator(task, [0], 3)
    played = [evaluator.evaluate(one.policy, 0, PLAYING)[0].returns for one in found]
    evaluator.close()
    assert whole == pytest.approx(np.mean(played, axis=1))


def test_a_run_is_chosen_without_playing(folders, pendulum_file, capsys, monkeypatch):
    monkeypatch.setattr("offbench.selection.candidates.make_simulator", None)
    data = str(pendulum_file)
    assert main(["select", str(folders / "iql"), str(folders / "bc"), "--dataset", data, *FAST]) == 0
    *ranked, chosen = capsys.readouterr().out.splitlines()
    assert float(ranked[0].split()[0].replace(",", "")) >= float(ranked[1].split()[0].replace(",", ""))
    assert ranked[0].split()[1] in chosen


def test_other_data_and_policies_with_a_memory_are_refused(
    folders, pendulum_file, other_pendulum_file, tmp_path, capsys
):
    other = str(other_pendulum_file)
    offbench.train("bc", other, output=tmp_path / "other", seeds=1, hidden=(8,), **QUICK)
    assert main(["ope", str(folders / "bc"), str(tmp_path / "other"), *FAST]) == 2
    assert "learned from" in capsys.readouterr().err
    assert main(["ope", str(folders / "bc"), *FAST]) == 2
    assert "name it with --dataset" in capsys.readouterr().err
    assert main(["ope", str(folders / "bc"), "--dataset", other, *FAST]) == 2
    assert "its digest is" in capsys.readouterr().err
    small = {"embedding": 8, "layers": 1, "heads": 1, "context": 2}
    data = str(pendulum_file)
    offbench.train("dt", data, output=tmp_path / "dt", seeds=1, **small, **QUICK)
    assert main(["select", str(tmp_path / "dt"), *FAST]) == 2
    assert "remember" in capsys.readouterr().err


def test_without_policies_to_compare_there_is_a_sentence(tmp_path, capsys):
    assert main(["ope", str(tmp_path), *FAST]) == 2
    assert "holds no run" in capsys.readouterr().err
