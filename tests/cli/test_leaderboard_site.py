import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from offbench.cli.main import main


def test_build_says_what_it_made_and_refuses_what_is_not_its_own(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "results").mkdir()
    command = ["leaderboard", "build", "--results", str(tmp_path / "results"), "--output"]
    assert main([*command, str(tmp_path / "site")]) == 0
    printed = capsys.readouterr().out
    assert "pages of 0 entries" in printed
    assert "are not cached" in printed
    assert (tmp_path / "site" / "index.html").is_file()
    assert main([*command, str(tmp_path / "site")]) == 0
    assert main([*command, str(tmp_path)]) == 2
    assert "no site of ours" in capsys.readouterr().err


def test_serve_says_where_and_stops_when_it_is_interrupted(tmp_path: Path):
    (tmp_path / ".offbench-site").touch()
    (tmp_path / "index.html").write_text("<p>here")
    command = [sys.executable, "-m", "offbench", "leaderboard", "serve", str(tmp_path), "--port", "0"]
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
        # Who runs the tests in the background of a script has interrupts ignored, and so would the server.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert running.stdout is not None
    address = running.stdout.readline().split(" is at ")[1].split()[0]
    with urllib.request.urlopen(address, timeout=10) as answer:
        assert answer.read() == b"<p>here"
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in said


@pytest.mark.parametrize("port", ["99999", "-1"])
def test_serve_refuses_ports_that_there_are_none_of(port: str, tmp_path: Path, capsys):
    (tmp_path / ".offbench-site").touch()
    assert main(["leaderboard", "serve", str(tmp_path), "--port", port]) == 2
    assert "name another with --port" in capsys.readouterr().err
