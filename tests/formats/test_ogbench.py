from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import offbench
from offbench.data.transitions import Transitions
from offbench.errors import DataError
from offbench.formats.ogbench import read_ogbench
from offbench.formats.ogbench_tasks import relabelled, single_task
from offbench.formats.table import recognise
from offbench.lint.files import lint_file


def rows(episodes: int = 3, steps: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """What a file of OGBench holds."""
    rng, count = np.random.default_rng(seed), episodes * (steps + 1)
    columns = {name: rng.standard_normal((count, 2)).astype(np.float32) for name in ("observations", "qpos", "qvel")}
    actions = rng.uniform(-1, 1, (count, 2)).astype(np.float32)
    return columns | {"actions": actions, "terminals": np.arange(count) % (steps + 1) == steps}


def write(path: Path, columns: dict[str, np.ndarray]) -> Path:
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **columns)
    return path


@pytest.fixture
def real(shared: Path) -> Path:
    return shared / "real" / "ogbench"


@pytest.mark.parametrize(
    ("name", "episodes", "size"),
    [("pointmaze-medium-navigate", 5, 2), ("cube-single-play", 2, 5), ("scene-play", 2, 5), ("puzzle-3x3-play", 2, 5)],
)
def test_the_regenerated_files_end_by_the_clock_alone(real: Path, name: str, episodes: int, size: int) -> None:
    path = real / f"{name}-v0-regenerated.npz"
    assert recognise(path).name == "ogbench"
    data, stored = read_ogbench(path), np.load(path)
    assert data.lengths.tolist() == [1000] * episodes
    assert (data.terminations.sum(), data.truncations.sum(), data.final_observations.all()) == (0, episodes, True)
    assert np.array_equal(data.observations, stored["observations"])
    assert np.array_equal(data.actions, stored["actions"].reshape(episodes, 1001, -1)[:, :-1].reshape(-1, size))
    assert np.array_equal(data.extras["qpos"], stored["qpos"])
    assert np.array_equal(data[1].extra("qpos"), stored["qpos"][1001:2001])
    assert len(Transitions(data)) == 1000 * episodes
    assert not [each for each in lint_file(path) if each.severity == "error"]


def test_labels_are_those_of_the_package_and_no_simulator_is_asked(real: Path) -> None:
    labels = np.load(real / "singletask_labels.npz")
    names = sorted({"/".join(key.split("/")[:2]) for key in labels if "/task" in key})
    assert len(names) == 20
    for name in names:
        dataset, task = name.split("/task")
        data = read_ogbench(real / f"{dataset}-regenerated.npz")
        number, targets = single_task(dataset.replace("-navigate", "").replace("-play", ""), int(task))
        made = relabelled(data, targets)
        assert number == int(task)
        assert np.array_equal(made.rewards, labels[f"{name}/rewards"])
        assert np.array_equal(1 - made.terminations.astype(np.float32), labels[f"{name}/masks"])
        assert made.lengths.tolist() == data.lengths.tolist()
        assert (made.terminations | made.truncations)[made.offsets[1:] - 1].all()
    told = (
        "import sys, offbench; offbench.load(sys.argv[1]); print({'mujoco', 'gymnasium', 'ogbench'} & {*sys.modules})"
    )
    path = real / "scene-play-v0-regenerated.npz"
    done = subprocess.run([sys.executable, "-c", told, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_packages_own_layouts_give_the_same(tmp_path: Path) -> None:
    raw = read_ogbench(write(tmp_path / "raw.npz", rows()))
    kept = ~rows()["terminals"]
    regular = {name: column[kept] for name, column in rows().items()}
    regular |= {
        "terminals": np.arange(12) % 4 == 3,
        "next_observations": rows()["observations"][np.flatnonzero(kept) + 1],
    }
    ends = rows()["terminals"]
    compact = rows() | {"valids": 1.0 - ends, "terminals": (ends | np.append(ends[1:], False)).astype(np.float32)}
    assert raw.lengths.tolist() == [4, 4, 4]
    for name, columns in (("regular", regular), ("compact", compact)):
        path = write(tmp_path / f"{name}.npz", columns)
        loaded = offbench.load(path)
        for column in ("observations", "offsets", "terminations", "truncations", "actions"):
            assert np.array_equal(getattr(loaded, column), getattr(raw, column)), (name, column)
        assert loaded.final_observations.all()


def test_masks_stop_the_bootstrap_inside_an_episode(tmp_path: Path) -> None:
    masks = np.ones(15, np.float32)
    masks[[1, 2, 8]] = 0
    ends = rows()["terminals"]
    labelled = rows() | {"valids": 1.0 - ends, "masks": masks, "rewards": masks - 1}
    loaded = offbench.load(write(tmp_path / "x.npz", labelled))
    assert np.flatnonzero(loaded.terminations).tolist() == [1, 2, 7]
    assert loaded.inner_terminations.tolist() == [1, 2]
    assert loaded.truncations.sum() == 2
    assert loaded.lengths.tolist() == [4, 4, 4]


def test_a_folder_of_files_is_one_dataset_without_those_of_validation(tmp_path: Path) -> None:
    for name, seed in (("a-000", 0), ("a-001", 1), ("a-000-val", 2)):
        write(tmp_path / "many" / f"{name}.npz", rows(seed=seed))
    data = offbench.load(tmp_path / "many")
    assert len(data) == 6
    assert np.array_equal(data[3:].observations, rows(seed=1)["observations"])
    assert "2 files are joined; 1 of validation are left out" in data.provenance.notes
    assert len(offbench.load(tmp_path / "many" / "a-000-val.npz")) == 3


def test_powderworlds_whole_numbers_become_one_column(tmp_path: Path) -> None:
    columns = rows() | {"actions": np.arange(15, dtype=np.int32) % 8, "observations": np.zeros((15, 4, 4, 6), np.uint8)}
    del columns["qpos"], columns["qvel"]
    data = read_ogbench(write(tmp_path / "x.npz", columns | {"terminals": columns["terminals"].astype(np.int32)}))
    assert data.actions.shape == (12, 1)
    assert data.actions.dtype == np.int32
    assert data.action_range is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"terminals": np.zeros(0), "observations": np.zeros((0, 2)), "actions": np.zeros((0, 2))}, "has no rows"),
        ({"terminals": np.arange(15)}, "terminals of .* is 2 in row 2; only 0 and 1 are flags"),
        ({"qpos": np.zeros((3, 2))}, "qpos of .* has 3 rows; 15 would be right"),
        ({"terminals": np.isin(np.arange(15), [0, 14])}, "episode 0 of .* has one row, row 0, and so no step"),
        ({"actions": np.full((15, 2), 3.0)}, "outside the declared range"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, changes: dict[str, np.ndarray], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_ogbench(write(tmp_path / "x.npz", rows() | changes))


def test_states_that_a_task_needs_are_missed_by_name(tmp_path: Path) -> None:
    columns = rows()
    del columns["qpos"]
    data = read_ogbench(write(tmp_path / "x.npz", columns))
    with pytest.raises(DataError, match="has no qpos, from which a single task's rewards are computed"):
        relabelled(data, single_task("pointmaze-medium-v0", 1)[1])
