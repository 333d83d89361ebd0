import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from synthetic_records import make_evaluation, make_record, make_task

from offbench.errors import OffbenchError
from offbench.evaluation.record import (
    EvaluationRecord,
    LossRecord,
    digest_of,
    read_record,
    read_records,
    write_record,
)


def write_changed(path: Path, **changes: Any) -> Path:
    """A record's file in which fields of the JSON were changed by hand."""
    write_record(make_record(), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def test_scores_are_recomputed_from_returns_and_references() -> None:
    task = make_task(low=-100.0, high=100.0)
    evaluations = [make_evaluation(0, [-100.0]), make_evaluation(10, [0.0, 100.0, 150.0])]
    record = make_record(task=task, evaluations=evaluations)
    np.testing.assert_allclose(record.scores(record.evaluations[0]), [0.0])
    np.testing.assert_allclose(record.scores(record.evaluations[1]), [50.0, 100.0, 125.0])
    assert record.final_score == pytest.approx(275 / 3)


def test_a_run_that_was_never_evaluated_has_no_score() -> None:
    with pytest.raises(OffbenchError, match=r"seed 0 of bc on .* was never evaluated"):
        _ = make_record(evaluations=[]).final_score
    with pytest.raises(OffbenchError, match="has no task"):
        make_record(task=None, evaluations=[]).scores(make_evaluation(0, [1.0]))


def test_round_trip_keeps_everything(tmp_path: Path) -> None:
    record = make_record(
        config={"hidden": (256, 256), "nested": {"a": None, "b": [1, 2.5, "x"]}, "text": "[ 1,\n  2 ]"}
    )
    path = tmp_path / "deep" / "seed-0.json"
    write_record(record, path)
    assert read_record(path) == record
    text = path.read_text()
    assert '\n  "schema_version": 1' in text
    assert '"hidden": [256, 256]' in text
    assert [file.name for file in path.parent.iterdir()] == ["seed-0.json"]


@given(
    returns=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5),
    value=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e300, 1e300) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
)
def test_round_trip_of_anything_json(
    tmp_path_factory: pytest.TempPathFactory, returns: list[float], value: Any
) -> None:
    record = make_record(config={"value": value}, evaluations=[make_evaluation(3, returns)])
    path = tmp_path_factory.mktemp("record") / "seed-0.json"
    write_record(record, path)
    assert read_record(path) == record


def test_records_are_immutable_and_know_their_fields() -> None:
    record = make_record()
    with pytest.raises(ValidationError, match="frozen"):
        record.seed = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        make_record(colour="red")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_numbers_are_finite(bad: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        make_evaluation(0, [1.0, bad])
    with pytest.raises(ValidationError, match="finite"):
        LossRecord(step=0, values={"loss": bad})
    with pytest.raises(ValidationError, match="finite"):
        make_record(config={"a": [bad]}, config_digest=digest_of({}))
    with pytest.raises(ValidationError, match="finite"):
        make_task(high=bad)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config_digest": digest_of("another")}, "config_digest is not the digest of config"),
        ({"algorithm_digest": "abc"}, "pattern"),
        ({"created": datetime(2030, 1, 1)}, "time zone"),
        (
            {"evaluations": [make_evaluation(5, [0.0]), make_evaluation(5, [0.0])]},
            "steps of evaluations do not increase",
        ),
        ({"losses": [LossRecord(step=9, values={}), LossRecord(step=8, values={})]}, "steps of losses do not increase"),
        ({"evaluations": [make_evaluation(1001, [0.0])]}, "up to step 1001, but the run has 1000"),
        ({"evaluations": [make_evaluation(1000, [0.0], length=201)]}, "201 steps, but the task's limit is 200"),
        ({"task": None, "evaluations": [make_evaluation(1000, [0.0])]}, "no task"),
        ({"schema_version": 2}, "Input should be 1"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"wall_seconds": -1.0}, "greater than or equal to 0"),
    ],
)
def test_parts_that_disagree_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_record(**changes)


def test_evaluations_have_one_of_each_an_episode() -> None:
    with pytest.raises(ValidationError, match="3 environment_seeds, 2 returns, 2 lengths"):
        EvaluationRecord(step=1, environment_seeds=[1, 2, 3], returns=[0.0, 1.0], lengths=[5, 5])
    with pytest.raises(ValidationError, match="seed twice"):
        EvaluationRecord(step=1, environment_seeds=[1, 1], returns=[0.0, 1.0], lengths=[5, 5])
    with pytest.raises(ValidationError, match="at least 1 item"):
        EvaluationRecord(step=1, environment_seeds=[], returns=[], lengths=[])


