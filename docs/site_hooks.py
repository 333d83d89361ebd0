"""What the site of the documentation has besides the pages of this folder; mkdocs.yml names this file.

The first page is the README; notebooks, CONTRIBUTING and CHANGELOG are pages, too, and the reference is made of the
public names of the package. Pages that the navigation does not list come last, so that none is lost.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

# Where files of the checkout stand in the site.
MOVED = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"(?P<before>!?\[(?P<text>[^\]]*)\]\()(?P<target>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)")

# The reference beyond the names that offbench itself exports: title of a page and its modules.
REFERENCE = {
    "data": (
        "Data",
        "data.trajectories data.provenance data.transitions data.sequences data.preferences data.segments "
        "data.supervision",
    ),
    "algorithms": ("Algorithms and policies", "algorithms.base basis.policy training.learner nn.mlp"),
    "evaluation": ("Scores", "evaluation.statistics evaluation.aggregates evaluation.record environments.task"),
    "dynamics": ("Dynamics", "dynamics.worlds dynamics.imagination dynamics.terminations dynamics.penalties"),
    "report": ("Tables and figures", "report.table report.labels report.groups"),
    "leaderboard": ("Leaderboards", "leaderboard.suite leaderboard.entry leaderboard.results"),
}


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are not in the folder, and to the navigation what it does not list."""
    from mkdocs.structure.files import File

    for name, content in {**_moved(), **_notebooks(), **_reference()}.items():
        files.append(File.generated(config, name, content=content))
    files.append(File.generated(config, "CITATION.cff", abs_src_path=str(ROOT / "CITATION.cff")))
    config.nav = [
        *config.nav,
        {"Notebooks": sorted(_notebooks())},
        {"Reference": ["api/index.md", *(f"api/{name}.md" for name in REFERENCE)]},
    ]
    listed = set(re.findall(r"[\w/.-]+\.md", json.dumps(config.nav)))
    rest = sorted({file.src_uri for file in files.documentation_pages()} - listed)
    if rest:
        config.nav = [*config.nav, {"More": rest}]
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Have links lead to where files of the checkout stand in the site."""
    if page.file.generated_by:
        return markdown
    return relinked(markdown, f"docs/{page.file.src_uri}")


def relinked(markdown: str, source: str) -> str:
    """The text of a file of the checkout with its links as the site has them; what is not there becomes plain text."""

    def change(match: re.Match[str]) -> str:
        target = match["target"]
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        place = _place(path)
        if place is None:
            return match["text"]
        start = posixpath.dirname(_place(source) or "")
        return f"{match['before']}{posixpath.relpath(place, start or '.')}{match['anchor'] or ''})"

    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if part.startswith("```") else LINK.sub(change, part) for part in parts)


def _place(path: str) -> str | None:
    """Where a file of the checkout stands in the site; None where it does not."""
    if path in MOVED:
        return MOVED[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith("notebooks/") and path.endswith(".ipynb"):
        return path.removesuffix(".ipynb") + ".md"
    return path if path == "CITATION.cff" else None


def _moved() -> dict[str, str]:
    return {place: relinked((ROOT / name).read_text(encoding="utf-8"), name) for name, place in MOVED.items()}


def _notebooks() -> dict[str, str]:
    """Notebooks as pages: their text, and code as it stands, without outputs, which differ between machines."""
    made = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        blocks = []
        for cell in cells:
            text = "".join(cell["source"])
            blocks.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        made[f"notebooks/{path.stem}.md"] = relinked("\n\n".join(blocks) + "\n", f"notebooks/{path.name}")
    return made


def _reference() -> dict[str, str]:
    from offbench import _HOMES, __all__

    names = sorted((name for name in __all__ if name in _HOMES), key=lambda name: (name[0].isupper(), name))
    lines = ["# Reference", "", "What `import offbench` gives. Shapes stand in the annotations, with named axes."]
    made = {"api/index.md": "\n".join([*lines, *(f"\n::: {_HOMES[name]}.{name}" for name in names), ""])}
    for page, (title, modules) in REFERENCE.items():
        blocks = [f"# {title}", *(f"::: offbench.{module}" for module in modules.split())]
        options = "\n    options:\n      show_root_full_path: true"
        made[f"api/{page}.md"] = "\n\n".join([blocks[0], *(f"{block}{options}" for block in blocks[1:])]) + "\n"
    return made
