"""The examples on the page of teachers run: what it prints, the command and the endpoint."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

from offbench.cli.main import main
from offbench.formats import preferences as files
from offbench.labelling import contract, transports

PAGE = Path(__file__).resolve().parents[2] / "docs" / "teachers.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
PROGRAMS = {match[1]: block for block in BLOCKS if (match := re.match(r"# (\w+\.py)\n", block))}


def test_examples_print_what_the_page_says(tmp_path: Path) -> None:
    code = "\n".join(block for block in BLOCKS if block not in PROGRAMS.values())
    promised = re.findall(r"print\(.*\)  # (.*)", code)
    assert len(promised) == 5
    environment = {**os.environ, "OFFBENCH_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(PAGE.parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == promised


def teach(source: Path, output: Path, *flags: str) -> list[float]:
    assert main(["teach", str(source), "--pairs", "3x4", "--prompt", "which?", "-o", str(output), *flags]) == 0
    labels: list[float] = files.load(output).labels.tolist()
    return labels


def test_the_command_of_the_page_teaches(pendulum_file: Path, tmp_path: Path) -> None:
    (tmp_path / "judge.py").write_text(PROGRAMS["judge.py"])
    labels = teach(pendulum_file, tmp_path / "a.offbench", "--command", f"{sys.executable} {tmp_path / 'judge.py'}")
    assert len(labels) == 3
    assert set(labels) <= {0, 1}


def test_the_endpoint_of_the_page_teaches(pendulum_file: Path, tmp_path: Path) -> None:
    (tmp_path / "serve.py").write_text(PROGRAMS["serve.py"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, str(tmp_path / "serve.py"), str(port)], stderr=subprocess.DEVNULL)
    try:  # tries until the server listens
        labels = teach(
            pendulum_file, tmp_path / "b.offbench", "--endpoint", f"http://127.0.0.1:{port}/label", "--tries", "6"
        )
        assert len(labels) == 3
    finally:
        server.kill()
        server.wait()


def test_the_page_says_what_the_contract_is() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(f'"{contract.SCHEMA}"') == 2
    assert f"at most {contract.MOST_BYTES:,} bytes" in page
    patience = transports.Patience()
    assert f"`--tries` ({patience.tries})" in page
    assert f"it waits {patience.wait:g} second" in page
