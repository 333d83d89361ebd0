from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import offbench
from offbench.catalog.loading import load
from offbench.data.preferences import Preferences
from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import OffbenchError, UnknownNameError
from offbench.leaderboard.running import Budget, Job, Method, jobs, method, remaining, with_preset
from offbench.leaderboard.suite import Suite, suite

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


def test_methods_are_written_as_they_are_read() -> None:
    assert method("iql") == Method("iql")
    found = method("bc,top_fraction=0.1,normalise_states=true")
    assert found.changes == {"top_fraction": 0.1, "normalise_states": True}
    assert method(found.name) == found
    assert found.slug == "bc-top_fraction=0.1-normalise_states=true"
    found = method("iql,hidden=[64,32],beta=3.0")
    assert found.changes == {"hidden": (64, 32), "beta": 3.0}
    assert method(found.name) == found


@pytest.mark.parametrize("wrong", ["bc,top_fraction", "bc,top_fraction=0.1,top_fraction=0.2", "bc,top_fraction=2"])
def test_broken_methods_are_told(wrong: str) -> None:
    with pytest.raises(OffbenchError, match="top_fraction"):
        method(wrong)


def test_unknown_methods_list_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="iql"):
        method("iqk")
    with pytest.raises(UnknownNameError, match="top_fraction"):
        method("bc,top_fractoin=0.1")


def test_every_method_has_a_folder_a_task_with_the_tasks_own_budget(tmp_path: Path) -> None:
    made = jobs(TINY, [method("bc"), method("bc,top_fraction=0.1")], Budget(2), tmp_path)
    assert [(job.steps, job.seeds, job.episodes) for job in made] == [(20, 2, 2), (10, 2, 3)] * 2
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
    assert job.plan is None
    job.run(quiet=True, compile="never")
    assert job.plan is not None
    assert job.plan.config["top_fraction"] == 0.5
    assert job.seconds > 0
    record = offbench.Run(job.folder).records[1]
    assert [each.step for each in record.evaluations] == [4, 8, 12, 16, 20]
    assert len(record.evaluations[-1].returns) == 2
    with pytest.raises(OffbenchError, match=r"and not bc,top_fraction=0.5,batch_size=8 on .* 30 updates"):
        _ = replace(job, steps=30).plan


def test_a_dataset_of_another_revision_is_refused(tmp_path: Path, small: Trajectories) -> None:
    job = jobs(TINY, [method("bc")], Budget(2), tmp_path)[0]
    other = replace(job, task=job.task.model_copy(update={"revision": 2}))
    with pytest.raises(OffbenchError, match="has revision 1 here, and the suite is scored on 2"):
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
    with pytest.raises(OffbenchError, match=r"BC learns from whole trajectories, and .* preferences in the place"):
        Job(method("bc"), task, 10, 1, 2, tmp_path / "bc").run()
    job = Job(method(f"{__name__}:FromPreferences"), task, 10, 1, 2, tmp_path / task.slug)
    job.run(quiet=True)
    assert job.plan is not None
    assert job.plan.dataset == task.learned
    assert job.plan.dataset_digest == load(task.learned).digest
    for name in ("semi-supervised", "preferences"):
        assert all(each.learned.startswith(each.dataset) for each in suite(name).tasks)
        assert all("?" in each.learned for each in suite(name).tasks)


def test_time_that_is_left_goes_by_the_nearest_runs(tmp_path: Path) -> None:
    first, second, other, more = jobs(TINY, [method("bc"), method("iql")], Budget(2), tmp_path)
    assert remaining([], [first]) is None
    # bc took 0.1 s a seed and update on the first task: 10 steps of 2 seeds on the second take 2 s.
    assert remaining([(first, 4.0)], [second]) == pytest.approx(2.0)
    # IQL has not run yet, so all runs count; on its own task it counts alone.
    assert remaining([(first, 4.0)], [other, more]) == pytest.approx(6.0)
    assert remaining([(first, 4.0), (other, 40.0)], [more]) == pytest.approx(20.0)


def test_presets_of_the_visible_dataset_are_given_as_hyperparameters() -> None:
    found = with_preset(method("td3_bc"), "offbench/hopper/medium-100k-v0")
    like = with_preset(method("td3_bc"), "d4rl/hopper-medium-v2")
    assert found == like
    assert with_preset(Method("iql", {"expectile": 0.6}), "d4rl/hopper-medium-v2").changes["expectile"] == 0.6
