import csv
import time

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbench.errors import OffbenchError
from offbench.training.metric_rows import Row
from offbench.training.metrics_file import MetricsFile

printable = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1)
names = st.lists(printable, unique=True, max_size=4)  # as `columns` lets them pass
numbers = st.floats(allow_nan=False, allow_infinity=False)
tables = names.flatmap(
    lambda own: st.tuples(
        st.just(own),
        st.lists(
            st.builds(
                Row,
                st.integers(0, 2**40),
                st.integers(0, 2**63 - 1),
                st.fixed_dictionaries({}, optional=dict.fromkeys(own, numbers)),
            ),
            max_size=6,
        ),
    )
)


def read(path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@given(tables, st.integers(0, 6))
def test_rows_come_back_to_the_last_bit_whatever_metrics_are_called(tmp_path_factory, table, told):
    columns, rows = table
    folder = tmp_path_factory.mktemp("run")
    file = MetricsFile(folder, columns, rows[:told])
    for row in rows[told:]:
        file.add([row])
    file.settle()
    with file.path.open(newline="", encoding="utf-8") as opened:
        head, *found = csv.reader(opened)
    assert head == ["seed", "step", *columns]
    cells = [[str(row.seed), str(row.step), *(row.values.get(name) for name in columns)] for row in rows]
    numbers = [[*line[:2], *(float(cell) if cell else None for cell in line[2:])] for line in found]
    assert numbers == cells


def test_a_metric_that_a_row_has_not_is_no_number_for_pandas(tmp_path):
    MetricsFile(
        tmp_path, ["loss", "evaluation/score"], [Row(5, 0, {"loss": 0.1}), Row(5, 1, {"evaluation/score": 2.0})]
    )
    table = pd.read_csv(tmp_path / "metrics.csv")
    assert table[["seed", "step"]].to_numpy().tolist() == [[0, 5], [1, 5]]
    assert table["loss"].isna().tolist() == [False, True]


def test_where_a_run_goes_on_the_rows_that_it_told_replace_all_that_is_there(tmp_path):
    first = MetricsFile(tmp_path, ["loss"], [])
    first.add([Row(step, 0, {"loss": float(step)}) for step in (1, 2, 3, 4)])
    first.settle()
    second = MetricsFile(tmp_path, ["loss"], [Row(1, 0, {"loss": 1.0}), Row(2, 0, {"loss": 2.0})])
    assert [line["step"] for line in read(second.path)] == ["1", "2"]
    second.add([Row(3, 0, {"loss": 3.0})])
    second.settle()
    assert [line["step"] for line in read(second.path)] == ["1", "2", "3"]


def test_rows_are_seen_at_once_unless_writing_would_cost_more_than_two_percent(tmp_path, monkeypatch):
    file = MetricsFile(tmp_path, ["loss"], [])
    now = file._written
    file._took = 0.1
    monkeypatch.setattr(time, "monotonic", lambda: now)
    file.add([Row(1, 0, {"loss": 1.0})])
    assert read(file.path) == []
    now += 5.1
    file.add([Row(2, 0, {"loss": 1.0})])
    assert [line["step"] for line in read(file.path)] == ["1", "2"]


def test_what_was_written_already_is_not_written_again(tmp_path):
    file = MetricsFile(tmp_path, ["loss"], [Row(1, 0, {"loss": 1.0})])
    before = file.path.stat().st_ino
    file.settle()
    assert file.path.stat().st_ino == before
    file._took = 3600.0
    file.add([Row(2, 0, {"loss": 1.0})])
    file.settle()
    assert file.path.stat().st_ino != before


@pytest.mark.parametrize("content", [b"", b"seed,step,other\n", b"my notes"])
def test_a_file_of_something_else_is_left_alone(tmp_path, content):
    (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(OffbenchError, match=r"metrics.csv holds no metrics of this run, and is not replaced"):
        MetricsFile(tmp_path, ["loss"], [])
    assert (tmp_path / "metrics.csv").read_bytes() == content


def test_a_link_is_left_alone(tmp_path):
    MetricsFile(tmp_path / "other", ["loss"], [])
    (tmp_path / "metrics.csv").symlink_to(tmp_path / "other" / "metrics.csv")
    with pytest.raises(OffbenchError, match="holds no metrics of this run"):
        MetricsFile(tmp_path, ["loss"], [])
