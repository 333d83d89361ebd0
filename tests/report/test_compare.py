import numpy as np
import pytest
from synthetic_records import make_record, seeds

from offbench.cli.main import main
from offbench.errors import OffbenchError, UnknownNameError
from offbench.evaluation.record_files import write_record
from offbench.report.compare import build, render

BASE = [50.0, 51.0, 52.0, 49.0, 48.0]


def two_datasets(better: float = 5.0):
    """Differences of 5 and a bit on either dataset, for two methods on both and one that lacks the second."""
    records = []
    for dataset in ("maze_a", "maze_b"):
        records += seeds(BASE, algorithm="bc", dataset=dataset)
        records += seeds([value + better + i / 10 for i, value in enumerate(BASE)], algorithm="iql", dataset=dataset)
        records += seeds([value - 1 - i / 10 for i, value in enumerate(BASE)], algorithm="td3", dataset=dataset)
    return [*records, *seeds([value + 1 for value in BASE], algorithm="part", dataset="maze_a")]


def test_each_method_is_compared_on_each_dataset_and_over_all_that_it_covers() -> None:
    built = build(two_datasets(), "bc")
    rows = {(row.dataset, row.method): row for row in built.rows}
    assert list(rows) == [
        ("maze_a", "iql"), ("maze_a", "part"), ("maze_a", "td3"), ("maze_b", "iql"), ("maze_b", "td3"),
        ("mean of 2 datasets", "iql"), ("mean of 2 datasets", "td3"),
    ]  # fmt: skip
    row = rows["maze_a", "iql"]
    assert (row.difference, row.seeds, row.starts) == (pytest.approx(5.2), "5", 10)
    # Five of five seeds agree: the least p, times five rows.
    assert (row.p, row.adjusted) == (2 / 32, pytest.approx(5 * 2 / 32))
    overall = rows["mean of 2 datasets", "iql"]
    assert overall.difference == pytest.approx(5.2)
    assert (overall.p, overall.adjusted, overall.seeds) == (2 / 1024, 4 / 1024, "10")
    assert overall.interval is not None
    assert row.interval is not None
    assert np.diff(overall.interval) < np.diff(row.interval)


def test_what_so_few_seeds_cannot_show_is_said() -> None:
    told = build(two_datasets(), "bc").notes[-1]
    assert told == (
        "5 of 5 rows cannot be significant at 0.05, whatever their scores are: so few seeds give p of at least 0.062, "
        "0.31 after correction for 5 rows; 8 seeds could"
    )
    one = [*seeds(BASE, algorithm="bc"), *seeds([60.0, 61.0, 62.0, 63.0, 64.0], algorithm="iql")]
    assert build(one, "bc").notes[-1].endswith("so few seeds give p of at least 0.062; 6 seeds could")
    assert build(one, "bc", test="t").notes == ()
    # Runs that are dealt anew have more arrangements than pairs: 2 of 252.
    assert build(one, "bc", test="two-sample").notes == ()
    assert build(one, "bc", test="two-sample").rows[0].p == pytest.approx(2 / 252)


def test_a_t_test_of_one_seed_is_said_to_show_nothing() -> None:
    built = build([*seeds([50.0]), *seeds([90.0], algorithm="iql")], "bc", test="t")
    assert built.rows[0].p == 1
    assert built.notes == (
        "1 of 1 rows cannot be significant at 0.05, whatever their scores are: so few seeds give p of at least 1",
    )


def test_rows_that_holm_tests_last_can_be_significant_with_less() -> None:
    ten = [50.0 + i for i in range(10)]
    records = []
    for dataset, scores in (("maze_a", ten), ("maze_b", ten[:6])):
        records += seeds(scores, algorithm="bc", dataset=dataset)
        records += seeds([value + 20 + i for i, value in enumerate(scores)], algorithm="iql", dataset=dataset)
    built = build(records, "bc")
    assert [row.adjusted for row in built.rows[:2]] == [pytest.approx(4 / 1024), pytest.approx(2 / 64)]
    assert built.notes == ()


def test_differences_that_fall_into_two_groups_are_cautioned_against() -> None:
    records = [*seeds([90.0, 91.0, 90.0], algorithm="bc"), *seeds([90.0, 5.0, 92.0], algorithm="iql")]
    assert build(records, "bc").notes[0] == (
        "caution on iql on offbench/pendulum/mixed-v0: 1 of 3 pairs differ by some -86 points and 2 by some +1; "
        "the mean difference is typical of none"
    )


def test_a_baseline_must_be_one_configuration_that_is_there() -> None:
    with pytest.raises(UnknownNameError, match="no algorithm in these runs named 'bcc'; nearest: bc"):
        build(two_datasets(), "bcc")
    with pytest.raises(OffbenchError, match="no other method than bc"):
        build(seeds(BASE), "bc")
    several = [*seeds(BASE), *seeds(BASE, config={"learning_rate": 1.0, "hidden": (8,)}), *seeds(BASE, algorithm="iql")]
    with pytest.raises(OffbenchError, match="bc has several configurations on offbench/pendulum/mixed-v0; name one of"):
        build(several, "bc")
    missing = [*two_datasets(), *seeds(BASE, algorithm="iql", dataset="maze_c")]
    assert "left out: maze_c, which has no run of bc" in build(missing, "bc").notes


def test_the_command_prints_a_table_that_fits_and_markdown(tmp_path, capsys) -> None:
    for number, record in enumerate([*two_datasets(), make_record(algorithm="x|y", dataset="maze_a")]):
        write_record(record, tmp_path / f"seed-{number}.json")
    assert main(["report", "compare", str(tmp_path), "--baseline", "bc"]) == 0
    printed = capsys.readouterr().out
    assert all(len(line) <= 120 for line in printed.splitlines())
    assert "+5.2" in printed
    assert "Holm: corrected for all rows" in printed
    assert main(["report", "compare", str(tmp_path), "--baseline", "bc", "--format", "markdown", "--test", "t"]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [line for line in lines if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in cells} == {9}
    assert main(["report", "compare", str(tmp_path), "--baseline", "nobody"]) == 2
    assert "no algorithm in these runs named 'nobody'" in capsys.readouterr().err


def test_hostile_names_stay_on_their_line() -> None:
    records = [*seeds(BASE, algorithm="bc"), *seeds(BASE, algorithm="i\x1b[2Jql\n| x")]
    for form in ("terminal", "markdown"):
        assert "\x1b" not in render(build(records, "bc"), form)


def test_markdown_shows_names_as_they_are() -> None:
    records = [*seeds(BASE, algorithm="bc"), *seeds(BASE, algorithm="a_b_<img src=x>*c*", config={"k": 1})]
    text = render(build(records, "bc"), "markdown")
    assert r"| a\_b\_\<img src=x\>\*c\* |" in text
    assert "<img" not in text.replace(r"\<img", "")
