import re
import shutil
import subprocess
from pathlib import Path

import pytest
from synthetic_records import seeds
from test_rendering import ODD

from offbench.report.labels import read_labels
from offbench.report.rendering import render
from offbench.report.table import build

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex on this machine"),
]
# Of the article class in one column, which is narrower than what two columns take together (and than NeurIPS, ICML).
TEXT_WIDTH = 345.0
COLUMN_WIDTH = 229.5


def compiled(text: str, folder: Path) -> str:
    (folder / "table.tex").write_text(text)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


def alone(text: str) -> str:
    """The file with the lines uncommented that say how to compile it by itself."""
    return re.sub(r"(?m)^% (?=\\)", "", text)


def test_every_name_compiles(tmp_path: Path) -> None:
    names = [*ODD, "Gödel", "β", "中文", "a--b", "?`", "\\input{x}", "%", "a" * 80]
    records = [one for name in names for one in seeds([1.0, 2.0], dataset=name, algorithm="iql")]
    records += [one for name in names[:3] for one in seeds([3.0, 4.0], dataset=names[0], algorithm=name)]
    for layout in ("wide", "long"):
        compiled(alone(render(build(records), "latex", layout=layout)), tmp_path)


def test_a_long_table_breaks_over_pages(tmp_path: Path) -> None:
    records = [one for i in range(90) for one in seeds([1.0, 2.0], dataset=f"d_{i}", algorithm="iql")]
    output = compiled(alone(render(build(records), "latex")), tmp_path)
    assert re.search(r"\((2|3|4) pages", output)


def four_by_four(spread: str) -> str:
    datasets = [
        f"d4rl/{name}-v2"
        for name in ("halfcheetah-medium-replay", "hopper-medium", "walker2d-medium-expert", "ant-random")
    ]
    records = [
        one
        for i, dataset in enumerate(datasets)
        for j, algorithm in enumerate(("bc", "iql", "td3_bc", "rebrac"))
        for one in seeds([100.0 + i + j, 80.0 + 3 * j, 95.0], dataset=dataset, algorithm=algorithm)
    ]
    return render(build(records, labels=read_labels(None)), "latex", spread=spread)


@pytest.mark.parametrize(("spread", "limit"), [("std", TEXT_WIDTH), ("none", COLUMN_WIDTH)])
def test_four_methods_on_four_datasets_fit(tmp_path: Path, spread: str, limit: float) -> None:
    text = alone(four_by_four(spread))
    tabular = re.search(r"\\begin{tabular}.*?\\end{tabular}", text, re.DOTALL)
    assert tabular is not None
    measured = (
        r"\newbox\measured\setbox\measured=\hbox{\footnotesize\setlength{\tabcolsep}{3pt}%"
        "\n"
        f"{tabular[0]}}}"
        r"\typeout{WIDTH=\the\wd\measured}"
        "\n"
    )
    output = compiled(text.replace(r"\begin{document}", r"\begin{document}" + measured), tmp_path)
    match = re.search(r"WIDTH=([\d.]+)pt", output)
    assert match is not None
    assert float(match[1]) <= limit, match[0]
    assert "Overfull" not in output
