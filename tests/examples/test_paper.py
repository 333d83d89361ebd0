"""The paper of examples/paper is made by one command, in two pages, with nothing that sticks out."""

import re
import runpy
import shutil
from pathlib import Path

import pytest

from offbench.errors import OffbenchError

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "paper"
MAKE = runpy.run_path(str(FOLDER / "make.py"))


def test_every_number_of_the_text_comes_from_the_records() -> None:
    text = (FOLDER / "paper.tex").read_text()
    used = set(re.findall(r"\\((?:IQL|BC|Best|Data)[A-Za-z]+|Episodes|Transitions|Seeds|Updates|Starts)\b", text))
    made = MAKE["macros"]()
    assert used == set(made)
    assert float(made["IQLReturn"]) > float(made["DataBest"]) > float(made["BCReturn"])  # what the text says of them
    assert int(made["IQLAbove"]) == 8  # "the two seeds that stay below"
    assert (made["BCAbove"], made["BestAbove"], made["Seeds"]) == ("0", "0", "10")


def test_table_and_figures_show_the_methods_that_the_text_names_and_no_others(tmp_path: Path) -> None:
    MAKE["write_parts"](tmp_path)
    head = next(line for line in (tmp_path / "table.tex").read_text().splitlines() if line.startswith("Dataset"))
    assert head.rstrip(" \\").split(" & ")[1:] == ["10\\% BC", "BC", "IQL"]
    shown = (tmp_path / "curves.csv").read_text() + (tmp_path / "improvement.csv").read_text()
    assert "iql" in shown
    assert "edac" not in shown


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(OffbenchError, match="needs pdflatex"):
        MAKE["make"](tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_the_paper_compiles(tmp_path: Path) -> None:
    paper = MAKE["make"](tmp_path)
    assert paper.read_bytes().startswith(b"%PDF")
    log = (tmp_path / "paper.log").read_text(errors="replace")
    assert re.search(r"Output written on paper\.pdf \(2 pages", log)
    assert "undefined" not in log
    too_wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    assert all(points < 2 for points in too_wide), too_wide
