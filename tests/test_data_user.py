"""The way of one who wants data: from a search to a mix of a file and a generated set, by the commands of the docs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")

PYTHON = """
import offbench

(wanted,) = offbench.datasets("pendulum swingup")
made = offbench.load(wanted)
file = offbench.load("swingup-v0.hdf5")
assert file.action_range is not None or made.action_range is not None
mixed = made[:5] + file[:5]
assert mixed.lengths.tolist() == [*made[:5].lengths, *file[:5].lengths]
assert mixed.provenance.task == made.provenance.task == "pendulum"
offbench.save(mixed, "mixed.offbench")
again = offbench.load("mixed.offbench")
assert again.digest == mixed.digest
assert again.recover_environment().spec.id == "Pendulum-v1"
print(again)
"""


def run(folder: Path, *command: str) -> str:
    places = {"OFFBENCH_CACHE": str(folder / "cache"), "OFFBENCH_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=os.environ | places, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def command_of_the_page(start: str) -> list[str]:
    """The line of the page that begins so, as arguments of Python."""
    (line,) = re.findall(rf"^    offbench ({re.escape(start)}[^\n]*)$", PAGE, flags=re.MULTILINE)
    return ["-m", "offbench", *shlex.split(line)]


def test_from_a_search_to_a_mix(tmp_path: Path) -> None:
    found = run(tmp_path, *command_of_the_page('data list --filter "'))
    assert "d4rl/hopper-medium-v2" in found
    assert "d4rl/hopper-expert-v2" not in found
    run(tmp_path, *command_of_the_page("data fetch offbench/pendulum/swingup-v0"))
    shown = run(tmp_path, *command_of_the_page("data show offbench/pendulum/swingup-v0"))
    assert "lowest" in shown
    assert "quartiles" in shown
    run(tmp_path, *command_of_the_page("data export offbench/pendulum/swingup-v0 --to d4rl"))
    printed = run(tmp_path, "-c", PYTHON)
    assert printed.startswith("offbench/pendulum/swingup-v0 + swingup-v0.hdf5: 10 episodes")
