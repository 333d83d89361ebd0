"""What a run says of its data, its settings and its task, and keeps in its records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offbench
from offbench.algorithms import registry
from offbench.cli.main import main
from offbench.data.trajectories import Provenance, Trajectories
from offbench.environments.task import task
from offbench.training.remarks import recorded_in, recorded_task, remarks


def told(name: str, data: Trajectories, scored: str | None = None) -> str:
    return "\n".join(remarks(data, task(scored) if scored else None, name, registry.find(name)))


def pendulum(ended_by: str = "truncations", episodes: int = 6) -> Trajectories:
    steps = 10 * episodes
    rng = np.random.default_rng(0)
    angle = np.cumsum(rng.uniform(-0.1, 0.1, steps + episodes))
    ends = np.arange(steps) % 10 == 9
    flags = {"terminations": np.zeros(steps, dtype=bool), "truncations": np.zeros(steps, dtype=bool)} | {ended_by: ends}
    return Trajectories(
        observations=np.stack([np.cos(angle), np.sin(angle), angle], 1).astype(np.float32),
        offsets=np.arange(0, steps + 1, 10),
        actions=rng.uniform(-1, 1, (steps, 1)).astype(np.float32),
        rewards=rng.standard_normal(steps).astype(np.float32),
        provenance=Provenance("mine.hdf5", notes=("not read: 'x'",)),
        **flags,
    )


def test_what_reading_noted_and_wrong_ends_are_told() -> None:
    assert "data: not read: 'x'" in told("bc", pendulum())
    assert "terminated-by-clock" not in told("bc", pendulum())
    assert "data, terminated-by-clock: 6 of 6 episodes terminate" in told("bc", pendulum("terminations"))
    assert "pendulum never terminates" in told("bc", pendulum("terminations"), "pendulum")


@pytest.mark.parametrize(
    ("name", "like", "sentence"),
    [
        ("iql", "d4rl/hopper-medium-v2", "preset of d4rl/hopper-medium-v2 (CORL configs, commit eeeeef26): actor"),
        ("mopo", "d4rl/walker2d-medium-v2", "preset of d4rl/walker2d-medium-v2 (OfflineRL-Kit's README): the defaults"),
        ("iql", "d4rl/hopper-medium-v2", "the score published for d4rl/hopper-medium-v2 belongs to 1,000,000 updates"),
        ("edac", "d4rl/hopper-medium-v2", "belongs to 3,000,000 updates"),
        ("dt", "d4rl/hopper-medium-v2", "belongs to 100,000 updates"),
        ("iql", "", "no preset, so the defaults count"),
        ("iql", "ogbench/antmaze-large-navigate-v0", "no preset, so the defaults count"),
    ],
)
def test_the_preset_and_the_budget_of_the_published_score_are_told(name: str, like: str, sentence: str) -> None:
    data = pendulum()
    assert sentence in told(name, replace(data, provenance=Provenance("x", like=like)))


@pytest.mark.parametrize(
    ("recorded", "scored", "sentence"),
    [
        (
            "Hopper-v5",
            "hopper-v4",
            "recorded in another version, in Hopper-v5 and not in Hopper-v4, so that the",
        ),
        ("Hopper-v4", "hopper-v5", "recorded in another version, in Hopper-v4 and not in Hopper-v5"),
        ("Hopper-v4 of mujoco 3.3", "hopper-v5", "recorded in another version, in Hopper-v4 and not in Hopper-v5"),
        (
            "Pendulum-v1",
            "hopper-v5",
            "hopper-v5: the data were recorded elsewhere, in Pendulum-v1 and not in Hopper",
        ),
        (
            "Pendulum-v1",
            "pendulum",
            "pendulum: it is that of Pendulum-v1, in which the data say they were recorded",
        ),
        ("Hopper-v4 with the arguments x", "hopper-v4", None),
    ],
)
def test_a_task_that_is_not_what_the_data_were_recorded_in_is_told(
    recorded: str, scored: str, sentence: str | None
) -> None:
    origin = Provenance("mine", notes=("another note", f"recorded in {recorded}"))
    found = told("bc", replace(pendulum(), provenance=origin), scored)
    if sentence is None:
        assert "so that the scores" not in found
        assert "say they were recorded" not in found
    else:
        assert sentence in found


@pytest.mark.parametrize(
    "origin",
    [Provenance("d4rl/hopper-medium-v2", task="hopper-d4rl"), Provenance("x.hdf5", like="d4rl/hopper-medium-v2")],
)
def test_a_dataset_of_a_task_was_recorded_in_its_environment(origin: Provenance) -> None:
    data = replace(pendulum(), provenance=origin)
    assert "the data were recorded" not in told("bc", data, "hopper-v4")
    assert "in Hopper-v4 and not in Hopper-v5" in told("bc", data, "hopper-v5")
    assert recorded_in(replace(data, provenance=Provenance("x"))) == ""


@pytest.mark.parametrize(
    ("note", "name"),
    [
        ("recorded in Hopper-v5", "hopper-v5"),
        ("recorded in Hopper-v4", "hopper-v4"),
        ("recorded in InvertedDoublePendulum-v5", "inverteddoublependulum-v5"),
        ("recorded in Hopper-v5 with the arguments x", None),
        ("recorded in Humanoid-v5", None),
        ("not read: 'x'", None),
    ],
)
def test_the_task_of_the_recorded_environment_is_found(note: str, name: str | None) -> None:
    assert recorded_task(pendulum().noted(note)) == name


def test_another_task_is_told_with_the_score_and_what_is_recorded_is_scored_in_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pendulum().noted("recorded in Pendulum-v1")
    settings: dict[str, Any] = {"seeds": 1, "steps": 2, "compile": "never", "batch_size": 4, "episodes": 2}
    run = offbench.train("bc", data, output=tmp_path / "run", quiet=True, **settings)
    record = run.records[0]
    assert record.task is not None
    assert record.task.name == "pendulum"
    line = tmp_path / "short.toml"
    line.write_text('environment = "line_world:Swing"\nepisode_limit = 5\nlow = -9\nhigh = 0\n')
    sentence = "task short: the data were recorded elsewhere, in Pendulum-v1 and not in line_world:Swing, so that"
    assert main(["evaluate", str(run.folder), "--episodes", "2", "--task", str(line)]) == 0
    assert sentence in capsys.readouterr().out
    (again,) = offbench.evaluate(run.folder, episodes=2, task=line)
    assert any(note.startswith(sentence) for note in again.notes)
    (usual,) = offbench.evaluate(run.folder, episodes=2)
    assert usual.notes == record.notes


def test_a_run_prints_and_records_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = offbench.train("bc", pendulum(), seeds=1, steps=2, output=tmp_path / "run", compile="never", batch_size=4)
    assert "mine.hdf5: data: not read: 'x'" in capfd.readouterr().err
    (record,) = run.records
    assert "data: not read: 'x'" in record.notes
    assert any(note.startswith("no preset") for note in record.notes)
