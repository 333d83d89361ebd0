"""A run's folder is data: nothing of a user's is lost in it, and only what the run wrote is believed."""

from __future__ import annotations

import copy
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from whole_runs import SMALL, outcome

import offbench
from offbench.errors import OffbenchError
from offbench.training.finished import evaluate
from offbench.training.folder import RunFolder

STRANGERS = {
    "checkpoint-000000003.safetensors": b"weights of something else",
    "checkpoint-best.safetensors": b"weights",
    ".notes.part": b"half of a thought",
    "seed-0.json": b"{}",
    "thesis.tex": b"all of it",
}


def train(data: Path, folder: Path, **more: Any) -> offbench.Run:
    arguments = {"seeds": 2, "steps": 6, "episodes": 1, "checkpoint_every": 2, "evaluate_every": 6, "output": folder}
    arguments |= SMALL | more
    return offbench.train("bc", data, **arguments)


@pytest.mark.parametrize("name", STRANGERS)
def test_a_folder_of_something_else_is_refused_and_left_alone(pendulum_file, tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_bytes(STRANGERS[name])
    with pytest.raises(OffbenchError, match=r"holds no run but '.*'; name a new or empty folder with --output"):
        train(pendulum_file, tmp_path / "run")
    kept = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.name != ".lock"}
    assert kept == {name: STRANGERS[name]}


def interrupted(data: Path, folder: Path) -> dict[str, Any]:
    """A run that was killed after its step 4; its manifest."""
    train(data, folder)
    for record in folder.glob("seed-*.json"):
        record.unlink()
    return json.loads((folder / "manifest.json").read_text())


def test_what_lies_beside_a_run_outlives_it(pendulum_file, tmp_path):
    folder = tmp_path / "run"
    train(pendulum_file, folder)
    for name in ("checkpoint-best.safetensors", "checkpoint-000000001.safetensors", ".notes.part", "seed-9.json"):
        (folder / name).write_bytes(b"mine")
    train(pendulum_file, folder, resume=True)
    for name in ("checkpoint-best.safetensors", "checkpoint-000000001.safetensors", ".notes.part", "seed-9.json"):
        assert (folder / name).read_bytes() == b"mine"


def test_a_record_of_something_else_is_not_replaced(pendulum_file, tmp_path):
    run = train(pendulum_file, tmp_path / "run")
    path = run.folder / "seed-0.json"
    RunFolder(run.folder).write_record(run.records[0])  # its own is
    path.write_text(json.dumps(json.loads(path.read_text()) | {"steps": 7}))
    with pytest.raises(OffbenchError, match=r"seed-0.json is no record of this run, and is not replaced"):
        RunFolder(run.folder).write_record(run.records[0])
    assert json.loads(path.read_text())["steps"] == 7


def test_checkpoints_left_by_a_kill_are_removed_if_they_are_the_runs_own(pendulum_file, tmp_path):
    run = train(pendulum_file, tmp_path / "run")
    (own,) = run.folder.glob("checkpoint-*.safetensors")
    shutil.copy(own, run.folder / "checkpoint-000000005.safetensors")
    other = train(pendulum_file, tmp_path / "other", seeds=[5, 6])
    (foreign,) = other.folder.glob("checkpoint-*.safetensors")
    shutil.copy(foreign, run.folder / "checkpoint-000000004.safetensors")
    train(pendulum_file, run.folder, resume=True)
    assert sorted(path.name for path in run.folder.glob("checkpoint-*")) == [
        "checkpoint-000000004.safetensors",
        own.name,
    ]


@pytest.mark.parametrize("kind", ["other seeds", "other step", "one bit", "a link"])
def test_a_checkpoint_of_another_is_refused(pendulum_file, tmp_path, kind):
    run = train(pendulum_file, tmp_path / "run")
    (path,) = run.folder.glob("checkpoint-*.safetensors")
    if kind == "one bit":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    else:
        more = {"other seeds": {"seeds": [5, 6]}, "other step": {"steps": 4}, "a link": {}}[kind]
        (other,) = train(pendulum_file, tmp_path / "other", **more).folder.glob("checkpoint-*.safetensors")
        path.unlink()
        path.symlink_to(other) if kind == "a link" else shutil.copy(other, path)
    with pytest.raises(OffbenchError, match=r"is not the one that the run wrote|is a link"):
        offbench.Run(run.folder).policy()


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of every field and number of a JSON value."""
    if isinstance(value, dict):
        return [path, *(leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key)))]
    if isinstance(value, list):
        return [path, *(leaf for key, inner in enumerate(value) for leaf in leaves(inner, (*path, key)))]
    return [path]


ODD = [
    None,
    True,
    -1,
    0,
    1,
    10**30,
    0.5,
    "",
    "../../x",
    "/etc/passwd",
    "checkpoint-000000002.safetensors",
    [],
    {},
    "os:system",
]


def mutated(manifest: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The manifest with one place changed, removed or added to."""
    changed = copy.deepcopy(manifest)
    *above, last = rng.choice(leaves(changed)[1:])
    place = changed
    for key in above:
        place = place[key]
    action = rng.randrange(4)
    if action == 0 and isinstance(place, dict):
        del place[last]
    elif action == 1 and isinstance(place[last], int | float) and not isinstance(place[last], bool):
        place[last] += rng.choice([-1, 1, 1e-6, 1e6])
    elif action == 2 and isinstance(place, dict):
        place[f"{last}x"] = place[last]
    else:
        place[last] = rng.choice(ODD)
    return changed


@pytest.mark.parametrize("count", [400, pytest.param(2000, marks=pytest.mark.slow)])
def test_mutated_run_folders_are_refused_or_equal(count, pendulum_file, tmp_path):
    run = train(pendulum_file, tmp_path / "run")
    (checkpoint,) = run.folder.glob("checkpoint-*.safetensors")
    manifest, weights = json.loads((run.folder / "manifest.json").read_text()), checkpoint.read_bytes()
    expected, rng = [record.returns for record in evaluations(run.folder)], random.Random(0)
    refused = 0
    for number in range(count):
        if number % 2:
            (run.folder / "manifest.json").write_text(json.dumps(mutated(manifest, rng)))
        else:
            content = bytearray(weights)
            for _ in range(rng.choice([1, 1, 5])):
                content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            checkpoint.write_bytes(bytes(content[: rng.choice([len(content), rng.randrange(len(content))])]))
        try:
            opened = offbench.Run(run.folder)
            opened.policy()
        except OffbenchError:
            refused += 1
        else:  # what means the same, such as a field that has its default
            assert [record.returns for record in evaluations(run.folder)] == expected
        (run.folder / "manifest.json").write_text(json.dumps(manifest))
        checkpoint.write_bytes(weights)
    assert refused > 0.95 * count
    assert outcome(run.folder)


def evaluations(folder: Path) -> list[Any]:
    return [record.evaluations[-1] for record in evaluate(folder, episodes=1)]
