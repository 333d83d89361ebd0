"""What a run says of its data, its settings and its task, and keeps in its records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import offbench
from offbench.algorithms import registry
from offbench.data.trajectories import Provenance, Trajectories
from offbench.environments.task import task
from offbench.training.remarks import remarks


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


def test_a_run_prints_and_records_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = offbench.train("bc", pendulum(), seeds=1, steps=2, output=tmp_path / "run", compile="never", batch_size=4)
    assert "mine.hdf5: data: not read: 'x'" in capfd.readouterr().err
    (record,) = run.records
    assert "data: not read: 'x'" in record.notes
    assert any(note.startswith("no preset") for note in record.notes)
