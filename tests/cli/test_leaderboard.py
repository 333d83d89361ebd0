"""``offbench leaderboard``: suites, suite, run, commit, renamed."""

from dataclasses import replace
from pathlib import Path

import pytest

import offbench
from offbench.cli.main import main
from offbench.data.trajectories import Provenance
from offbench.leaderboard.suite import suites
from offbench.sweep.job import Job
from offbench.training.interruption import Interrupted

TINY = """
name = "tiny"
version = 1
title = "Tiny"
description = "One pendulum."
steps = 10
episodes = 2
seeds = 2
tuning = "Nothing."
[[tasks]]
dataset = "offbench/pendulum/swingup-v0"
revision = 1
domain = "pendulum"
"""


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return str(path)


def test_every_suite_is_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", "suites"]) == 0
    listed = capsys.readouterr().out
    for name, each in suites().items():
        assert name in listed
        assert main(["leaderboard", "suite", name]) == 0
        shown = capsys.readouterr().out
        assert each.title in shown
        assert each.tasks[0].card_id in shown
        assert f"{sum(each.steps_of(task) for task in each.tasks) * each.seeds:,} updates" in shown.replace("\n", " ")


def test_runs_that_are_done_are_skipped_and_a_smaller_budget_told(
    tiny: str, tmp_path: Path, pendulum_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = replace(offbench.load(pendulum_file), provenance=Provenance("offbench/pendulum/swingup-v0", 1, "pendulum"))
    monkeypatch.setattr("offbench.catalog.loading.load", lambda source: data)
    words = [
        "leaderboard",
        "run",
        tiny,
        "--algorithms",
        "bc,batch_size=8",
        "bc,batch_size=4",
        "bc,batch_size=8",
        "--quiet",
        "--output",
    ]
    words += [str(tmp_path / "runs"), "--device", "cpu"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "2 runs, 0 of them done" in told.err
    assert "not the budget" not in told.err
    assert "2 of 2 runs" in told.out
    record = tmp_path / "runs" / "bc-batch_size=4" / "offbench--pendulum--swingup-v0" / "seed-1.json"
    before = record.stat().st_mtime_ns
    assert main(words) == 0
    assert "2 runs, 2 of them done" in capsys.readouterr().err
    assert record.stat().st_mtime_ns == before
    assert main([*words[:-3], str(tmp_path / "small"), "--seeds", "1"]) == 0
    assert "cannot be an entry of it" in capsys.readouterr().err


def test_a_method_that_fails_leaves_the_others_run(
    tiny: str, tmp_path: Path, pendulum_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = replace(
        offbench.load(pendulum_file), rewards=None, provenance=Provenance("offbench/pendulum/swingup-v0", 1, "pendulum")
    )
    monkeypatch.setattr("offbench.catalog.loading.load", lambda source: data)
    words = ["leaderboard", "run", tiny, "--algorithms", "iql", "bc", "--quiet", "--output", str(tmp_path / "runs")]
    assert main(words) == 1
    told = capsys.readouterr()
    assert "error: iql on offbench/pendulum/swingup-v0: IQL learns from" in told.err
    assert "1 of 2 runs" in told.out


def test_an_interruption_says_how_to_go_on(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(self: Job, **options: object) -> None:
        raise Interrupted("interrupted; run the same command with --resume")

    monkeypatch.setattr(Job, "run", stopped)
    assert main(["leaderboard", "run", tiny, "--algorithms", "bc", "--output", str(tmp_path)]) == 130
    assert "interrupted in bc on offbench/pendulum/swingup-v0; the same command goes on" in capsys.readouterr().err


def test_a_new_secret_is_written_and_never_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "secret.txt"
    assert main(["leaderboard", "commit", "--secret", str(path), "--new"]) == 0
    told = capsys.readouterr()
    assert 'salt = "' in told.out
    assert 'commitment = "' in told.out
    assert path.read_text().strip() not in told.out + told.err
    assert main(["leaderboard", "hidden", "starter", "--secret", str(path), "--output", str(tmp_path)]) == 2
    assert "has no commitment" in capsys.readouterr().err


def test_a_method_is_checked_for_going_by_names(pendulum_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["leaderboard", "renamed", "bc", str(pendulum_file), "--steps", "4", "--seeds", "1", "--episodes", "1"]
    assert main(words) == 0
    assert "every number is the same" in capsys.readouterr().out
