"""Runs in a task of one's own: the folder and the records keep it whole, and resume and evaluate need no file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offbench
from offbench.cli.main import main
from offbench.data.trajectories import Trajectories
from offbench.errors import OffbenchError
from offbench.training.folder import RunFolder
from offbench.training.group import Group

TASK = 'environment = "line_world:Line"\nepisode_limit = 6\narguments = { start = 2.0 }\nlow = -20\nhigh = -3\n'
QUICK: dict[str, Any] = {"hidden": (8,), "batch_size": 8, "quiet": True, "compile": "never", "episodes": 3, "seeds": 2}


@pytest.fixture
def line(tmp_path: Path) -> Path:
    (tmp_path / "line.toml").write_text(TASK)
    return tmp_path / "line.toml"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What homing earns in the line world, as a native file."""
    rng = np.random.default_rng(0)
    places = rng.uniform(-3, 3, (44, 1)).astype(np.float32)
    offsets = np.arange(0, 41, 10)
    acted = np.delete(places, offsets[1:] + np.arange(4), axis=0)
    recorded = Trajectories(
        observations=places,
        offsets=offsets,
        terminations=np.zeros(40, bool),
        truncations=np.arange(40) % 10 == 9,
        actions=np.clip(-acted, -1, 1),
        rewards=-np.abs(acted[:, 0]),
    )
    offbench.save(recorded, tmp_path / "line.offbench")
    return tmp_path / "line.offbench"


def test_records_keep_the_whole_task_and_evaluate_needs_no_file(line: Path, data: Path, tmp_path: Path) -> None:
    run = offbench.train("bc", data, task=line, steps=4, output=tmp_path / "run", **QUICK)
    kept = run.records[0].task
    assert kept is not None
    assert (kept.name, kept.environment, kept.arguments) == ("line", "line_world:Line", {"start": 2.0})
    assert (kept.episode_limit, kept.low, kept.high) == (6, -20, -3)
    line.unlink()
    (again, _) = offbench.evaluate(run.folder, episodes=2)
    assert again.task == kept
    assert again.evaluations[0].lengths == [6, 6]
    longer = offbench.Task(
        name="long",
        environment="line_world:Line",
        episode_limit=9,
        low=-20.0,
        high=-3.0,  # type: ignore[arg-type]
    )
    assert offbench.evaluate(run.folder, episodes=2, task=longer)[0].evaluations[0].lengths == [9, 9]


def test_workers_make_the_environment_too(line: Path, data: Path, tmp_path: Path) -> None:
    alone = offbench.train("bc", data, task=line, steps=4, workers=1, output=tmp_path / "one", **QUICK)
    spread = offbench.train("bc", data, task=line, steps=4, workers=2, output=tmp_path / "two", **QUICK)
    assert [r.evaluations for r in alone.records] == [r.evaluations for r in spread.records]


def test_a_run_that_died_goes_on_in_its_task_and_in_no_other(
    line: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = QUICK | {
        "steps": 8,
        "checkpoint_every": 2,
        "evaluate_every": 4,
        "output": tmp_path / "run",
        "workers": 1,
    }
    advance = Group.advance

    def dying(self: Group, start: int, stop: int) -> None:
        if start >= 6:
            raise RuntimeError("power cut")
        advance(self, start, stop)

    monkeypatch.setattr(Group, "advance", dying)
    with pytest.raises(OffbenchError, match="RuntimeError: power cut"):
        offbench.train("bc", data, task=line, **settings)
    monkeypatch.undo()
    own = RunFolder(tmp_path / "run").manifest().plan.own_task
    assert own is not None
    line.write_text(TASK.replace("-20", "-21"))
    with pytest.raises(OffbenchError, match=r"cannot go on as another: own_task\.low was .*20.* and is .*21"):
        offbench.train("bc", data, task=line, resume=True, **settings)
    resumed = offbench.train("bc", data, task=own, resume=True, **settings)
    whole = offbench.train("bc", data, task=own, **settings | {"output": tmp_path / "whole"})
    assert [r.evaluations for r in resumed.records] == [r.evaluations for r in whole.records]


def test_tasks_of_offbench_are_kept_by_name(pendulum_file: Path, tmp_path: Path) -> None:
    run = offbench.train("bc", pendulum_file, steps=2, output=tmp_path / "run", **QUICK | {"seeds": 1})
    assert (run.manifest.plan.task, run.manifest.plan.own_task) == ("pendulum", None)
    plan = run.manifest.plan
    assert plan.model_copy(update={"own_task": None}).settings_digest == plan.settings_digest
    mine = offbench.Task.model_validate(plan.whole_task.model_dump() | {"episode_limit": 9})  # type: ignore[union-attr]
    with pytest.raises(OffbenchError, match="is called 'pendulum' as one of offbench's own tasks is"):
        offbench.evaluate(run.folder, task=mine)


def test_the_commands_take_files(line: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--task", str(line), "--seeds", "1", "--steps", "2", "--episodes", "2", "--quiet", "--compile", "never"]
    assert main(["train", "bc", str(data), "--output", str(tmp_path / "run"), *flags]) == 0
    line.write_text(TASK.replace("6", "5"))
    assert main(["evaluate", str(tmp_path / "run"), "--episodes", "2", "--task", str(line)]) == 0
    assert main(["evaluate", str(tmp_path / "run"), "--episodes", "2"]) == 0
    capsys.readouterr()
    assert main(["data", "lint", str(data), "--task", str(line)]) == 0
    assert "longer than the 5 steps of line" in capsys.readouterr().out
    line.write_text(TASK.replace("line_world:Line", "nothing:Line"))
    assert main(["train", "bc", str(data), "--output", str(tmp_path / "other"), *flags]) == 2
    assert "environment nothing:Line of task line cannot be made: No module" in capsys.readouterr().err


def test_references_of_a_file_are_measured_and_can_be_pasted(
    line: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = TASK[: TASK.index("low")]
    line.write_text(bare)
    assert main(["data", "references", str(line), "--episodes", "20", "--policy", "line_world:Homing"]) == 0
    printed = capsys.readouterr().out
    line.write_text(bare + printed)
    (score,) = offbench.train("bc", data, task=line, steps=2, output=line.parent / "run", **QUICK | {"seeds": 1}).scores
    assert np.isfinite(score)
    from offbench.environments.own_tasks import read_task

    read = read_task(line)
    assert (read.high.policy, read.high.episodes, read.low.episodes) == ("line_world:Homing", 20, 20)
    assert read.high.mean == pytest.approx(-1, abs=0.1)  # from 2 to 1 to 0
    assert read.low.source == "measured by offbench data references"
    assert main(["data", "references", str(line), "--episodes", "20", "--data", str(data)]) == 0
    assert "whoever recorded line.offbench" in capsys.readouterr().out
    assert main(["data", "references", str(line), "--episodes", "3"]) == 0
    assert "# The high reference was not measured" in capsys.readouterr().out
    assert main(["data", "references", str(line), "--policy", "line_world:Nobody"]) == 2
    assert "the policy line_world:Nobody cannot be imported" in capsys.readouterr().err


def test_a_task_with_reward_free_data_still_says_what_is_missing(line: Path, data: Path, tmp_path: Path) -> None:
    bare = replace(offbench.load(data), rewards=None)
    with pytest.raises(OffbenchError, match="has no rewards"):
        offbench.train("iql", bare, task=line, steps=2, output=tmp_path / "run")
