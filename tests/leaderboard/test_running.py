from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import offbench
from offbench.algorithms.method import method
from offbench.catalog.loading import load
from offbench.data.preferences import Preferences
from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import OffbenchError
from offbench.leaderboard.running import Budget, jobs
from offbench.leaderboard.suite import Suite, suite
from offbench.sweep.job import Job

TINY = Suite.model_validate(
    {
        "name": "tiny",
        "version": 1,
        "title": "Tiny",
        "description": "Two pendulums.",
        "steps": 20,
        "episodes": 2,
        "seeds": 2,
        "tuning": "Nothing.",
        "tasks": [
            {"dataset": "offbench/pendulum/swingup-v0", "revision": 1, "domain": "pendulum"},
            {"dataset": "offbench/pointmaze/stitch-v0", "revision": 1, "domain": "maze", "steps": 10, "episodes": 3},
        ],
    }
)


@pytest.fixture
def small(pendulum_file: Path, monkeypatch: pytest.MonkeyPatch) -> Trajectories:
    """A few episodes in the place of every dataset."""
    data = replace(offbench.load(pendulum_file), provenance=Provenance("offbench/pendulum/swingup-v0", 1, "pendulum"))
    monkeypatch.setattr("offbench.catalog.loading.load", lambda source: data)
    return data


def test_every_method_has_a_folder_a_task_with_the_tasks_own_budget(tmp_path: Path) -> None:
    made = jobs(TINY, [method("bc"), method("bc,top_fraction=0.1")], Budget(2), tmp_path)
    assert [(job.steps, job.seeds, job.options["episodes"]) for job in made] == [(20, [0, 1], 2), (10, [0, 1], 3)] * 2
    assert len({job.folder for job in made}) == 4
    assert made[2].folder == tmp_path / "bc-top_fraction=0.1" / "offbench--pendulum--swingup-v0"


def test_a_smaller_budget_is_told() -> None:
    assert Budget(2).shortfall(TINY) is None
    assert Budget(3).shortfall(TINY) is None  # more seeds are welcome
    assert Budget(1).shortfall(TINY) == "1 seeds instead of 2"
    assert Budget(2, steps=20).shortfall(TINY) == "20 updates instead of 10"
    assert "5 updates instead of 20, 5 updates instead of 10" in str(Budget(2, steps=5).shortfall(TINY))


def test_a_run_that_is_done_is_known_and_another_one_refused(tmp_path: Path, small: Trajectories) -> None:
    job = jobs(TINY, [method("bc,top_fraction=0.5,batch_size=8")], Budget(2), tmp_path)[0]
    assert job.manifest is None
    job.run(quiet=True, compile="never")
    assert job.is_done
    assert job.manifest is not None
    assert job.manifest.plan.config["top_fraction"] == 0.5
    record = offbench.Run(job.folder).records[1]
    assert [each.step for each in record.evaluations] == [4, 8, 12, 16, 20]
    assert len(record.evaluations[-1].returns) == 2
    with pytest.raises(OffbenchError, match=r"is not bc,top_fraction=0.5,.* steps is 20 there and 30 is"):
        _ = replace(job, options={**job.options, "steps": 30}).manifest
    with pytest.raises(OffbenchError, match=r"top_fraction is 0.5 there and 0.4 is wanted"):
        _ = replace(job, method=method("bc,top_fraction=0.4")).manifest


def test_a_dataset_of_another_revision_is_refused(tmp_path: Path, small: Trajectories) -> None:
    job = jobs(TINY, [method("bc")], Budget(2), tmp_path)[0]
    other = replace(job, revision=2)
    with pytest.raises(OffbenchError, match="has revision 1 here, and 2 is wanted"):
        other.run(quiet=True)


class FromPreferences:
    """Acts as the preferred segments do, on average."""

    requires = (Preferences,)

    def fit(self, data, task, seed, budget):  # type: ignore[no-untyped-def]
        assert data.trajectories.rewards is data.preferences.first.rewards is None
        pairs = data.preferences
        preferred = np.where(pairs.labels[:, None, None] > 0.5, pairs.second.actions, pairs.first.actions)
        return Still(preferred.mean((0, 1)))


class Still:
    def __init__(self, action):  # type: ignore[no-untyped-def]
        self.action = action

    def act(self, observations):  # type: ignore[no-untyped-def]
        return np.tile(self.action, (len(observations), 1))


def test_preferences_and_splits_are_given_to_those_who_ask(tmp_path: Path) -> None:
    task = suite("preferences").tasks[0]
    assert task.learned == "offbench/pendulum/swingup-v0?preferences=500x50&seed=0"
    options = {"steps": 10, "seeds": 1, "episodes": 2, "evaluate_every": 2}
    with pytest.raises(OffbenchError, match=r"BC learns from whole trajectories, and .* preferences in the place"):
        Job(method("bc"), task.learned, tmp_path / "bc", options).run()
    job = Job(method(f"{__name__}:FromPreferences"), task.learned, tmp_path / task.slug, options)
    job.run(quiet=True)
    assert job.is_done
    assert job.manifest is not None
    assert job.manifest.plan.dataset == task.learned
    assert job.manifest.plan.dataset_digest == load(task.learned).digest
    for name in ("semi-supervised", "preferences"):
        assert all(each.learned.startswith(each.dataset) for each in suite(name).tasks)
        assert all("?" in each.learned for each in suite(name).tasks)
