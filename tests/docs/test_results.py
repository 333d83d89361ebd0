"""What README and the pages show of committed records is what the commands above it make of them."""

from __future__ import annotations

import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
RESULTS = runpy.run_path(str(ROOT / "docs" / "results.py"))
FAST = ("README.md", "docs/speed.md", "docs/stitching.md")
# Another build of the library that draws letters may place a few edges elsewhere.
MOST_DIFFERENT = 0.5  # of 255, on average over a picture


def copied(folder: Path) -> Path:
    shutil.copy(ROOT / "README.md", folder / "README.md")
    shutil.copytree(ROOT / "leaderboards" / "results", folder / "leaderboards" / "results")
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("page.md", "index.md", "*.pdf"))
    return folder


def changed(folder: Path, names: list[str]) -> list[str]:
    """Pages, pictures and data that differ once they are made anew."""
    pages = [folder / name for name in names]
    found = [str(path.relative_to(folder)) for path in RESULTS["rebuild"](folder, pages)]
    for path in sorted((folder / "docs").rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".csv" and path.read_bytes() != (ROOT / name).read_bytes():
            found.append(name)
        if path.suffix == ".png":
            one, other = (np.asarray(Image.open(base / name).convert("RGB"), dtype=float) for base in (folder, ROOT))
            if one.shape != other.shape or np.abs(one - other).mean() > MOST_DIFFERENT:
                found.append(name)
    return found


def test_rebuilding_changes_nothing(tmp_path: Path) -> None:
    assert changed(copied(tmp_path), list(FAST)) == []


@pytest.mark.slow
def test_rebuilding_all_pages_changes_nothing(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    names = [str(path.relative_to(folder)) for path in RESULTS["pages"](folder)]
    assert set(FAST) < set(names)
    assert changed(folder, names) == []


def test_the_example_of_the_page_of_figures_prints_what_it_says(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "figures.md").read_text(), flags=re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(code)
    runpy.run_path(str(script))
    assert capsys.readouterr().out.splitlines() == re.findall(r"print\(.*\)  # (.*)", code)


def test_what_was_edited_by_hand_is_mended(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    page = folder / "README.md"
    before = page.read_text()
    page.write_text(before.replace("| **7", "| **9"))
    Image.new("RGB", Image.open(folder / "docs" / "demo.png").size).save(folder / "docs" / "demo.png")
    assert page.read_text() != before
    assert changed(folder, ["README.md"]) == ["README.md"]
    assert page.read_text() == before


def test_commands_of_others_are_not_run(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("<!-- results: touch made -->\n<!-- end -->\n")
    with pytest.raises(SystemExit, match="not by touch"):
        RESULTS["rebuild"](tmp_path, [page])
    assert not (tmp_path / "made").exists()
