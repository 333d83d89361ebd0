"""Links of the pages lead somewhere: to files of the checkout, and to headings by the anchors that code hosts make."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")


def prose(text: str) -> str:
    """The text without its blocks of code and without code within a line."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(text: str) -> set[str]:
    """Of headings: small letters, spaces as hyphens, without punctuation; a heading that comes again has a number."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.*?)\s*$", re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M), re.M):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        made = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(made if made not in found else f"{made}-{sum(each.startswith(made) for each in found)}")
    return found


def dead(page: Path) -> list[str]:
    """Relative links of a page that lead to no file, or to no heading of one."""
    text = page.read_text(encoding="utf-8")
    wrong = []
    for target in LINK.findall(prose(text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and anchor not in anchors(path.read_text(encoding="utf-8"))):
            wrong.append(target)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_and_anchor_leads_somewhere(page: Path):
    assert dead(page) == []


def test_dead_links_are_found(tmp_path: Path):
    (tmp_path / "b.md").write_text("# D4RL's mazes\n\n## Two words\n")
    links = "[a](b.md) [b](b.md#d4rls-mazes) [c](b.md#two-words) [d](https://example.org/x) `[e](no.md)`\n"
    (tmp_path / "a.md").write_text(
        f"# Top\n{links}```\n[f](no.md)\n```\n[g](#top) [h](c.md) [i](b.md#three) [j](#low)\n"
    )
    assert dead(tmp_path / "a.md") == ["c.md", "b.md#three", "#low"]


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "site_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "text", "becomes"),
    [
        ("README.md", "[a](docs/lint.md#x) ![b](docs/demo.png)", "[a](lint.md#x) ![b](demo.png)"),
        ("docs/architecture.md", "[a](../CONTRIBUTING.md) [b](lint.md)", "[a](contributing.md) [b](lint.md)"),
        ("docs/training.md", "[a](../notebooks/quickstart.ipynb)", "[a](notebooks/quickstart.md)"),
        ("notebooks/quickstart.ipynb", "[a](../docs/lint.md)", "[a](../lint.md)"),
        ("docs/lint.md", "[a](../offbench/lint/checks.py), [b](https://example.org/)", "a, [b](https://example.org/)"),
        ("docs/lint.md", "```\n[a](../x.py)\n```", "```\n[a](../x.py)\n```"),
        ("docs/lint.md", "[a](#below)", "[a](#below)"),
    ],
)
def test_links_lead_to_where_files_stand_in_the_site(source: str, text: str, becomes: str, hooks: ModuleType):
    assert hooks.relinked(text, source) == becomes


def test_modules_of_the_reference_exist(hooks: ModuleType):
    modules = [module for _, listed in hooks.REFERENCE.values() for module in listed.split()]
    assert modules
    assert [m for m in modules if not (ROOT / "offbench" / f"{m.replace('.', '/')}.py").is_file()] == []


@pytest.mark.slow
def test_the_site_of_the_documentation_is_built_without_a_warning_and_fetches_nothing(tmp_path: Path):
    pytest.importorskip("mkdocs", reason="needs mkdocs, which make docs installs")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"<(?:script|img|iframe)[^>]* src=\"?https?:", text) == [], page
        assert re.findall(r"<link[^>]* href=\"?https?:", text) == [], page
    assert "Trajectories" in (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")
    shutil.rmtree(tmp_path / "site")
