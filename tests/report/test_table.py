import json
import math

import pytest
from synthetic_records import make_evaluation, make_record, make_task, make_tuning, seeds, two_by_two

from offbench.algorithms.published import published_scores
from offbench.catalog.cards import cards
from offbench.errors import OffbenchError
from offbench.evaluation.aggregates import interval, iqm
from offbench.report.beside import DATA_BEST, DATA_MEAN
from offbench.report.labels import read_labels
from offbench.report.rendering import render
from offbench.report.statistic import STATISTICS
from offbench.report.table import build

LABELS = read_labels(None)


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


def test_marks_are_the_best_and_what_a_test_does_not_tell_from_it() -> None:
    best = seeds([88.0, 90.0, 92.0, 91.0, 89.0], algorithm="best")
    near = seeds([86.0, 92.0, 87.0, 90.0, 89.0], algorithm="near")
    below = seeds([80.0, 81.0, 82.0, 80.5, 81.5], algorithm="below")
    marks = {cell.group.algorithm: cell.mark for cell in build([*best, *near, *below]).cells}
    assert marks == {"best": "best", "near": "tied", "below": ""}
    # Each dataset has its own best, and one seed alone is tied with nothing.
    other = [*seeds([50.0], algorithm="near", dataset="b"), *seeds([49.9], algorithm="best", dataset="b")]
    cells = build([*best, *near, *other]).cells
    assert [cell.mark for cell in cells if cell.group.dataset == "b"] == ["", "best"]
    equal = build([*seeds([50.0, 60.0], algorithm="a"), *seeds([50.0, 60.0], algorithm="b")]).cells
    assert [cell.mark for cell in equal] == ["best", "best"]
    assert not build(seeds([1.0, 2.0])).cells[0].bold


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


def test_an_iqm_over_unequal_numbers_of_runs_is_told() -> None:
    table = build(two_by_two())
    assert table.notes == ("IQM: a dataset with more runs counts for more; bc has 2 to 3, iql has 1 to 3 a dataset",)
    even = [record for record in two_by_two() if record.seed == 0]
    assert build(even).notes == build(two_by_two(), measure="median").notes == ()


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


def test_a_domain_has_an_average_of_methods_that_are_complete_in_it() -> None:
    names = [f"d4rl/hopper-{kind}-v2" for kind in ("medium", "expert")] + ["d4rl/antmaze-umaze-v2", "mine"]
    records = [
        one
        for i, name in enumerate(names)
        for algorithm in ("bc", "iql")
        if (algorithm, i) != ("bc", 1)
        for one in seeds([10.0 * i, 10.0 * i + 4], algorithm=algorithm, dataset=name)
    ]
    table = build(records, labels=LABELS)
    assert table.datasets == ["Hopper expert", "Hopper medium", "AntMaze umaze", "mine"]
    (average,) = table.averages
    assert (average.label, average.algorithm, average.mean) == ("Locomotion, mean of 2", "IQL", pytest.approx(7.0))
    assert average.interval is not None
    assert average.interval[0] < 7 < average.interval[1]
    assert [row.algorithm for row in table.overall] == ["IQL"]


