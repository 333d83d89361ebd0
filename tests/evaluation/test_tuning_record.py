"""A record says how its configuration was chosen, and cannot say what contradicts itself."""

import json
from typing import Any

import pytest
from pydantic import ValidationError
from synthetic_records import make_record, make_tuning

from offbench.evaluation.record_files import read_record, write_record


def test_a_result_keeps_what_choosing_it_has_cost(tmp_path):
    tuning = make_tuning(runs=60, episodes=1200, failed=1)
    record = make_record(seed=5, tuning=tuning, tuning_runs=60)
    write_record(record, tmp_path / "seed-5.json")
    assert read_record(tmp_path / "seed-5.json") == record
    assert json.loads((tmp_path / "seed-5.json").read_text())["tuning"]["space"] == {"rate": [1.0, 2.0]}
    assert record.tuning.brief == "online, 60 runs, 1,200 episodes"
    assert not record.is_trial


def test_a_record_without_tuning_is_written_as_before_there_was_any(tmp_path):
    record = make_record()
    write_record(record, tmp_path / "seed-0.json")
    assert "tuning" not in json.loads((tmp_path / "seed-0.json").read_text())
    assert read_record(tmp_path / "seed-0.json") == record
    assert not record.is_trial


@pytest.mark.parametrize(
    ("record", "tuning", "told"),
    [
        ({"seed": 1, "tuning_runs": 6}, {"runs": 6}, "seed 1 is one that the configuration was chosen on"),
        ({"seed": 7}, {"role": "trial"}, "seed 7 is no tuning seed"),
        ({"seed": 5, "tuning_runs": 5}, {"runs": 6}, "tuning_runs is 5, and the tuning has spent 6"),
        ({"seed": 5, "tuning_runs": 6}, {"runs": 6, "space_digest": "0" * 64}, "space_digest"),
    ],
)
def test_what_record_and_tuning_say_agrees(record: dict[str, Any], tuning: dict[str, Any], told: str):
    with pytest.raises(ValidationError, match=told):
        make_record(**record, tuning=make_tuning(**tuning))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "ope"}, "no objective last"),
        ({"kind": "online", "objective": "fqe"}, "no objective fqe"),
        ({"kind": "ope", "objective": "fqe", "episodes": 3}, "has spent 3 episodes"),
        ({"role": "trial", "runs": 3}, "does not know"),
        ({"trial": 20}, "none of 20"),
        ({"seeds": []}, "at least 1"),
    ],
)
def test_what_a_tuning_says_agrees(changes: dict[str, Any], told: str):
    with pytest.raises(ValidationError, match=told):
        make_tuning(**changes)
