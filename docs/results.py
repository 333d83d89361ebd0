"""Tables and figures of README and of these pages, made anew from the records beside them: ``make results``.

A block that is made by a command stands between two comments::

    <!-- results: offbench report table docs/demo --format markdown -->
    (what the command prints)
    <!-- end -->

Commands are ``offbench ...``, and ``benchmarks/_speed.py ...`` for what ``make bench`` measured. Where one prints more
than a table, or writes a page, the first comment ends with which table is meant, ``(table 1)`` or
``(table 1 of docs/stitching/page.md)``. Of a command that prints nothing but the names of pictures that it wrote, the
block is left as it is. Commands run in the repository's root, each once.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

BLOCK = re.compile(
    r"(?P<head><!-- results: (?P<command>.+?)(?: \(table (?P<number>\d+)(?: of (?P<page>\S+))?\))? -->\n)"
    r"(?P<body>.*?)(?P<end><!-- end -->)",
    re.DOTALL,
)
HERE = Path(__file__).resolve().parents[1]
SPEED = "benchmarks/_speed.py"
TABLE = re.compile(r"^\|.*\n\|[-:| ]+\|\n(?:\|.*\n)+", re.MULTILINE)


def pages(root: Path) -> list[Path]:
    """README and the pages that have such blocks."""
    every = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    return [path for path in every if BLOCK.search(path.read_text(encoding="utf-8"))]


def rebuild(root: Path, paths: Iterable[Path]) -> list[Path]:
    """Make all blocks of some pages anew, with the pictures that they show; returns the pages that changed."""
    printed: dict[str, str] = {}
    changed = []
    with contextlib.chdir(root):
        for path in paths:
            before = path.read_text(encoding="utf-8")
            after = BLOCK.sub(lambda block: _made(block, printed), before)
            if after != before:
                path.write_text(after, encoding="utf-8")
                changed.append(path)
    return changed


def _made(block: re.Match[str], printed: dict[str, str]) -> str:
    command = block["command"]
    if command not in printed:
        printed[command] = _run(command)
    body = printed[command]
    if block["page"]:
        body = Path(block["page"]).read_text(encoding="utf-8")
    if block["number"]:
        body = TABLE.findall(body)[int(block["number"]) - 1]
    lines = [line for line in body.splitlines() if not line.startswith("wrote ")]
    text = "\n".join(lines).strip("\n")
    return block["head"] + (f"\n{text}\n\n" if text else block["body"]) + block["end"]


def _run(command: str) -> str:
    """What ``offbench ...`` or ``benchmarks/_speed.py ...`` prints."""
    from offbench.cli.main import main

    program, *arguments = shlex.split(command)
    if program == SPEED:
        main = runpy.run_path(str(HERE / SPEED), run_name="speed")["main"]
    elif program != "offbench":
        raise SystemExit(f"a block of results is made by offbench or {SPEED}, not by {program}")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(arguments)
    if code:
        raise SystemExit(f"{command} failed with exit code {code}")
    return out.getvalue()


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    chosen = [HERE / name for name in sys.argv[1:]] or pages(HERE)
    for changed_page in rebuild(HERE, chosen):
        print(f"changed {changed_page.relative_to(HERE)}", file=sys.stderr)
