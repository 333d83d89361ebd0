import csv
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.cells import cell_len
from synthetic_records import make_evaluation, make_record, seeds, two_by_two

from offbench.basis.plain import plain
from offbench.report.choosing import number
from offbench.report.latex_table import latex_text
from offbench.report.rendering import Layout, render
from offbench.report.sheet import MISSING
from offbench.report.table import build


def test_terminal_lines() -> None:
    text = render(build(two_by_two()), "terminal", width=100)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "Dataset, algorithm Score ± Std 95% interval Seeds Episodes Steps"
    at = lines.index("maze_a")
    assert lines[at + 1] == "bc 12.0 2.0 [7.0, 17.0] 3 6 1000"
    assert lines[at + 2] == "iql 90.0* 10.0 [65.2, 114.8] 3 6 1000"
    assert f"iql 55.0* {MISSING} {MISSING} 1 2 1000" in lines
    assert lines[lines.index("IQM of 2 datasets") + 1] == f"bc 25.3 {MISSING} [23.3, 29.3] 5 10 {MISSING}"
    assert "\x1b" not in text
    assert "Score: 100 (return - low) / (high - low), mean over seeds of the last evaluation." in text


LONG = "d4rl/a-very-long-dataset-name-with-many-parts-in-it/medium-replay-expert-v2"


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("layout", ["long", "wide"])
def test_terminal_fits_its_width(width: int, layout: Layout) -> None:
    records = [
        one
        for dataset in (LONG, "short", "中文" * 20)
        for algorithm in ("[bold]x[/bold]", "a method of many words that go on", "w" * 70, "中文" * 20, *"abcdefg")
        for one in seeds([-10000.0, 12345.6], dataset=dataset, algorithm=algorithm, steps=1_000_000)
    ]
    text = render(build(records), "terminal", width=width, layout=layout)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    joined = re.sub(r"[\s─]", "", text)
    assert "[bold]x[/bold]" in joined or layout == "wide"
    # No number is lost or broken, however narrow it is.
    assert text.count("1172.8") >= 30
    assert text == "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_names_stand_beside_their_numbers_where_there_is_room(width: int) -> None:
    records = two_by_two()
    for line in render(build(records), "terminal", width=width).splitlines():
        if line.startswith("  bc"):
            assert re.search(r"bc +\d+\.\d", line)
    wide = render(build(records), "terminal", width=width, layout="wide").splitlines()
    assert wide[0].split() == ["Dataset", "bc", "iql"]
    assert wide[2].split() == ["maze_a", *["12.0", "±", "2.0", "90.0*", "±", "10.0"]]


def test_terminal_marks_the_best_in_bold_and_what_is_tied_underlined() -> None:
    records = [*two_by_two(), *seeds([88.0, 89.0, 90.0], algorithm="near", dataset="maze_a")]
    for layout in ("long", "wide"):
        text = render(build(records), "terminal", color=True, width=100, layout=layout)
        assert "\x1b[1m90.0\x1b[0m" in text
        assert "\x1b[4m89.0\x1b[0m" in text
        assert "\x1b[1m12.0" not in text
        assert "Bold: the best of a dataset; underlined: tied with it" in " ".join(
            re.sub(r"\x1b\[\d+m", "", text).split()
        )
    assert "89.0~" in render(build(records), "terminal")


def _flowing(text: str) -> str:
    """Without escape sequences and line breaks."""
    return " ".join(re.sub(r"\x1b\[\d+m", "", text).split())


def test_markdown() -> None:
    lines = render(build(two_by_two()), "markdown").splitlines()
    assert lines[0].startswith("| Dataset | Algorithm | Score |")
    assert lines[2] == "| maze\\_a | bc | 12.0 | 2.0 | [7.0, 17.0] | 3 | 6 | 1000 |"
    assert lines[3] == "| maze\\_a | iql | **90.0** | 10.0 | [65.2, 114.8] | 3 | 6 | 1000 |"
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    odd = render(build(seeds([1.0], dataset="a|b\\c")), "markdown")
    assert "| a\\|b\\\\c |" in odd
    wide = render(build(two_by_two()), "markdown", layout="wide").splitlines()
    assert wide[0] == "| Dataset | bc | iql |"
    assert wide[2] == "| maze\\_a | 12.0 ± 2.0 | **90.0** ± 10.0 |"


def test_a_missing_cell_is_shown_and_its_row_is_not_averaged() -> None:
    records = [*two_by_two(), *seeds([99.0], algorithm="partial", dataset="maze_a")]
    lines = render(build(records), "markdown", layout="wide").splitlines()
    assert lines[3] == f"| maze\\_b | **55.0** ± 7.1 | **55.0** | {MISSING} |"
    assert lines[4] == f"| IQM of 2 datasets | 25.3 | 85.0 | {MISSING} |"
    assert f"{MISSING}: no runs" in lines[6]


def test_spread() -> None:
    table = build(two_by_two())
    assert "| 12.0 [7.0, 17.0] |" in render(table, "markdown", layout="wide", spread="interval")
    assert "| 12.0 | **90.0** |" in render(table, "markdown", layout="wide", spread="none")


