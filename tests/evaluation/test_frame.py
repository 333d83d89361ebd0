import sys
from pathlib import Path

import pandas as pd
import pytest
from synthetic_records import make_curves, make_record

import offbench
from offbench.errors import OffbenchError
from offbench.evaluation.frame import rows
from offbench.evaluation.index import read_indexed
from offbench.evaluation.record_files import read_records, write_record


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    for record in make_curves("iql", "maze", final=80, seeds=3, points=4, config={"beta": 3.0, "net": {"width": [8]}}):
        write_record(record, tmp_path / "runs" / f"seed-{record.seed}.json")
    write_record(make_record(evaluations=[], algorithm="bc", task=None), tmp_path / "runs" / "x" / "seed-0.json")
    return tmp_path / "runs"


def test_a_row_a_record(runs: Path) -> None:
    frame = offbench.records(runs)
    records = read_records([runs])
    assert len(frame) == 4
    assert list(frame.algorithm) == ["iql", "iql", "iql", "bc"]
    assert list(frame.seed) == [0, 1, 2, 0]
    assert list(frame.final_score[:3]) == pytest.approx([record.final_score for record in records[:3]])
    assert list(frame.best_score[:3]) == pytest.approx([record.best_score for record in records[:3]])
    assert (frame.best_score[:3] >= frame.final_score[:3]).all()
    assert list(frame["config.net.width"])[:3] == ["[8]"] * 3
    assert frame["config.learning_rate"].isna().tolist() == [True, True, True, False]
    assert pd.isna(frame.final_score[3])
    assert pd.isna(frame.task[3])
    assert list(frame.method_digest) == [record.method_digest for record in records]
    assert frame.created.dtype.kind == "M"
    assert list(frame["packages.torch"]) == ["2.13.0"] * 4


def test_a_row_an_evaluation(runs: Path) -> None:
    frame = offbench.records([runs / "seed-0.json", str(runs)], per="evaluation")
    record = read_records([runs / "seed-0.json"])[0]
    own = frame[frame.seed == 0]
    assert len(frame) == 15
    assert list(own.step) == [evaluation.step for evaluation in record.evaluations]
    assert list(own.score) == pytest.approx([record.scores(evaluation).mean() for evaluation in record.evaluations])
    assert set(frame["config.beta"]) == {3.0}


def test_all_rows_have_the_same_columns(runs: Path) -> None:
    found = rows(read_indexed([runs]))
    assert len({tuple(row) for row in found}) == 1
    assert all(isinstance(value, str | int | float | None) for row in found for value in row.values())
    with pytest.raises(OffbenchError, match="evaluation"):
        rows(read_indexed([runs]), "evaluatoin")  # type: ignore[arg-type]


def test_a_missing_pandas_is_said(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(OffbenchError, match=r"pip install 'offbench\[pandas\]'"):
        offbench.records(runs)
