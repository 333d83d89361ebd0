from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from synthetic_records import make_evaluation, make_record, make_task

from offbench.errors import OffbenchError
from offbench.evaluation.record import EvaluationRecord, LossRecord, digest_of


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