def test_latex() -> None:
    records = [*two_by_two(), *seeds([99.0], algorithm="x_50%&#$~^{\\}", dataset="maze_a"), make_record(evaluations=[])]
    text = render(build(records), "latex")
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert body[0] == r"\begin{table}[tb]"
    assert r"\begin{tabular}{@{}lccc@{}}" in body
    assert body[-1] == r"\end{table}"
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
    assert r"IQM of 2 datasets & $25.3$ & $85.0$ & -- \\" in body
    assert "left out" in text
    assert text.isascii()
    assert r"\begin{longtable}" not in text
    many = build([one for i in range(45) for one in seeds([1.0], dataset=f"d{i}")])
    assert r"\begin{longtable}" in render(many, "latex")
    assert r"\usepackage{longtable}" in render(many, "latex")
    assert "table* in place of table" not in render(many, "latex")  # longtable refuses two columns


def test_signs_that_latex_would_join_stay_apart() -> None:
    assert latex_text("a--b---c") == "a-{}-b-{}-{}-c"
    assert latex_text("x'' y'") == "x'{}' y'"


def test_letters_that_fonts_lack_are_spelled() -> None:
    text = render(build(seeds([1.0], algorithm="β-IQL of Gödel 中 a--b --- λ")), "latex")
    assert r"$\beta$-IQL of Godel [U+4E2D] a-{}-b -{}-{}- $\lambda$" in text
    assert text.isascii()


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1] and self.lasttag != "caption":
            self.rows[-1][-1] += data


def test_html_is_a_page_by_itself() -> None:
    records = [*two_by_two(), *seeds([70.0, 71.0], algorithm="<script>alert(1)</script>", dataset="maze_a")]
    text = render(build(records), "html")
    page = _Page()
    page.feed(text)
    assert page.tags.isdisjoint({"script", "link", "img", "iframe"})
    assert [cell.strip() for cell in page.rows[0]] == ["Dataset", "<script>alert(1)</script>", "bc", "iql"]
    assert [cell.strip() for cell in page.rows[1]] == ["maze_a", "70.5 ± 0.7", "12.0 ± 2.0", "90.0 ± 10.0"]
    assert "<strong>90.0</strong>" in text
    assert "http" not in text
    assert "mean over seeds of the last evaluation" in text


def test_json_holds_everything() -> None:
    table = build(two_by_two())
    content = json.loads(render(table, "json"))
    assert [cell["mean"] for cell in content["cells"]] == [cell.summary.mean for cell in table.cells]
    assert content["cells"][0]["seed_scores"] == pytest.approx([10.0, 12.0, 14.0])
    assert [one["label"] for one in content["averages"]] == ["IQM of 2 datasets"] * 2
    assert content["statistic"] == "mean"


def test_scores_of_seeds_are_those_that_the_number_is_made_of() -> None:
    evaluations = [[make_evaluation(500, [-675.0]), make_evaluation(1000, [-1200.0 + seed])] for seed in range(3)]
    table = build([make_record(seed=seed, evaluations=one) for seed, one in enumerate(evaluations)], measure="best")
    (cell,) = json.loads(render(table, "json"))["cells"]
    assert cell["seed_scores"] == [50.0] * 3
    (row,) = csv.DictReader(io.StringIO(render(table, "csv")))
    assert row["seed_scores"] == "50.0 50.0 50.0"


def test_one_seed_alone_is_said_not_to_be_tested() -> None:
    said = "one seed alone is not tested"
    assert said in " ".join(render(build(two_by_two()), "terminal").split())
    assert said not in " ".join(render(build(two_by_two()[:6]), "terminal").split())


def test_wide_csv_has_a_column_a_method() -> None:
    rows = list(csv.DictReader(io.StringIO(render(build(two_by_two()), "csv", layout="wide"))))
    assert [float(row["bc"]) for row in rows] == pytest.approx([12.0, 55.0])
    assert rows[1]["iql std"] == ""


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
    for form in ("terminal", "markdown", "latex", "html", "json"):
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
    forms = ("terminal", "markdown", "latex", "csv", "html", "json")
    texts = {form: render(table, form) for form in forms}
    for text in texts.values():
        assert all(character.isprintable() or character == "\n" for character in text)
    usual = build([*seeds([1.0, 2.0], dataset="c"), *seeds([3.0, 4.0], dataset="d", algorithm="x")])
    assert len(texts["terminal"].splitlines()) == len(render(usual, "terminal").splitlines())
    assert len(render(table, "terminal", layout="wide").splitlines()) == 7
    for text, columns in ((texts["markdown"], 9), (render(table, "markdown", layout="wide"), 4)):
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert len(rows) == 4
        assert {len(re.sub(r"\\.", "", row).split("|")) - 1 for row in rows} == {columns}
    body = [line for line in texts["latex"].splitlines() if line.endswith(r" \\")]
    assert len(body) == 3
    assert {len(re.sub(r"\\&", "", row).split("&")) for row in body} == {3}
    assert not [row for row in body if row.startswith(("[", "*"))]
    page = _Page()
    page.feed(texts["html"])
    assert sorted({cell.strip() for cell in page.rows[0]} - {"Dataset"}) == sorted(["bc", plain(name)])
    assert json.loads(texts["json"])["cells"][0]["algorithm"] in (name, "bc")
    read = list(csv.DictReader(io.StringIO(texts["csv"])))
    assert len(read) == 2 == len(texts["csv"].splitlines()) - 1
    values = [*(value for row in read for value in row.values()), *texts["csv"].split("\n", 1)[0].split(",")]
    values += [value for row in csv.reader(io.StringIO(render(table, "csv", layout="wide"))) for value in row]
    assert not [value for value in values if value.startswith(("=", "+", "-", "@")) and number(value) is None]
