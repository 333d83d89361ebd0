from offbench.algorithms.published import PublishedRow
from offbench.leaderboard.published_page import dataset_rows, suite_rows


def row(method: str, dataset: str, mean: float, **changes: object) -> PublishedRow:
    fields = {"algorithm": None, "statistic": "last", "stage": None, "spread": 1.0, "spread_kind": "std", "seeds": 4}
    fields |= {"updates": None, "episodes": 10, "source": "Source"}
    return PublishedRow.model_validate({"method": method, "dataset": dataset, "mean": mean, **fields, **changes})


COLUMNS = [
    {"kind": "task", "title": "A", "key": "a"},
    {"kind": "task", "title": "B", "key": "b"},
    {"kind": "domain", "title": "Mean", "key": "maze"},
]


def test_a_method_is_a_row_a_source_and_statistic_and_the_fullest_come_first():
    rows = [row("IQL", "a", 1.0), row("BC", "a", 2.0), row("BC", "b", 3.0), row("IQL", "b", 4.0, statistic="best")]
    made = suite_rows([*rows, row("BC", "elsewhere", 5.0)], COLUMNS)
    values = [[each["value"].mean if each["value"] else None for each in one["cells"]] for one in made]
    assert [one["method"] for one in made] == ["BC", "IQL", "IQL"]
    assert values[0] == [2.0, 3.0, None]  # others' scores are not averaged
    assert sorted(values[1:], key=str) == [[1.0, None, None], [None, 4.0, None]]
    assert {one["reason"] for one in made[1:]} == {"last evaluation, Source", "best evaluation of each run, Source"}
    assert all(one["rank"] is None and one["level"] is None for one in made)


def test_what_was_trained_by_acting_is_left_out():
    rows = [row("SPOT", "a", 1.0, stage="online"), row("SPOT", "a", 2.0, stage="offline")]
    assert [one["cells"][0]["value"].mean for one in suite_rows(rows, COLUMNS)] == [2.0]
    assert [one["mean"] for one in dataset_rows(rows, "a")] == [2.0]


def test_suites_without_published_scores_have_no_such_rows():
    assert suite_rows([row("BC", "elsewhere", 1.0)], COLUMNS) == []
