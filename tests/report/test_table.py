import math

import pytest
from synthetic_records import make_evaluation, make_record, make_task, seeds, two_by_two

from offbench.evaluation.aggregates import interval, iqm
from offbench.report.rendering import render
from offbench.report.table import build


def test_cells_summarise_seeds_not_episodes() -> None:
    cell = build(seeds([80.0, 90.0, 100.0])).cells[0]
    assert cell.summary.mean == pytest.approx(90.0)
    assert cell.summary.std == pytest.approx(10.0)
    margin = 4.302653 * 10 / math.sqrt(3)
    assert cell.summary.interval == pytest.approx((90 - margin, 90 + margin))
    assert (cell.summary.seeds, cell.episodes, cell.steps) == (3, 6, 1000)


def test_the_last_evaluation_is_reported_even_if_an_earlier_one_was_better() -> None:
    evaluations = [make_evaluation(500, [-150.0]), make_evaluation(1000, [-1200.0])]
    assert build([make_record(evaluations=evaluations)]).cells[0].summary.mean == pytest.approx(0.0)


def test_bold_is_the_best_and_what_lies_within_its_interval() -> None:
    # The best has mean 90 and interval 90 -+ 4.97.
    best = seeds([88.0, 90.0, 92.0], algorithm="best")
    near = seeds([86.0, 86.0, 86.0], algorithm="near")
    below = seeds([84.9, 84.9, 84.9], algorithm="below")
    bold = {cell.group.algorithm: cell.bold for cell in build([*best, *near, *below]).cells}
    assert bold == {"best": True, "near": True, "below": False}


def test_nothing_is_bold_without_a_rival_and_one_seed_has_no_interval_to_share() -> None:
    assert not build(seeds([1.0, 2.0])).cells[0].bold
    table = build([*seeds([50.0], algorithm="a"), *seeds([49.9], algorithm="b")])
    assert [cell.bold for cell in table.cells] == [True, False]


def test_the_interquartile_mean_is_over_all_runs_of_complete_algorithms() -> None:
    records = [*two_by_two(), *seeds([99.0], algorithm="partial", dataset="maze_a")]
    overall = {row.algorithm: row for row in build(records).overall}
    assert sorted(overall) == ["bc", "iql"]
    # 10 12 14 50 60 without the lowest and the highest.
    assert overall["bc"].mean == pytest.approx((12 + 14 + 50) / 3)
    expected = interval(iqm, [[10, 12, 14], [50, 60]])
    assert overall["bc"].interval == pytest.approx(expected)
    assert (overall["bc"].runs, overall["bc"].episodes) == (5, 10)
    # Its one run on a dataset says nothing of the spread there.
    assert overall["iql"].interval is None
    assert build(seeds([1.0])).overall == ()


def test_each_note_is_given_once_with_the_cells_that_it_is_about() -> None:
    records = [
        *seeds([1.0, 2.0], algorithm="bc", dataset="a", notes=["no preset", "read as it is"]),
        *seeds([1.0, 2.0], algorithm="iql", dataset="a", notes=["read as it is", "preset of a"]),
        *seeds([1.0, 2.0], algorithm="bc", dataset="b", notes=["no preset", "read as it is"]),
    ]
    assert build(records).notes == (
        "note on bc on a, b: no preset",
        "note: read as it is",
        "note on iql on a: preset of a",
    )
    assert "note" not in "".join(build(seeds([1.0])).notes)
    for form in ("terminal", "markdown", "latex", "csv"):
        assert "read as it is" in render(build(records), form)


def test_seeds_that_succeed_or_fail_are_cautioned_against_wherever_they_are_printed() -> None:
    table = build([*seeds([90.0, 5.0, 92.0], algorithm="iql"), *seeds([90.0, 91.0, 92.0], algorithm="bc")])
    (told,) = table.notes
    assert told.startswith("caution on iql on offbench/pendulum/mixed-v0: seeds succeed or fail, 1 of 3 near 5")
    for form in ("terminal", "markdown", "latex"):
        assert "succeed or fail" in " ".join(render(table, form).split())


def test_success_rates_stand_beside_scores_where_returns_are_zero_or_one() -> None:
    maze = make_task(low=0.0, high=1.0)
    records = [
        make_record(task=maze, seed=seed, evaluations=[make_evaluation(1000, values)], algorithm=algorithm)
        for algorithm, both in (("iql", ([1.0, 1.0, 0.0, 1.0], [1.0] * 4)), ("bc", ([0.0] * 4,)))
        for seed, values in enumerate(both)
    ]
    first, second = build(records).notes
    assert first == "success of bc on offbench/pendulum/mixed-v0: 0.0% of 4 episodes, last evaluation; " + (
        "interval: Korn-Graubard, seeds as clusters"
    )
    assert second.startswith("success of iql on offbench/pendulum/mixed-v0: 87.5% [")
    assert build(seeds([50.0])).notes == ()
