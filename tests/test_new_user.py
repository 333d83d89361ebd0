"""A new user's way from an empty folder to the leaderboard's site, by the commands of README and docs as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "your-algorithm.md").read_text(encoding="utf-8")


def algorithm(name: str) -> str:
    (code,) = re.findall(rf"```python\n# {name}\.py\n(.*?)```", PAGE, flags=re.DOTALL)
    return code


def commands() -> list[str]:
    """Those of the README's section on leaderboards."""
    section = README.partition("## Stand on a leaderboard")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```bash\n(.*?)```", section, flags=re.DOTALL)
    return [line.partition("    #")[0].strip() for line in block.strip().splitlines()]


def run(line: str, folder: Path) -> str:
    program, *arguments = line.split()
    assert program == "offbench"
    done = subprocess.run(
        [sys.executable, "-m", "offbench", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name", "level"),
    [("awr", "AWR", "re-evaluated"), ("neighbours", "Neighbours", "self-reported")],
)
def test_from_an_empty_folder_to_the_site(module: str, name: str, level: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="policies are verified in onnxruntime")
    (tmp_path / f"{module}.py").write_text(algorithm(module), encoding="utf-8")
    run(f"offbench check {module}:{name}", tmp_path)
    for line in commands():
        said = run(line.replace("awr", module).replace("AWR", name), tmp_path)
    assert "site" in said
    shown = (tmp_path / "site" / "suites" / "starter-mini.html").read_text(encoding="utf-8")
    assert name in shown
    assert level in shown
