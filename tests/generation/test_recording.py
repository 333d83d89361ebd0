"""The simulator's states beside the episodes: kept by recipes, in double precision, wherever the data go."""

from dataclasses import replace

import numpy as np
import pytest

from offbench.catalog.cards import card
from offbench.data.concatenation import concatenate
from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.dynamics.quality import start_errors
from offbench.environments.simulator import make_simulator
from offbench.environments.task import task
from offbench.errors import OffbenchError
from offbench.formats import native, table
from offbench.formats.writers import write_d4rl, write_minari
from offbench.generation import recipes
from offbench.generation.recipes import generate
from offbench.generation.recording import record, record_transitions

SETS = [f"offbench/{robot}/random-v0" for robot in ("hopper", "walker2d")]


def made(dataset: str, transitions: int = 500) -> Trajectories:
    changes = {"transitions": transitions, "expected": None}
    chosen = card(dataset)
    return generate(chosen.recipe.model_copy(update=changes), task(chosen.task), dataset)


@pytest.fixture(scope="module")
def hopper() -> Trajectories:
    return made(SETS[0])


@pytest.mark.parametrize("dataset", SETS)
def test_recipes_keep_states_and_the_transitions_of_revision_1(dataset, monkeypatch) -> None:
    with_states = made(dataset)
    assert set(with_states.extras) == {"qpos", "qvel", "qacc_warmstart"}
    assert {column.dtype for column in with_states.extras.values()} == {np.dtype(np.float64)}
    monkeypatch.setattr(recipes, "record_transitions", lambda *given: record_transitions(*given[:-1]))
    without = made(dataset)
    assert not without.extras
    assert without.digest == replace(with_states, extras={}).digest
    assert card(dataset).revision == 2


def test_states_go_along_with_chosen_episodes(hopper) -> None:
    rows = slice(int(hopper.offsets[3]) + 3, int(hopper.offsets[4]) + 4)
    assert np.array_equal(hopper[3].extras["qvel"], hopper.extras["qvel"][rows])
    joined = concatenate([hopper[:2], hopper[2:]])
    assert joined.digest == hopper.digest


def test_a_native_file_holds_them_as_they_are(hopper, tmp_path) -> None:
    native.save(hopper, tmp_path / "hopper.offbench")
    assert native.load(tmp_path / "hopper.offbench", verify=True).digest == hopper.digest


def test_d4rl_files_hold_those_that_steps_start_from(hopper, tmp_path) -> None:
    assert any("T+1 rows" in note for note in write_d4rl(hopper, tmp_path / "hopper.hdf5"))
    same_starts(table.load(tmp_path / "hopper.hdf5"), hopper)


def test_minari_datasets_hold_them(hopper, tmp_path, monkeypatch) -> None:
    pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    folder, _ = write_minari(hopper, "hopper/states-v0")
    same_starts(table.load(folder), hopper)


def same_starts(read: Trajectories, hopper: Trajectories) -> None:
    for name in hopper.extras:
        assert read.extra(name).dtype == np.float64
        assert np.array_equal(read.extra(name), hopper.extra(name))
    assert start_errors(Transitions(read), task("hopper-v4")).exact == 1


def test_a_simulator_without_states_is_refused() -> None:
    simulator = make_simulator(task("pendulum"), 1)
    with pytest.raises(OffbenchError, match="cannot give its states"):
        record(simulator, lambda observations: observations, [0], states=True)
    simulator.close()
