import getpass
import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path

import pytest
import torch

from offbench.evaluation.machine import describe_machine


def test_hardware_and_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    hardware, packages, _ = describe_machine()
    assert hardware["threads"] == str(torch.get_num_threads())
    assert (hardware["gpu"] == "none") == (not torch.cuda.is_available())
    assert hardware["cpu"]
    assert packages["numpy"] == importlib.metadata.version("numpy")
    assert packages["python"] == platform.python_version()


def test_nothing_names_the_host_or_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    hardware, packages, commit = describe_machine()
    text = json.dumps([hardware, packages, commit])
    values = {*hardware.values(), *packages.values()}
    assert platform.node() not in values
    assert getpass.getuser() not in values
    assert "/" not in text.replace("n/a", "")


def test_git_commit_of_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert describe_machine()[2] is None

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        return subprocess.run(["git", *who, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    Path("file").write_text("one")
    git("add", "file")
    git("commit", "-m", "one")
    git("tag", "-m", "a tag", "v1")
    head = git("rev-parse", "HEAD")
    assert describe_machine()[2] == head
    Path("file").write_text("two")
    assert describe_machine()[2] == f"{head}-dirty"


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert describe_machine()[2] is None
