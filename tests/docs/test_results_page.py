"""Every command on docs/results.md prints what the page says, and its Python runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from offbench.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n\$ offbench (.*?)\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("OFFBENCH_OFFLINE", "1")
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(("command", "printed"), BLOCKS, ids=[command for command, _ in BLOCKS])
def test_commands_print_what_the_page_says(command: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(command)) == 0
    assert capsys.readouterr().out == printed


def test_the_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    (output,) = re.findall(r"```python\n.*?```\n\n```text\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(code, "results.md", "exec"), {})  # the page is ours
    assert capsys.readouterr().out == output
