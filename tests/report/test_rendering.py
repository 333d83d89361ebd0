import csv
import io
import re

import numpy as np
import pytest
from rich.cells import cell_len
from synthetic_records import make_record, seeds, two_by_two

from offbench.report.rendering import render
from offbench.report.table import build


def test_terminal_lines() -> None:
    text = render(build(two_by_two()), "terminal", width=100)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "Dataset, algorithm Score ± Std 95% interval Seeds Episodes Steps"
    at = lines.index("maze_a")
    assert lines[at + 1] == "bc 12.0 2.0 [7.0, 17.0] 3 6 1000"
    assert lines[at + 2] == "iql 90.0 10.0 [65.2, 114.8] 3 6 1000"
    assert "iql 55.0 – – 1 2 1000" in lines  # noqa: RUF001
    assert lines[lines.index("IQM of 2 datasets") + 1].startswith("bc 25.3 – [")  # noqa: RUF001
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_terminal_fits_its_width_with_long_names(width: int) -> None:
    name = "d4rl/a-very-long-dataset-name-with-many-parts-in-it/medium-replay-expert-v2"
    text = render(build(seeds([1.0, 2.0], dataset=name, algorithm="[bold]x[/bold]")), "terminal", width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "[bold]x[/bold]" in text or width < 80


def test_terminal_marks_the_best_in_bold() -> None:
    text = render(build(two_by_two()), "terminal", color=True, width=100)
    assert "\x1b[1m 90.0\x1b[0m" in text
    assert "\x1b[1m 12.0\x1b[0m" not in text


def test_markdown() -> None:
    lines = render(build(two_by_two()), "markdown").splitlines()
    assert lines[0].startswith("| Dataset | Algorithm | Score |")
    assert lines[2] == "| maze\\_a | bc | 12.0 | 2.0 | [7.0, 17.0] | 3 | 6 | 1000 |"
    assert lines[3] == "| maze\\_a | iql | **90.0** | 10.0 | [65.2, 114.8] | 3 | 6 | 1000 |"
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    odd = render(build(seeds([1.0], dataset="a|b\\c")), "markdown")
    assert "| a\\|b\\\\c |" in odd


def test_latex() -> None:
    records = [*two_by_two(), *seeds([99.0], algorithm="x_50%&#$~^{\\}", dataset="maze_a"), make_record(evaluations=[])]
    text = render(build(records), "latex")
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert body[0] == r"\begin{tabular}{lccc}"
    assert body[-1] == r"\end{tabular}"
    assert [line for line in body if line.startswith("\\") and "rule" in line] == [
        r"\toprule",
        r"\midrule",
        r"\midrule",
        r"\bottomrule",
    ]
    header = r"Dataset & bc & iql & x\_50\%\&\#\$\textasciitilde{}\textasciicircum{}\{\textbackslash{}\} \\"
    assert header in body
    assert r"maze\_a & $12.0 \pm 2.0$ & $90.0 \pm 10.0$ & $\mathbf{99.0}$ \\" in body
    assert r"maze\_b & $\mathbf{55.0} \pm 7.1$ & $\mathbf{55.0}$ & -- \\" in body
    assert (
        r"& {\scriptsize $[7.0, 17.0]$, 3 / 6} & {\scriptsize $[65.2, 114.8]$, 3 / 6} & {\scriptsize 1 / 2} \\" in body
    )
    rows = [line.replace(r"\&", "") for line in body if line.endswith(r"\\")]
    assert {row.count("&") for row in rows} == {3}
    assert all(line.startswith("%") for line in text.splitlines() if "left out" in line)
    assert text.isascii()


def test_csv_has_full_precision_and_all_columns() -> None:
    scores = [100 / 3, 200 / 7, 31.4]
    rows = list(csv.DictReader(io.StringIO(render(build([*seeds(scores), *seeds([1.0], algorithm='a,"b"')]), "csv"))))
    assert [row["algorithm"] for row in rows] == ['a,"b"', "bc"]
    assert rows[0]["std"] == rows[0]["interval_low"] == rows[0]["interval_high"] == ""
    row = rows[1]
    recomputed = [float(score) for score in row["seed_scores"].split()]
    assert recomputed == pytest.approx(scores, rel=1e-12)
    assert float(row["mean"]) == np.mean(recomputed)
    assert float(row["std"]) == np.std(recomputed, ddof=1)
    assert float(row["population_std"]) == np.std(recomputed)
    assert row["seed_list"] == "0 1 2"
    assert (row["seeds"], row["episodes"], row["steps"]) == ("3", "6", "1000")
    assert (float(row["task_low"]), float(row["task_high"])) == (-1200.0, -150.0)
    assert len(row["dataset_digest"]) == len(row["config_digest"]) == 64


def test_what_was_left_out_is_written_below() -> None:
    table = build([make_record(), make_record(algorithm="iql", evaluations=[])])
    for form in ("terminal", "markdown", "latex"):
        assert "left out, because never evaluated: iql on offbench/pendulum/mixed-v0, 1 seed" in render(table, form)


# Names of datasets and algorithms, of which each table has two rows.
ODD = [
    "a\nb",
    "a\r\n| b",
    "a|b",
    "a & b",
    "back\\slash\\",
    '"quoted"',
    "a, b",
    "[x",
    "* y",
    "=1+1",
    "+1",
    "-1",
    "@f",
    "\t=1",
]
ODD += ["`code`", "<b>", "$x$", "#1", "50%", "\x1b[31m", "\u202eevil", "{", "_", "^~"]


@pytest.mark.parametrize("name", ODD)
def test_no_name_breaks_a_table(name: str) -> None:
    table = build([*seeds([1.0, 2.0], dataset=name, algorithm="bc"), *seeds([3.0, 4.0], dataset="d", algorithm=name)])
    texts = {form: render(table, form) for form in ("terminal", "markdown", "latex", "csv")}
    for text in texts.values():
        assert all(character.isprintable() or character == "\n" for character in text)
    usual = build([*seeds([1.0, 2.0], dataset="c"), *seeds([3.0, 4.0], dataset="d", algorithm="x")])
    assert len(texts["terminal"].splitlines()) == len(render(usual, "terminal").splitlines())
    rows = [line for line in texts["markdown"].splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert {len(re.sub(r"\\.", "", row).split("|")) for row in rows} == {len(rows[0].split("|"))}
    body = [line for line in texts["latex"].splitlines() if line.endswith(r" \\")]
    assert len(body) == 5
    assert {len(re.sub(r"\\&", "", row).split("&")) for row in body} == {3}
    assert not [row for row in body if row.startswith(("[", "*"))]
    read = list(csv.DictReader(io.StringIO(texts["csv"])))
    assert len(read) == 2 == len(texts["csv"].splitlines()) - 1
    named = [row[column] for row in read for column in ("dataset", "algorithm", "algorithm_label", "task")]
    assert not [value for value in named if value.startswith(("=", "+", "-", "@"))]
