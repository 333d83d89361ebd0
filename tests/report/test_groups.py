from typing import Any

import pytest
from synthetic_records import make_record, make_task, make_tuning

from offbench.errors import OffbenchError
from offbench.evaluation.record import digest_of
from offbench.report.groups import group

DATASET = "offbench/pendulum/mixed-v0"


def labels(records: list[Any]) -> list[tuple[str, str, list[int]]]:
    groups, _ = group(records)
    return [(one.dataset, one.algorithm, [record.seed for record in one.records]) for one in groups]


def test_seeds_of_one_run_are_one_group_whatever_their_order() -> None:
    records = [make_record(seed=seed, algorithm=name) for seed in (2, 0, 1) for name in ("iql", "bc")]
    assert labels(records) == [(DATASET, "bc", [0, 1, 2]), (DATASET, "iql", [0, 1, 2])]


def test_configurations_are_told_apart_by_what_differs() -> None:
    records = [
        make_record(seed=seed, algorithm="iql", config={"expectile": expectile, "beta": 3.0, "net": {"width": 256}})
        for seed in (0, 1)
        for expectile in (0.7, 0.9)
    ]
    assert labels(records) == [(DATASET, "iql (expectile=0.7)", [0, 1]), (DATASET, "iql (expectile=0.9)", [0, 1])]


def test_presets_that_differ_between_datasets_need_no_name() -> None:
    records = [
        make_record(algorithm="iql", dataset=name, config={"expectile": expectile})
        for name, expectile in (("a", 0.7), ("b", 0.9))
    ]
    assert labels(records) == [("a", "iql", [0]), ("b", "iql", [0])]


def test_a_configuration_keeps_its_label_across_datasets() -> None:
    records = [make_record(dataset=name, config={"rate": rate}) for name in ("a", "b") for rate in (1, 2)]
    records += [make_record(dataset="c", config={"rate": 1})]
    assert [label for _, label, _ in labels(records)] == ["bc (rate=1)", "bc (rate=2)"] * 2 + ["bc (rate=1)"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"steps": 2000}, ["bc (steps=1000)", "bc (steps=2000)"]),
        (
            {"algorithm_digest": digest_of("new")},
            [f"bc (source={digest_of(text)[:6]})" for text in ("new", "source of bc")],
        ),
        ({"code_digest": "0" * 64}, ["bc (code=)", "bc (code=000000)"]),
        (
            {"transforms": []},
            ["bc (transform 0=absent)", 'bc (transform 0={"epsilon": 0.001, "step": "normalise_states"})'],
        ),
        (
            {"config": {"hidden": [1]}},
            ["bc (learning_rate=0.0003, hidden=[256, 256])", "bc (learning_rate=absent, hidden=[1])"],
        ),
    ],
)
def test_whatever_else_differs_is_never_averaged(changes: dict[str, Any], expected: list[str]) -> None:
    records = [make_record(), make_record(**changes, seed=1)]
    assert [label for _, label, _ in labels(records)] == expected


def test_many_differences_are_named_by_a_digest() -> None:
    records = [make_record(config={f"option_{i}": value for i in range(5)}) for value in (1, 2)]
    assert {label for _, label, _ in labels(records)} == {f"bc ({record.method_digest[:6]})" for record in records}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"dataset_digest": "f" * 64}, {f"data={digest_of('data')[:6]}", "data=ffffff"}),
        ({"dataset_revision": 2}, {"revision=1", "revision=2"}),
        ({"task": make_task(low=-1000.0)}, {"low=-1000.0", "low=-1200.0"}),
        ({"task": make_task(simulators={"gymnasium": "1.5.0"})}, {"gymnasium=1.4.0", "gymnasium=1.5.0"}),
        ({"task": make_task(dynamics="d4rl")}, {"dynamics=installed", "dynamics=d4rl"}),
        ({"task": make_task(name="other")}, {"task=pendulum", "task=other"}),
        ({"task": make_task(arguments={"g": 9.81})}, {"g=absent", "g=9.81"}),
    ],
)
def test_different_data_and_tasks_are_different_rows(changes: dict[str, Any], expected: set[str]) -> None:
    records = [make_record(), make_record(**changes, seed=1)]
    assert {label for label, _, _ in labels(records)} == {f"{DATASET} ({text})" for text in expected}


def test_runs_without_scores_are_left_out_and_said() -> None:
    records = [
        make_record(),
        make_record(algorithm="iql", evaluations=[]),
        make_record(algorithm="iql", evaluations=[], seed=1),
    ]
    groups, notes = group(records)
    assert len(groups) == 1
    assert notes == [f"left out, because never evaluated: iql on {DATASET}, 2 seeds"]
    with pytest.raises(OffbenchError, match="none of the 2 run records has an evaluation"):
        group(records[1:])


def test_a_seed_twice_is_refused() -> None:
    with pytest.raises(OffbenchError, match="a seed twice"):
        group([make_record([1.0]), make_record([2.0])])


def trials(count: int = 2, **changes: Any) -> list[Any]:
    return [
        make_record([10.0 * number, 10.0 * number], seed=seed, tuning=tuning, config={"rate": float(number)}, **changes)
        for number in range(count)
        for tuning in [make_tuning(role="trial", trial=number)]
        for seed in (0, 1)
    ]


def result(seeds: tuple[int, ...] = (5, 6), **changes: Any) -> list[Any]:
    tuning = make_tuning(runs=4, episodes=8, trial=1, **changes)
    return [make_record([7.0], seed=s, tuning=tuning, tuning_runs=4, config={"rate": 1.0}) for s in seeds]


def test_trials_are_never_averaged_with_the_result_nor_shown_beside_it() -> None:
    found, notes = group([*trials(), *result()])
    assert [(one.algorithm, [record.seed for record in one.records]) for one in found] == [("bc", [5, 6])]
    assert notes == [f"left out, because a configuration was chosen by them: bc on {DATASET}, 4 runs"]


def test_trials_alone_are_shown_as_such() -> None:
    found, notes = group(trials())
    assert [one.algorithm for one in found] == ["bc (rate=0.0)", "bc (rate=1.0)"]
    assert len(notes) == 1
    assert "the best of them was chosen by these very scores" in notes[0]
    found, notes = group([*trials(), *result()], trials=True)
    assert sorted(len(one.records) for one in found) == [2, 2, 2]
    assert not notes


def test_runs_of_one_configuration_that_was_tuned_and_was_not_are_told_apart() -> None:
    plain = [make_record([3.0], seed=seed, config={"rate": 1.0}) for seed in (0, 1)]
    assert labels([*plain, *result()]) == [
        (DATASET, "bc (tuning=none)", [0, 1]),
        (DATASET, "bc (tuning=online, 4 runs, 8 episodes)", [5, 6]),
    ]
