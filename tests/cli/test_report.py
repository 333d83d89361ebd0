import csv
import io
import json
import os
from pathlib import Path

import pytest
from synthetic_records import make_curves, make_record, seeds

from offbench.cli.main import main
from offbench.evaluation.record_files import write_record


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "runs"
    for algorithm, final in (("bc", 20), ("iql", 80)):
        for record in make_curves(algorithm, "maze", final=final, seeds=3, points=4):
            write_record(record, folder / algorithm / f"seed-{record.seed}.json")
    return folder


def test_table_is_printed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "table", str(runs)]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    lines = [line.split() for line in output.out.splitlines()]
    assert [line[0] for line in lines if line and line[0] in ("maze", "BC", "IQL")] == ["maze", "BC", "IQL"]
    assert main(["report", "table", str(runs / "bc"), str(runs / "iql" / "seed-0.json"), "--format", "csv"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split(",")[12] for row in rows] == ["seeds", "3", "1"]


@pytest.mark.parametrize("form", ["terminal", "markdown", "latex", "html", "csv", "json"])
def test_table_is_written_to_a_file_as_it_is_printed(
    runs: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new" / "table.txt"
    assert main(["report", "table", str(runs), "--format", form, "--output", str(target)]) == 0
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == f"wrote {target}\n"
    assert main(["report", "table", str(runs), "--format", form]) == 0
    assert capsys.readouterr().out == target.read_text(encoding="utf-8")


def shown(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["report", *(str(argument) for argument in arguments)]) == 0
    return capsys.readouterr().out


def test_options_of_tables(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\n  iql " in shown(capsys, "table", runs, "--full-names")
    assert shown(capsys, "table", runs, "--layout", "wide").splitlines()[0].split() == ["Dataset", "BC", "IQL"]
    only = shown(capsys, "table", runs, "--where", "algorithm=iql", "--where", "steps>=10000")
    assert "IQL" in only
    assert "BC" not in only
    turned = shown(capsys, "table", runs, "--rows", "algorithm", "--columns", "dataset", "--layout", "wide")
    assert turned.splitlines()[0].split() == ["Algorithm", "maze"]
    by_field = shown(
        capsys, "table", runs, "--rows", "dataset", "--columns", "algorithm", "learning_rate", "--layout", "wide"
    )
    assert "0.0003" in by_field
    assert shown(capsys, "table", runs, "--statistic", "best").split()[2:4] == ["Best", "score"]
    labels = tmp_path / "labels.toml"
    labels.write_text('[algorithms]\niql = "Ours"\n[datasets]\nmaze = "A maze"\n')
    lines = shown(capsys, "table", runs, "--labels", labels, "--layout", "wide").splitlines()
    assert lines[0].split() == ["Dataset", "Ours", "BC"]
    assert lines[2].startswith("A maze ")
    assert "[" in shown(capsys, "table", runs, "--layout", "wide", "--spread", "interval").splitlines()[2]


def test_records_are_written_as_data(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(shown(capsys, "records", runs))))
    assert [(row["algorithm"], row["seed"]) for row in rows] == [(a, s) for a in ("bc", "iql") for s in "012"]
    assert json.loads(rows[0]["config.hidden"]) == [256, 256]
    found = json.loads(
        shown(capsys, "records", runs, "--format", "json", "--where", "algorithm=iql", "--per", "evaluation")
    )
    assert len(found) == 15
    assert {row["step"] for row in found} == {0, 2500, 5000, 7500, 10000}
    assert float(rows[3]["final_score"]) == found[4]["score"]
    target = tmp_path / "runs.csv"
    assert shown(capsys, "records", runs, "--output", target) == ""
    assert len(target.read_text().splitlines()) == 7


def test_curves_are_written_as_png_and_pdf_with_their_data(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "curves", str(runs), "--output", str(tmp_path / "picture.png")]) == 0
    written = [tmp_path / f"picture.{suffix}" for suffix in ("png", "pdf", "csv")]
    assert capsys.readouterr().out == "".join(f"wrote {path}\n" for path in written)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "picture.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("command", ["table", "curves"])
def test_bad_input_is_one_sentence(
    command: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*arguments: object) -> str:
        assert main(["report", command, *(str(argument) for argument in arguments)]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.count("\n") == 1
        return output.err

    assert "no run records were named" in fails()
    assert "there is no run folder or run record" in fails(tmp_path / "absent")
    (tmp_path / "seed-9.json").write_text("{")
    assert "seed-9.json is not a run record: it is not JSON" in fails(runs, tmp_path / "seed-9.json")
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert "cannot write" in fails(runs, "--output", blocked / "x.png")
    write_record(make_record(evaluations=[]), tmp_path / "unevaluated" / "seed-0.json")
    assert "none of the 1 run records has an evaluation" in fails(tmp_path / "unevaluated")


def test_a_terminal_gets_its_width_and_bold_text(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((64, 24)))
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(["report", "table", str(runs)]) == 0
    assert "\x1b[1m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["report", "table", str(runs)]) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 64


@pytest.mark.parametrize("command", [["table"], ["compare", "--baseline", "bc"]])
def test_a_terminal_that_does_not_know_its_width_is_printed_to(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    for number, record in enumerate([*seeds([1.0, 2.0]), *seeds([3.0, 4.0], algorithm="iql")]):
        write_record(record, tmp_path / "runs" / f"seed-{number}.json")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((0, 0)))
    assert main(["report", command[0], str(tmp_path / "runs"), *command[1:]]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) > 60