def test_statistics() -> None:
    evaluations = [
        [make_evaluation(500, [-150.0, -1200.0]), make_evaluation(1000, [-1200.0 + 10.5 * score] * 2)]
        for score in (0.0, 10.0, 20.0, 70.0)
    ]
    records = [make_record(evaluations=one, seed=seed) for seed, one in enumerate(evaluations)]

    def value(measure: str) -> float:
        return build(records, measure=measure).cells[0].summary.mean

    assert value("mean") == pytest.approx(25.0)
    assert value("median") == pytest.approx(15.0)
    assert value("iqm") == pytest.approx(15.0)
    assert value("best") == pytest.approx((50 + 50 + 50 + 70) / 4)
    assert value("cvar") == pytest.approx(0.0)
    for measure in STATISTICS.keys() - {"success"}:
        bounds = build(records, measure=measure).cells[0].summary.interval
        assert bounds is not None
        assert bounds[0] <= value(measure) <= bounds[1]
        assert build(records[:1], measure=measure).cells[0].summary.interval is None
        drawn = measure in ("median", "iqm", "cvar")
        assert build(records, measure=measure).method == ("bootstrap over seeds" if drawn else "Student t over seeds")
    with pytest.raises(OffbenchError, match="success rate needs returns of 0 and 1"):
        value("success")
    task = make_task(low=0.0, high=1.0)
    returns = [[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    won = [make_record(evaluations=[make_evaluation(9, one)], seed=i, task=task) for i, one in enumerate(returns)]
    assert build(won, measure="success").cells[0].summary.mean == pytest.approx(75.0)


def test_rows_and_columns_are_fields() -> None:
    records = [
        one
        for beta in (10.0, 2.0)
        for expectile in (0.7, 0.9)
        for one in seeds([beta, expectile], algorithm="iql", config={"beta": beta, "net": {"expectile": expectile}})
    ]
    table = build(records, rows=["beta"], columns=["net.expectile"], labels=LABELS)
    assert (table.rows, table.columns) == (("config.beta",), ("config.net.expectile",))
    assert table.row_order == (("2",), ("10",))
    assert table.column_order == (("0.7",), ("0.9",))
    assert "algorithm: IQL" in table.notes
    assert "dataset: Pendulum mixed" in table.notes
    with pytest.raises(OffbenchError, match=r"would share the cell 10, .*they are not averaged"):
        build(records, rows=["beta"], columns=["dataset"])
    with pytest.raises(OffbenchError, match="betta"):
        build(records, rows=["betta"])


def test_labels_tell_settings_apart() -> None:
    records = [
        *seeds([1.0], algorithm="bc", config={"top_fraction": 1.0}),
        *seeds([2.0], algorithm="bc", config={"top_fraction": 0.1}),
    ]
    assert build(records, labels=LABELS).algorithms == ["10% BC", "BC"]
    assert build(records).algorithms == ["bc (top_fraction=0.1)", "bc (top_fraction=1.0)"]


def test_published_scores_and_those_of_the_data_stand_beside(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    records = seeds([50.0, 60.0], algorithm="iql", dataset="d4rl/hopper-medium-v2")
    table = build(records, labels=LABELS, others=["iql", "b*"], data=True)
    by_name = {one.name: one for one in table.beside}
    theirs = next(one for one in published_scores("iql") if one.dataset == "d4rl/hopper-medium-v2")
    assert (by_name["IQL"].value, by_name["IQL"].std, by_name["IQL"].seeds) == (theirs.mean, theirs.std, theirs.seeds)
    assert {"BC", "10% BC", "IQL"} <= by_name.keys()
    card = cards()["d4rl/hopper-medium-v2"]
    if records[0].dataset_revision == card.revision:
        assert by_name[DATA_MEAN].value == pytest.approx(100 * (card.mean_return + 1200) / 1050)
    assert by_name[DATA_BEST].value is None
    assert not [cell for cell in table.cells if cell.group.algorithm != "IQL"]
    with pytest.raises(OffbenchError, match="published algorithm"):
        build(records, others=["nobody"])


def test_each_task_of_a_dataset_has_what_stands_beside_on_its_own_scale(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    card = cards()["d4rl/hopper-medium-v2"]
    tasks = [make_task(name=f"hopper-{high:.0f}", low=0.0, high=high) for high in (1000.0, 2000.0)]
    records = [
        one for task in tasks for one in seeds([50.0, 60.0], dataset=card.id, dataset_revision=card.revision, task=task)
    ]
    table = build(records, labels=LABELS, others=["iql"], data=True)
    assert len(table.datasets) == 2
    assert table.domains == dict.fromkeys(table.datasets, "Locomotion")
    for label, task in zip(table.datasets, tasks, strict=True):
        beside = {one.name: one.value for one in table.beside if one.dataset == label}
        assert beside[DATA_MEAN] == pytest.approx(100 * card.mean_return / task.high)
        assert beside["IQL"] is not None


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


def test_tuning_and_its_budget_stand_where_the_number_stands():
    tuning = make_tuning(runs=60, episodes=1200, failed=2, objective="auc", tuner="tpe")
    tuned = [make_record([7.0], seed=seed, algorithm="iql", tuning=tuning, tuning_runs=60) for seed in (5, 6)]
    built = build([*tuned, make_record([3.0])])
    shown = render(built, "terminal", width=140)
    header, line = (next(each for each in shown.splitlines() if word in each) for word in ("Steps", "  iql"))
    assert header.endswith("Tuning")
    assert line.endswith("online, 60 runs")
    assert "20 configurations by TPE, 2 of which failed, chosen by the area under the curve on the seeds 0, 1, 2" in (
        " ".join(shown.split())
    )
    first = json.loads(render(built, "json"))["cells"][1]
    assert [first[f"tuning_{what}"] for what in ("kind", "runs", "episodes")] == ["online", 60, 1200]
    assert "online, 60 runs, 1,200 episodes" in render(built, "markdown", layout="wide")
    assert "Tuning" not in render(build([make_record([3.0])]), "terminal", width=140)