def test_references_are_ordered() -> None:
    with pytest.raises(ValidationError, match=r"low reference 5\.0 must be below the high one 5\.0"):
        make_task(low=5.0, high=5.0)


def test_digests_say_what_may_be_averaged() -> None:
    record = make_record()
    same = make_record([1.0], seed=7, group_size=1, created=datetime.now(UTC), git_commit=None, wall_seconds=1.0)
    assert (same.benchmark_digest, same.method_digest) == (record.benchmark_digest, record.method_digest)
    for changes in (
        {"dataset_digest": digest_of("other data")},
        {"dataset_revision": 2},
        {"task": make_task(low=-1300.0)},
        {"task": make_task(simulators={"gymnasium": "1.5.0"})},
        {"task": make_task(dynamics="d4rl")},
    ):
        changed = make_record(**changes)
        assert changed.benchmark_digest != record.benchmark_digest
        assert changed.method_digest == record.method_digest
    for changes in (
        {"config": {"learning_rate": 1e-3}},
        {"algorithm_digest": digest_of("new source")},
        {"transforms": []},
        {"steps": 2000},
    ):
        changed = make_record(**changes)
        assert changed.method_digest != record.method_digest
        assert changed.benchmark_digest == record.benchmark_digest


def test_the_order_of_keys_does_not_change_a_digest() -> None:
    assert digest_of({"a": 1, "b": [True, None]}) == digest_of({"b": [True, None], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 1.5})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b'{"schema_version": 1', "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1, 2]", "has no schema_version"),
        (b"{}", "has no schema_version"),
        (b'{"schema_version": 7}', "has schema version 7; this offbench reads version 1"),
        (b'{"schema_version": 1}', "not a valid run record: algorithm: Field required"),
    ],
)
def test_files_that_are_no_records(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "seed-0.json"
    path.write_bytes(content)
    with pytest.raises(OffbenchError, match=message) as caught:
        read_record(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "0"}, "seed: Input should be a valid integer"),
        ({"wall_seconds": float("nan")}, "wall_seconds: Input should be a finite number"),
        ({"losses": [{"step": 1, "values": {"loss": float("inf")}}]}, r"losses\.0\.values\.loss: .*finite"),
        ({"host": "somewhere"}, "host: Extra inputs are not permitted"),
        ({"config_digest": "0" * 64}, "the record: config_digest is not the digest of config"),
    ],
)
def test_fields_that_are_wrong_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write_changed(tmp_path / "seed-0.json", **changes)
    with pytest.raises(OffbenchError, match=message):
        read_record(path)


def test_a_missing_path_is_said(tmp_path: Path) -> None:
    with pytest.raises(OffbenchError, match=r"cannot read the run record .*seed-9\.json: No such file"):
        read_record(tmp_path / "seed-9.json")
    with pytest.raises(OffbenchError, match="there is no run folder or run record"):
        read_records([tmp_path / "absent"])
    with pytest.raises(OffbenchError, match="has no run records"):
        read_records([tmp_path])
    with pytest.raises(OffbenchError, match="no run records were named"):
        read_records([])


def test_folders_are_searched_at_any_depth_and_files_read_once(tmp_path: Path) -> None:
    for algorithm in ("bc", "iql"):
        for seed in range(3):
            write_record(make_record(algorithm=algorithm, seed=seed), tmp_path / "a" / algorithm / f"seed-{seed}.json")
    (tmp_path / "a" / "manifest.json").write_text("not a record")
    records = read_records([tmp_path / "a" / "iql" / "seed-1.json", tmp_path, tmp_path / "a"])
    assert [(record.algorithm, record.seed) for record in records] == [
        ("iql", 1),
        ("bc", 0),
        ("bc", 1),
        ("bc", 2),
        ("iql", 0),
        ("iql", 2),
    ]


def test_the_same_seed_of_a_run_twice_is_refused(tmp_path: Path) -> None:
    write_record(make_record([1.0], seed=4), tmp_path / "one" / "seed-4.json")
    write_record(make_record([2.0], seed=4), tmp_path / "two" / "seed-4.json")
    with pytest.raises(OffbenchError, match=r"one/seed-4\.json and .*two/seed-4\.json are the same run .*seed 4"):
        read_records([tmp_path])
    write_record(make_record([2.0], seed=4, steps=2000), tmp_path / "two" / "seed-4.json")
    assert len(read_records([tmp_path])) == 2
