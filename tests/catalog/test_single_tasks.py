"""Ids of OGBench's single tasks, and what the package itself says of every family."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import offbench
from offbench.catalog import loading, single_tasks
from offbench.catalog.cards import cards
from offbench.data.trajectories import Trajectories
from offbench.errors import UnknownNameError
from offbench.formats.ogbench import read_ogbench
from offbench.formats.ogbench_tasks import relabelled, single_task

SCRIPT = Path(__file__).with_name("ogbench_package.py")
TARGETS = Path(__file__).resolve().parents[2] / "datasets" / "ogbench" / "targets.json"


def test_eighty_five_datasets_have_cards_and_eighty_two_have_five_tasks() -> None:
    own = [each for name, each in cards().items() if name.startswith("ogbench/") and not name.endswith("-val")]
    assert len(own) == 85
    assert len([name for name in cards() if name.startswith("ogbench/") and name.endswith("-val")]) == 85
    labelled = [each for each in own if not each.environment.startswith("powderworld")]
    assert len(labelled) == 82
    for each in labelled:
        for number in range(1, 6):
            assert single_task(each.environment.removeprefix("visual-"), number)[0] == number


DEFAULTS = {"antmaze-large": 1, "antsoccer-arena": 4, "cube-double": 2, "scene": 2}
DEFAULTS |= {"puzzle-3x3": 4, "puzzle-4x4": 4, "puzzle-4x5": 2, "puzzle-4x6": 2}


@pytest.mark.parametrize(("environment", "default"), DEFAULTS.items())
def test_an_id_without_a_number_is_the_default_task(environment: str, default: int) -> None:
    assert single_task(f"{environment}-v0")[0] == default


def test_ids_load_the_same_file_with_rewards(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = read_ogbench(shared / "real" / "ogbench" / "cube-single-play-v0-regenerated.npz")
    asked = []

    def load_card(card: object, cache: object = None) -> Trajectories:
        asked.append(card.id)
        return data

    monkeypatch.setattr(loading, "load_card", load_card)
    fourth = offbench.load("ogbench/cube-single-play-singletask-task4-v0")
    default = offbench.load("ogbench/cube-single-play-singletask-v0")
    assert asked == ["ogbench/cube-single-play-v0"] * 2
    assert fourth.provenance.dataset == "ogbench/cube-single-play-singletask-task4-v0"
    assert np.array_equal(default.rewards, relabelled(data, single_task("cube-single-v0", 2)[1]).rewards)
    assert not np.array_equal(default.rewards, fourth.rewards)
    assert any("are those of task 4 of cube-single-v0" in note for note in fourth.provenance.notes)


def test_wrong_ids_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no single task named '6'; nearest: 1"):
        single_tasks.single_task("cube-single-v0", 6)
    with pytest.raises(UnknownNameError, match=r"nearest: .*ogbench/cube-single-play-v0"):
        offbench.load("ogbench/cube-singel-play-singletask-v0")
    with pytest.raises(UnknownNameError, match="no environment with single tasks named 'powderworld-easy-v0'"):
        single_task("powderworld-easy-v0")


@pytest.mark.slow
def test_every_family_is_labelled_as_the_package_labels_it(tmp_path: Path) -> None:
    """States near the targets of all tasks, so that each subtask is done in some rows and not in others."""
    python = tmp_path / "environment" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "environment"], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "ogbench==1.2.2"], check=True)
    subprocess.run([python, SCRIPT, "targets", tmp_path / "targets.json"], check=True, cwd=tmp_path)
    assert json.loads((tmp_path / "targets.json").read_text()) == json.loads(TARGETS.read_text())
    rng, states = np.random.default_rng(0), {}
    for environment, tasks in json.loads(TARGETS.read_text()).items():
        qpos = np.zeros((500, 80), np.float32)
        buttons = len(tasks[0].get("buttons", ()))
        cubes = len(tasks[0].get("cubes", ()))
        for row in range(500):
            one = tasks[row % 5]
            if "xy" in one:
                start = one.get("xy_start", 0)
                qpos[row, start : start + 2] = np.array(one["xy"]) + rng.normal(0, one["tolerance"], 2)
            for cube, target in enumerate(one.get("cubes", ())):
                qpos[row, 14 + 7 * cube : 17 + 7 * cube] = np.array(target) + rng.normal(0, 0.02, 3)
            for slide, name in enumerate(("drawer", "window")):
                if name in one:
                    qpos[row, 14 + 7 * cubes + buttons + slide] = one[name] + rng.normal(0, 0.04)
        states[f"{environment}/qpos"] = qpos
        if buttons:
            near = np.array([tasks[row % 5]["buttons"] for row in range(500)])
            states[f"{environment}/button_states"] = np.where(rng.random(near.shape) < 0.1, 1 - near, near)
    np.savez(tmp_path / "states.npz", **states)
    subprocess.run([python, SCRIPT, "labels", "states.npz", "labels.npz"], check=True, cwd=tmp_path)
    labels = np.load(tmp_path / "labels.npz")
    compared = 0
    for environment in json.loads(TARGETS.read_text()):
        extras = {name.partition("/")[2]: column for name, column in states.items() if name.startswith(environment)}
        data = Trajectories(
            np.zeros((501, 1), np.float32), np.array([0, 500]), *np.zeros((2, 500), dtype=bool), extras=extras
        )
        for number in range(1, 6):
            made = relabelled(data, single_task(environment, number)[1])
            assert np.array_equal(made.rewards, labels[f"{environment}/task{number}/rewards"]), environment
            assert np.array_equal(made.terminations, labels[f"{environment}/task{number}/masks"] == 0), environment
            compared += 1
    assert compared == 110
