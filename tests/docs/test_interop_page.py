"""Every block of the page on other libraries runs; those of one that is not installed are skipped, with the reason."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "interop.md"
# What the page speaks of and offbench does not need, and why it may be absent where the tests run.
ABSENT = {
    "d3rlpy": "it brings the gym of 2022, whose name offbench.d4rl takes",
    "jax": "it is for those who learn in it",
    "lerobot": "it brings torchvision and a torch of its own",
    "pandas": "it is an extra",
    "stable_baselines3": "it is for those who learn in it",
    "tensordict": "it comes with torchrl",
    "torchrl": "it is for those who learn in it",
}
# Runs the sections in one process, each after the first block alone, and says what became of each.
RUNNER = """
import json, sys, traceback
sections = json.load(sys.stdin)
start = {}
exec(compile(sections.pop("start"), "the first block", "exec"), start)
found = {}
for title, blocks in sections.items():
    names = dict(start)
    try:
        for code in blocks:
            exec(compile(code, title, "exec"), names)
        found[title] = ""
    except BaseException:
        found[title] = traceback.format_exc()
print("RESULTS" + json.dumps(found))
"""


def sections() -> dict[str, list[str]]:
    """Blocks of Python by the heading above them."""
    parts = re.split(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = zip(parts[1::2], parts[2::2], strict=True)
    found = {title: re.findall(r"```python\n(.*?)```", text, re.DOTALL) for title, text in texts}
    return {title: blocks for title, blocks in found.items() if blocks}


def needs(blocks: list[str]) -> list[str]:
    """The libraries of `ABSENT` that blocks import and that are not installed; ``to_pandas`` imports one, too."""
    imported = set(re.findall(r"^(?:import|from) (\w+)", "\n".join(blocks), flags=re.MULTILINE))
    return sorted(name for name in imported & ABSENT.keys() if importlib.util.find_spec(name) is None)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("interop")
    wanted: dict[str, Any] = {title: blocks for title, blocks in sections().items() if not needs(blocks)}
    wanted["start"] = next(iter(sections().values()))[0]
    places = {"OFFBENCH_CACHE": str(folder / "cache"), "MINARI_DATASETS_PATH": str(folder / "minari")}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:offbench", "-c", RUNNER],
        input=json.dumps(wanted),
        cwd=folder,
        env={**os.environ, **places, "OFFBENCH_OFFLINE": "1", "PYTHONPATH": str(PAGE.parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.rpartition("RESULTS")[2])
    return found


@pytest.mark.parametrize("title", sections())
def test_every_block_runs(title: str, results: dict[str, str]) -> None:
    for name in needs(sections()[title]):
        pytest.skip(f"{name} is not installed: {ABSENT[name]}")
    assert results[title] == ""


def test_the_loop_of_ones_own_has_at_most_forty_lines() -> None:
    loop = next(block for block in sections()["PyTorch"] if "def learn" in block)
    assert len(loop.splitlines()) <= 40
    assert "view.batch(" in loop


def test_the_page_names_every_library_that_it_takes_data_to() -> None:
    titles = " ".join(sections())
    for name in ("pandas", "Parquet", "PyTorch", "JAX", "TorchRL", "d3rlpy", "Stable-Baselines3", "LeRobot", "Minari"):
        assert name in titles
