"""Two users' ways by the commands of the docs: one with an algorithm of one's own, one with a paper tonight.

The commands stand in the pages; datasets are replaced by small files, and numbers of updates by few.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from offbench.cli.main import main
from offbench.evaluation.record_files import read_records
from offbench.formats import native

DOCS = Path(__file__).resolve().parents[1] / "docs"
FEW = {"--seeds": "2", "--steps": "4", "--episodes": "2"}
SMALL = ["--quiet", "--workers", "1"]


def section(page: str, title: str) -> str:
    text = (DOCS / page).read_text(encoding="utf-8")
    return text.partition(f"## {title}")[2].partition("\n## ")[0]


def commands(text: str) -> list[list[str]]:
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.partition("  #")[0] for block in blocks for line in block.splitlines()]
    return [line.replace('"', "").split()[1:] for line in lines if line.startswith("offbench ")]


def small(words: list[str], datasets: dict[str, str]) -> list[str]:
    """The command on files instead of datasets, with few of everything."""
    for name, file in datasets.items():
        words = [word.replace(name, file, 1) for word in words]
    words = [FEW.get(before, word) for before, word in zip(["", *words], words, strict=False)]
    missing = [] if "--steps" in words else ["--steps", FEW["--steps"]]
    return [*words, *missing, "--episodes", FEW["--episodes"], *SMALL] if words[0] == "train" else words


@pytest.fixture
def here(tmp_path, monkeypatch, pendulum_file):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    page = (DOCS / "your-algorithm.md").read_text(encoding="utf-8")
    for name, code in re.findall(r"```python\n# (\w+)\.py\n(.*?)```", page, flags=re.DOTALL):
        (tmp_path / f"{name}.py").write_text(code)
    (tmp_path / "mine.py").write_text(first_block())
    shutil.copy(pendulum_file, tmp_path / "a.offbench")
    native.save(native.load(pendulum_file)[np.arange(12)], tmp_path / "b.offbench")
    yield tmp_path
    for name in set(sys.modules) - before:
        if name in {path.stem for path in tmp_path.glob("*.py")}:
            del sys.modules[name]


def first_block() -> str:
    (block, *_) = re.findall(r"```python\n(.*?)```", section("your-algorithm.md", "A policy of yours"), flags=re.DOTALL)
    return block


def test_the_example_of_a_policy_prints_what_the_page_says(tmp_path):
    promised = re.findall(r"print\(.*\)  # (.*)", first_block())
    done = subprocess.run(
        [sys.executable, "-c", first_block()], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.splitlines() == promised
    assert [record.trained for record in read_records([tmp_path / "runs"])] == ["elsewhere"]


def test_an_algorithm_of_ones_own_goes_from_its_file_to_a_table(here, capsys):
    page = (DOCS / "your-algorithm.md").read_text(encoding="utf-8")
    asked = commands(page.partition("## What is checked")[0])
    kinds = [words[0] for words in asked]
    assert {"evaluate", "train", "report", "check", "export", "leaderboard"} == set(kinds)
    files = {"offbench/pendulum/swingup-v0": "a.offbench", "=500x50": "=20x10", "=10%-low": "=40%-q100"}
    trained = [small(words, files) for words in asked if words[0] in ("evaluate", "train")]
    assert [words[1] for words in trained] == [
        "mine:swing",
        "neighbours:Neighbours",
        "awr:AWR",
        "proxies:Proxies",
        "contrast:Contrast",
    ]
    for words in trained:
        assert main(words) == 0, (words, capsys.readouterr().err)
    assert main(next(words for words in asked if words[0] == "report")) == 0
    table = capsys.readouterr().out
    for name in ("swing (elsewhere)", "Neighbours", "AWR", "Proxies", "Contrast"):
        assert name in table


def test_a_mistake_of_ones_own_is_told_by_its_line(here, capsys):
    mistakes = (
        ("neighbours", ("chosen = data.best(self.best)", "chosen = data.best(self.worst)"), "in fit: chosen ="),
        ("awr", ("batch.rewards + self", "batch.reward + self"), "in losses: target ="),
        ("awr", ("torch.tanh(self.actor(actor", "torch.tanh(self.actr(actor"), "in mean: return"),
    )
    # Each in a module of its own: Python may take a file of one size and second for one that it has compiled.
    for number, (name, (right, wrong), line) in enumerate(mistakes):
        module = f"{name}_wrong{number}"
        text = (here / f"{name}.py").read_text()
        (here / f"{module}.py").write_text(text.replace(right, wrong))
        title = {"neighbours": "Neighbours", "awr": "AWR"}[name]
        assert main(["train", f"{module}:{title}", "a.offbench", "--steps", "4", "--seeds", "1", *SMALL]) == 2
        told = capsys.readouterr().err
        assert re.search(rf"{module}\.py, line \d+, {line}", told), told
        assert "bug in offbench" not in told


def test_a_paper_tonight_is_two_trainings_and_a_table(here, capsys):
    files = {"offbench/pendulum/swingup-v0": "a.offbench", "offbench/pointmaze/umaze-v0": "b.offbench"}
    asked = [small(words, files) for words in commands(section("training.md", "Several datasets, one table"))]
    assert [words[0] for words in asked] == ["train", "train", "report", "report"]
    for words in asked[:2]:
        assert main(words) == 0, capsys.readouterr().err
    assert len(read_records([here / "runs" / "tonight"])) == 8  # two methods, two datasets, two seeds
    assert main(asked[2]) == 0
    assert "\\begin{tabular}" in capsys.readouterr().out
    assert main(asked[3]) == 0
    assert "iql" in capsys.readouterr().out.lower()
