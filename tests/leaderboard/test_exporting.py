"""Results in the layouts of others: what they ask for is there, and every number comes from raw returns."""

import json
import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
import yaml
from honest_entries import PENDULUM, edited, tiny
from huggingface_hub import parse_eval_result_entries

from offbench.errors import OffbenchError
from offbench.evaluation.machine import describe_machine
from offbench.leaderboard.entry import Check, Verification
from offbench.leaderboard.exporting import SCHEMA, export
from offbench.leaderboard.results import entry_digest, read_results
from offbench.leaderboard.verification import write_verdict

NOW = datetime(2030, 1, 2, tzinfo=UTC)
SUITES = {"tiny": tiny()}
# What eval.schema.json 0.3.0 asks for, by place.
REQUIRED = {
    "": "schema_version evaluation_id retrieved_timestamp source_metadata model_info eval_library evaluation_results",
    "source_metadata": "source_type source_organization_name evaluator_relationship",
    "model_info": "name id additional_details",
    "eval_library": "name version",
}


@pytest.fixture
def results(tmp_path):
    (tmp_path / "results" / "tiny").mkdir(parents=True)
    odd = {"method": 'Odd: "name" #1', "team": "them\u202e", "code": "https://example.org/code"}
    edited(tmp_path / "results/tiny/odd", lambda draft: draft.entry.update(odd))
    return tmp_path / "results"


def verdict(folder, passed):
    check = Check(name="returns", passed=passed, message="looked at")
    parts = {"entry_digest": entry_digest(folder), "level": "re-evaluated", "checks": [check]}
    write_verdict(Verification(**parts, verified=NOW, packages=describe_machine()[1]), folder)


def test_every_eval_ever(results, tmp_path):
    (path,) = export("every-eval-ever", read_results(results), SUITES, tmp_path / "out", now=NOW)
    record = json.loads(path.read_text())
    for place, names in REQUIRED.items():
        part = record[place] if place else record
        assert set(names.split()) <= part.keys()
    assert record["schema_version"] == SCHEMA
    assert record["retrieved_timestamp"] == str(int(NOW.timestamp()))
    assert record["source_metadata"]["evaluator_relationship"] == "first_party"
    assert record["model_info"]["id"] == "them/Odd-name-1"
    assert path.parent == tmp_path / "out/data/offbench-tiny/them/Odd-name-1"
    first = record["evaluation_results"][0]
    (result,) = read_results(results)
    scores = [record.final_score for record in result.records if record.dataset == PENDULUM]
    assert first["evaluation_name"] == PENDULUM
    assert first["score_details"]["score"] == pytest.approx(np.mean(scores))
    assert first["score_details"]["uncertainty"]["standard_deviation"] == pytest.approx(np.std(scores, ddof=1))
    assert all(isinstance(value, str) for value in first["score_details"]["details"].values())


@pytest.mark.parametrize("team", ["..", "../..", ".hidden", "\u202e"])
def test_no_name_leads_to_another_folder(team, tmp_path):
    (tmp_path / "results/tiny").mkdir(parents=True)
    edited(tmp_path / "results/tiny/odd", lambda draft: draft.entry.update(method=team, team=team))
    (path,) = export("every-eval-ever", read_results(tmp_path / "results"), SUITES, tmp_path / "out", now=NOW)
    assert len(path.relative_to(tmp_path / "out").parts) == 5
    assert not any(part.startswith(".") for part in path.relative_to(tmp_path / "out").parts)


def test_policies_are_open_while_they_are_there(results, tmp_path):
    def told():
        (path,) = export("every-eval-ever", read_results(results), SUITES, tmp_path, now=NOW)
        return json.loads(path.read_text())["model_info"]["additional_details"]["model_availability"]

    assert told() == "open_weights"
    shutil.rmtree(results / "tiny/odd/policies")
    assert told() == "unknown"


def test_what_the_organiser_measured_is_third_party(results, tmp_path):
    verdict(results / "tiny/odd", True)
    (path,) = export("every-eval-ever", read_results(results), SUITES, tmp_path, now=NOW)
    source = json.loads(path.read_text())["source_metadata"]
    assert (source["evaluator_relationship"], source["additional_details"]["level"]) == ("third_party", "re-evaluated")


def test_hugging_face(results, tmp_path):
    benchmark, evaluations = export("huggingface", read_results(results), SUITES, tmp_path / "out", "us/offbench")
    described = yaml.safe_load(benchmark.read_text())
    assert described["evaluation_framework"] == "offbench"
    assert evaluations.parent.name == ".eval_results"
    parsed = parse_eval_result_entries(yaml.safe_load(evaluations.read_text()))
    assert [each.task_id for each in parsed] == [task["id"] for task in described["tasks"]]
    (result,) = read_results(results)
    scores = [record.final_score for record in result.records if record.dataset == PENDULUM]
    assert parsed[0].value == pytest.approx(np.mean(scores), abs=1e-4)
    assert parsed[0].dataset_id == "us/offbench"
    assert parsed[0].source_name == 'Odd: "name" #1'
    assert "self-reported" in parsed[0].notes


@pytest.mark.parametrize("repository", [None, "us", "us/../x", "us/a b"])
def test_hugging_face_needs_a_repository(repository, results, tmp_path):
    with pytest.raises(OffbenchError, match="--repository OWNER/NAME"):
        export("huggingface", read_results(results), SUITES, tmp_path, repository)


def test_refused_entries_and_other_versions_are_left_out(results, tmp_path):
    newer = {"tiny": tiny().model_copy(update={"version": 2})}
    with pytest.raises(OffbenchError, match="no entries to export"):
        export("every-eval-ever", read_results(results), newer, tmp_path)
    verdict(results / "tiny/odd", False)
    with pytest.raises(OffbenchError, match="no entries to export"):
        export("every-eval-ever", read_results(results), SUITES, tmp_path)
