"""Makes paper.pdf from the records in docs/ by one command, ``python examples/paper/make.py``.

Table and figures come from ``offbench report``; every number in the text is a macro that is computed here from the same
records. Needs pdflatex (on Debian and Ubuntu: texlive-latex-base and texlive-latex-recommended).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import offbench
from offbench.cli.main import main as run
from offbench.errors import OffbenchError
from offbench.evaluation import aggregates
from offbench.evaluation.record import RunRecord
from offbench.evaluation.record_files import read_records
from offbench.evaluation.statistics import student_interval

HERE = Path(__file__).resolve().parent
RECORDS = HERE.parents[1] / "docs"
TEN_SEEDS, DEMO = RECORDS / "stitching" / "ten-seeds", RECORDS / "demo"
FOLDERS = {"BC": "bc", "Best": "10-bc", "IQL": "iql"}  # names of macros have letters alone


def macros() -> dict[str, str]:
    """The numbers of the text."""
    data = offbench.load("offbench/pointmaze/stitch-v0")
    found = {
        "Episodes": f"{len(data):,}",
        "Transitions": f"{data.steps:,}",
        "DataMean": f"{data.returns.mean():.1f}",
        "DataBest": f"{data.returns.max():.1f}",
    }
    scores = {}
    for name, folder in FOLDERS.items():
        records = read_records([TEN_SEEDS / folder])
        last = _returns(records)
        low, high = student_interval(last) or (np.nan, np.nan)
        found[f"{name}Return"] = f"{last.mean():.1f}"
        found[f"{name}Interval"] = f"{low:.1f} to {high:.1f}"
        found[f"{name}Above"] = str(int((last > data.returns.max()).sum()))
        scores[name] = [np.array([record.final_score for record in records])]
    found["Seeds"], found["Updates"] = str(len(records)), f"{records[0].steps:,}"
    found["Starts"] = str(len(records[0].evaluations[-1].returns))
    for other in ("BC", "Best"):
        probability = aggregates.probability_of_improvement(scores["IQL"], scores[other])
        found[f"IQLOver{other}"] = f"{probability:.2f}"
    return found


def _returns(records: list[RunRecord]) -> np.ndarray:
    """(seeds,) mean return of each seed's last evaluation."""
    return np.array([np.mean(record.evaluations[-1].returns) for record in records])


def make(output: Path) -> Path:
    """Write all parts and the paper into a folder; returns the paper.

    Raises:
        OffbenchError: there is no LaTeX here, a command failed, or LaTeX did.
    """
    if shutil.which("pdflatex") is None:
        raise OffbenchError(
            "making the paper needs pdflatex; apt-get install texlive-latex-base texlive-latex-recommended"
        )
    output.mkdir(parents=True, exist_ok=True)
    write_parts(output)
    if output != HERE:
        shutil.copy(HERE / "paper.tex", output / "paper.tex")
    for _ in range(2):  # the second time with the numbers of references
        _latex(output)
    return output / "paper.pdf"


def write_parts(output: Path) -> None:
    """The table, the figures and the numbers of the text, of the methods that the text is about.

    Raises:
        OffbenchError: a command failed.
    """
    told = [str(TEN_SEEDS / folder) for folder in FOLDERS.values()]  # the study goes on, and the text does not
    for arguments in (
        ["table", *told, str(DEMO), "--format", "latex", "--output", str(output / "table.tex")],
        ["curves", *told, "--size", "one-column", "--output", str(output / "curves.pdf")],
        ["figure", "improvement", *told, "--size", "one-column", "--output", str(output / "improvement.pdf")],
    ):
        if run(["report", *arguments]):
            raise OffbenchError(f"offbench report {' '.join(arguments)} failed")
    _spread(output / "table.tex")
    lines = [rf"\newcommand{{\{name}}}{{{value}}}" for name, value in macros().items()]
    (output / "numbers.tex").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _spread(path: Path) -> None:
    """Make a table as wide as both columns."""
    path.write_text(path.read_text(encoding="utf-8").replace("{table}", "{table*}"), encoding="utf-8")


def _latex(folder: Path) -> None:
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        wrong = [line for line in done.stdout.splitlines() if line.startswith("!")]
        raise OffbenchError(f"pdflatex failed: {' '.join(wrong) or done.stdout[-500:]}; see {folder / 'paper.log'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=HERE / "build", help="folder of the paper and its parts")
    try:
        print(make(parser.parse_args().output.resolve()))
    except OffbenchError as error:
        sys.exit(str(error))
