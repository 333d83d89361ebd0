import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbench.environments.task import task
from offbench.errors import OffbenchError
from offbench.evaluation.record import EvaluationRecord, LossRecord
from offbench.training.manifest import Progress
from offbench.training.metric_rows import EVALUATION, columns, known_rows, rows_of
from offbench.training.plan import Plan

PENDULUM = task("pendulum")


def plan(seeds) -> Plan:
    return Plan.model_construct(algorithm="mine", seeds=seeds)


def loss(step: int) -> LossRecord:
    return LossRecord(step=step, values={"loss": step / 7})


def evaluation(step: int, returns=(-200.0, -400.0), lengths=(200, 100)) -> EvaluationRecord:
    return EvaluationRecord(step=step, environment_seeds=[1, 2], returns=list(returns), lengths=list(lengths))


def test_a_row_is_what_was_logged_and_scored_after_one_step():
    found = rows_of(3, [loss(5), loss(10)], [evaluation(10), evaluation(12)], PENDULUM)
    assert [(row.step, row.seed) for row in found] == [(5, 3), (10, 3), (12, 3)]
    assert [list(row.values) for row in found] == [["loss"], ["loss", *EVALUATION], list(EVALUATION)]
    score = float(np.mean([PENDULUM.score(-200.0), PENDULUM.score(-400.0)]))
    assert found[1].values == {
        "loss": 10 / 7,
        "evaluation/score": pytest.approx(score),
        "evaluation/return": -300.0,
        "evaluation/length": 150.0,
    }


def test_without_a_task_there_are_no_scores():
    assert [row.values for row in rows_of(0, [loss(1)], [], None)] == [{"loss": 1 / 7}]


steps = st.lists(st.integers(1, 30), unique=True).map(sorted)


@given(st.lists(st.tuples(steps, steps), min_size=1, max_size=4), st.lists(st.integers(0, 31)).map(sorted))
def test_rows_told_piece_by_piece_are_all_rows_in_the_order_of_steps_and_seeds(each, cuts):
    seeds = list(range(len(each)))[::-1]  # the order is the plan's, not that of numbers
    progress = Progress(
        losses=[[loss(step) for step in own] for own, _ in each],
        evaluations=[[evaluation(step) for step in own] for _, own in each],
        totals=[],
    )
    whole = known_rows(plan(seeds), progress, PENDULUM)
    places = [(row.step, seeds.index(row.seed)) for row in whole]
    assert places == sorted({(step, row) for row, own in enumerate(each) for step in (*own[0], *own[1])})
    told, last = [], 0
    for cut in [*cuts, 31]:
        told += known_rows(plan(seeds), progress, PENDULUM, last, cut)
        last = cut
    assert told == whole


def test_seeds_that_a_learner_was_not_fitted_with_yet_have_no_rows():
    progress = Progress(losses=[[]], evaluations=[[evaluation(7)]], totals=[])
    assert [(row.step, row.seed) for row in known_rows(plan([4, 5]), progress, PENDULUM)] == [(7, 4)]


@pytest.mark.parametrize("name", ["seed", "step", "evaluation/score", "loss"])
def test_metrics_that_a_table_could_not_tell_apart_are_refused(name):
    assert columns(plan([0]), ["loss"], PENDULUM) == ("loss", *EVALUATION)
    assert columns(plan([0]), ["loss"], None) == ("loss",)
    with pytest.raises(OffbenchError, match=f"a metric of mine is called '{name}', as another value in metrics.csv is"):
        columns(plan([0]), ["loss", name], PENDULUM)


@pytest.mark.parametrize("name", ["", "two\nlines", "\r"])
def test_metrics_without_a_name_that_can_be_shown_are_refused(name):
    with pytest.raises(OffbenchError, match="a name that can be shown would be right"):
        columns(plan([0]), [name], None)
