"""Pages name files and folders that exist, and the order of the folders as it is."""

import re
from pathlib import Path

import pytest
from test_structure import ORDER

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "offbench"
PAGES = ("CONTRIBUTING.md", "docs/architecture.md", "README.md")


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def paths(page: str) -> list[str]:
    """What stands in backticks and begins like a folder of the checkout; ids of datasets end in a version."""
    prose = re.sub(r"```.*?```", "", text(page), flags=re.DOTALL)
    tokens = re.findall(r"`([\w.-]+/[\w./-]*|[A-Z]+\.md)`", prose)
    return [token for token in tokens if (ROOT / token.split("/")[0]).exists() and not re.search(r"-v\d+$", token)]


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_page_names_exists(page: str):
    named = paths(page)
    assert named
    # NAME stands for what is to be added, in a folder that is there.
    missing = {path for path in named if not (ROOT / re.sub(r"[\w.]*NAME.*", "", path)).exists()}
    assert missing == set()


def test_the_architecture_lists_the_folders_of_the_package_in_their_order():
    table = text("docs/architecture.md").partition("| in `offbench/` | |")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)
    exist = {path.stem for path in PACKAGE.iterdir() if (path / "__init__.py").exists() or path.name == "errors.py"}
    assert listed == [name for name in ORDER if name in exist]
    assert set(listed) == exist


def test_the_architecture_lists_the_folders_beside_the_package():
    table = text("docs/architecture.md").partition("| beside it | |")[2].partition("\n\n")[0]
    listed = re.findall(r"`(\w+)/`", table)
    ignored = {line.rstrip("/") for line in text(".gitignore").splitlines()}
    exist = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name.isalpha()}
    assert set(listed) == exist - ignored - {"offbench"}
