from importlib.metadata import version

import numpy as np
import pytest
from pydantic import ValidationError

from offbench.environments import task as module
from offbench.environments.task import Reference, Task, task, tasks
from offbench.errors import OffbenchError, UnknownNameError


def reference(mean: float) -> Reference:
    return Reference(mean=mean, policy="some", source="a test")


def test_score_is_0_at_low_and_100_at_high_and_scale_ignores_the_shift():
    pendulum = task("pendulum")
    low, high = pendulum.low.mean, pendulum.high.mean
    assert pendulum.score([low, high, (low + high) / 2]).tolist() == pytest.approx([0, 100, 50])
    returns = np.array([low, high, high])
    assert pendulum.scale(returns.std()) == pytest.approx(pendulum.score(returns).std())


def test_d4rl_constants():
    hopper = task("hopper-d4rl")
    assert hopper.score(3234.3) == pytest.approx(100)
    assert hopper.score(-20.272305) == pytest.approx(0)
    assert task("halfcheetah-v4").score(4770) == pytest.approx(100 * (4770 + 280.178953) / (12135 + 280.178953))
    assert task("walker2d-v4").low.mean == 1.629008
    for robot in ("hopper", "halfcheetah", "walker2d", "ant"):
        recorded, today = task(f"{robot}-d4rl"), task(robot)
        assert (recorded.high, recorded.environment) == (today.high, today.environment)
        # Random actions return D4RL's constant in today's dynamics, or what they return was measured.
        assert (recorded.low == today.low) == (robot in ("halfcheetah", "walker2d"))
        assert "D4RL" in recorded.low.source
        assert (recorded.dynamics, today.dynamics, today.name) == ("d4rl", "installed", f"{robot}-v4")


def test_measured_references_carry_their_uncertainty():
    for each in tasks().values():
        for found in (each.low, each.high):
            if "measured" in found.source:
                assert found.standard_error is not None
                # A pendulum that is kept upright earns the same in every episode.
                assert found.standard_error > 0 or (each.name == "invertedpendulum-v5" and found.mean == 1000)
                assert found.episodes in (200, 1000)


def test_aliases_and_near_names():
    assert task("Pendulum-v1") is task("pendulum")
    with pytest.raises(UnknownNameError, match=r"no task named 'hoper-v4'.*hopper-v4"):
        task("hoper-v4")
    with pytest.raises(UnknownNameError, match="Pendulum-v1"):
        task("Pendulum-v2")


def test_aliases_are_unique():
    names = [name for each in tasks().values() for name in (each.name, *each.aliases)]
    assert len(names) == len(set(names))


def test_simulator_versions_are_the_installed_ones():
    assert task("pendulum").simulator_versions() == {"gymnasium": version("gymnasium")}
    assert task("hopper-v4").simulator_versions()["mujoco"] == version("mujoco")


def test_tasks_are_frozen_and_references_ordered():
    with pytest.raises(ValidationError):
        task("pendulum").episode_limit = 5
    with pytest.raises(ValidationError, match="must lie below"):
        Task(name="x", environment="X-v0", episode_limit=1, low=reference(1), high=reference(1))


def test_a_wrong_table_is_named_with_its_file(tmp_path, monkeypatch):
    (tmp_path / "tasks.toml").write_text('[odd]\nenvironment = "X-v0"\nepisode_limit = 0\n')
    monkeypatch.setattr(module, "resources", lambda: tmp_path)
    with pytest.raises(OffbenchError, match=r"task odd in .*tasks\.toml: episode_limit"):
        tasks.__wrapped__()
    (tmp_path / "tasks.toml").write_text("[odd\n")
    with pytest.raises(OffbenchError, match="no valid TOML"):
        tasks.__wrapped__()
