"""A run keeps how its configuration was chosen, and one that says nothing of it is kept as ever."""

import json

import pytest
from synthetic_records import make_tuning

import offbench
from offbench.errors import OffbenchError
from offbench.training.finished import Run

QUICK = {"steps": 4, "episodes": 1, "batch_size": 8, "hidden": (8,), "compile": "never", "quiet": True}
TUNING = make_tuning(runs=6, episodes=12).model_dump(mode="json")


@pytest.mark.parametrize("algorithm", ["bc", "iql"])
def test_records_and_folder_keep_the_tuning(algorithm, pendulum_file, tmp_path):
    run = offbench.train(algorithm, str(pendulum_file), seeds=(5, 6), output=tmp_path, tuning=TUNING, **QUICK)
    assert [record.tuning.model_dump(mode="json") for record in run.records] == [TUNING, TUNING]
    assert [record.tuning_runs for record in run.records] == [6, 6]
    assert Run(tmp_path).manifest.plan.tuning == run.records[0].tuning
    again = offbench.train(
        algorithm, str(pendulum_file), seeds=(5, 6), output=tmp_path, tuning=TUNING, resume=True, **QUICK
    )
    assert again.records == run.records


def test_a_run_cannot_go_on_as_one_that_was_tuned_otherwise(pendulum_file, tmp_path):
    offbench.train("bc", str(pendulum_file), seeds=(5,), output=tmp_path, tuning=TUNING, **QUICK)
    for tuning in (None, TUNING | {"trial": 8}):
        with pytest.raises(OffbenchError, match="cannot go on as another: tuning was"):
            offbench.train("bc", str(pendulum_file), seeds=(5,), output=tmp_path, tuning=tuning, resume=True, **QUICK)


def test_nothing_is_written_of_no_tuning(pendulum_file, tmp_path):
    run = offbench.train("bc", str(pendulum_file), seeds=1, output=tmp_path, **QUICK)
    assert "tuning" not in json.loads((tmp_path / "manifest.json").read_text())["plan"]
    assert "tuning" not in json.loads((tmp_path / "seed-0.json").read_text())
    assert "tuning" not in run.manifest.plan.model_dump()


@pytest.mark.parametrize(
    ("tuning", "told"),
    [(TUNING | {"kind": "offline"}, "tuning is no record of a tuning: kind"), ({"runs": 3}, "role: Field required")],
)
def test_a_tuning_that_is_none_is_one_sentence(tuning, told, pendulum_file, tmp_path):
    with pytest.raises(OffbenchError, match=told):
        offbench.train("bc", str(pendulum_file), output=tmp_path, tuning=tuning, **QUICK)


def test_a_seed_that_was_chosen_on_is_no_result(pendulum_file, tmp_path):
    with pytest.raises(OffbenchError, match="seed 1 is one that the configuration was chosen on"):
        offbench.train("bc", str(pendulum_file), seeds=(1, 5), output=tmp_path, tuning=TUNING, **QUICK)
    assert not (tmp_path / "manifest.json").exists()
