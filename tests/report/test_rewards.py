"""``offbench report rewards``: a table, and the same numbers for programs."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import offbench
from offbench.cli.main import main
from offbench.data.trajectories import Trajectories


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """A dataset, the same with another reward, and the same with a reward that says nothing."""
    rng = np.random.default_rng(0)
    steps, episodes = 2000, 40
    last = np.arange(1, steps + 1) % 50 == 0
    data = Trajectories(
        observations=rng.standard_normal((steps + episodes, 2)).astype(np.float32),
        offsets=np.arange(0, steps + 1, 50),
        terminations=np.zeros(steps, bool),
        truncations=last,
        actions=rng.standard_normal((steps, 1)).astype(np.float32),
        rewards=rng.standard_normal(steps).astype(np.float32),
    )
    folder = tmp_path_factory.mktemp("rewards")
    others = (data.rewards, data.rewards + rng.standard_normal(steps).astype(np.float32), np.ones(steps, np.float32))
    paths = []
    for number, rewards in enumerate(others):
        offbench.save(replace(data, rewards=rewards), folder / f"{number}.offbench")
        paths.append(str(folder / f"{number}.offbench"))
    return paths[0], paths[1], paths[2]


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["report", "rewards", *arguments, "--length", "10", "--pairs", "500"]) == 0
    return capsys.readouterr().out


def test_the_table_defines_what_it_shows(files: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, *files[:2])
    for title in ("STARC distance", "EPIC distance", "Pearson, steps", "Pearson, segments", "Accuracy, pairs"):
        assert text.count(title) == 2
    assert f"A: {files[0]}\nB: {files[1]}\n" in text
    assert "2,000 steps" in text
    assert "Discount 0.99, segments of 10 steps" in text


def test_all_forms_have_the_same_numbers(files: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(shown(capsys, *files[:2], "--format", "json"))
    rows = list(csv.DictReader(io.StringIO(shown(capsys, *files[:2], "--format", "csv"))))
    assert [row["measure"] for row in rows] == list(told["measures"])
    for row in rows:
        one = told["measures"][row["measure"]]
        assert [float(row[name]) for name in ("value", "low", "high")] == [one["value"], *one["interval"]]
        assert int(row["count"]) == one["count"]
    assert told["measures"]["steps"]["value"] == pytest.approx(np.sqrt(0.5), abs=0.05)
    text = shown(capsys, *files[:2])
    assert f"Pearson, steps       {told['measures']['steps']['value']:.3f}" in text


def test_what_is_unknown_is_none(files: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(shown(capsys, files[0], files[2], "--format", "json"))
    assert told["measures"]["steps"]["value"] is None
    assert told["explained"][1] is None
    assert "Pearson, steps           –  –" in shown(capsys, files[0], files[2])  # noqa: RUF001
    assert "\nsteps,,,,2000,steps\n" in shown(capsys, files[0], files[2], "--format", "csv")


def test_other_transitions_are_refused(
    files: tuple[str, ...], pendulum_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "rewards", files[0], str(pendulum_file)]) == 2
    assert "differ; rewards of the same transitions can be compared" in capsys.readouterr().err
