"""A run that was interrupted and goes on ends with the logs of an undisturbed one: each row once, none lacking."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from log_files import csv_rows, single, tensorboard_rows, wandb_files, wandb_rows
from logged_runs import Heard, broken_off, by_place, train
from whole_runs import finish, start, wait_for_step

import offbench
from offbench.errors import OffbenchError
from offbench.training.folder import RunFolder
from offbench.training.interruption import Interrupted
from offbench.training.metric_rows import EVALUATION


@pytest.fixture(scope="module")
def undisturbed(pendulum_file, tmp_path_factory):
    return train(pendulum_file, tmp_path_factory.mktemp("undisturbed") / "run").folder


def test_a_run_that_goes_on_has_every_row_once(pendulum_file, tmp_path, undisturbed):
    folder = tmp_path / "run"
    broken_off(pendulum_file, folder, "tensorboard", "wandb")
    assert RunFolder(folder).manifest().progress.step == 12
    assert max(step for step, _ in csv_rows(folder)) >= 14  # told, and undone by what ended the run
    undone = folder / "tensorboard" / "seed-0"
    (events,) = undone.iterdir()
    later = events.with_name("events.out.tfevents.5000000000.offbench")  # begun before the clock was set back
    events = events.rename(later)
    events.write_bytes(events.read_bytes()[:-5])  # as a kill in the midst of writing leaves it
    time.sleep(1.1)  # the files of Weights & Biases are called after the second
    heard = Heard()
    train(pendulum_file, folder, log=["tensorboard", "wandb", heard], resume=True)
    rows = csv_rows(undisturbed)
    assert (folder / "metrics.csv").read_bytes() == (undisturbed / "metrics.csv").read_bytes()
    assert tensorboard_rows(folder) == single(rows)
    assert by_place((row.step, row.seed, row.values) for row in heard.told) == {
        k: v for k, v in rows.items() if k[0] <= 12
    }
    assert by_place(heard.rows) == {k: v for k, v in rows.items() if k[0] > 12}
    parts = [wandb_rows(file) for file in wandb_files(folder)]
    assert parts[2][0] | parts[3][0] == rows  # whole, though a kill may take all from the earlier ones
    assert [code for *_, code in parts] == [1, 1, 0, 0]
    ids = [run.run_id for _, run, _ in parts]
    assert ids[:2] == ids[2:]


def test_logs_that_are_asked_for_where_a_run_goes_on_are_told_all_of_it(pendulum_file, tmp_path, undisturbed):
    folder = tmp_path / "run"
    broken_off(pendulum_file, folder)
    train(pendulum_file, folder, log=["tensorboard", "wandb"], resume=True)
    rows = csv_rows(undisturbed)
    assert tensorboard_rows(folder) == single(rows)
    assert {place: row for file in wandb_files(folder) for place, row in wandb_rows(file)[0].items()} == rows


def command(file, folder, *more):
    arguments = ["train", "bc", str(file), "--seeds", "2", "--steps", "300", "--output", str(folder), "--episodes", "1"]
    arguments += ["--hidden", "16", "--batch-size", "16", "--compile", "never", "--evaluate-every", "40"]
    return [*arguments, "--checkpoint-every", "70", "--quiet", *more]


@pytest.fixture(scope="module")
def long(pendulum_file, tmp_path_factory):
    """An undisturbed run that is long enough to be met in the middle."""
    folder = tmp_path_factory.mktemp("long") / "run"
    finish(command(pendulum_file, folder))
    return folder


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_or_interrupted_a_run_leaves_whole_files_and_goes_on_in_them(pendulum_file, tmp_path, long, number):
    folder = tmp_path / "run"
    process = start(command(pendulum_file, folder, "--log", "tensorboard"))
    wait_for_step(folder, 70, process)
    time.sleep(float(np.random.default_rng().uniform(0, 0.1)))
    process.send_signal(number)
    process.communicate(timeout=120)
    assert not (folder / "seed-0.json").exists()
    rows = csv_rows(long)
    left = csv_rows(folder)
    assert left == {place: rows[place] for place in list(rows)[: len(left)]}
    (folder / ".metrics.csv.0a1b2c3d.part").write_text("seed,st")  # as a kill in the midst of writing leaves it
    finish(command(pendulum_file, folder, "--log", "tensorboard", "--resume"))
    assert (folder / "metrics.csv").read_bytes() == (long / "metrics.csv").read_bytes()
    assert tensorboard_rows(folder) == single(rows)
    assert not list(folder.glob(".*"))


def test_ctrl_c_closes_the_logs_and_the_file_has_all_rows_up_to_the_checkpoint(pendulum_file, tmp_path):
    heard = Heard()

    def press(step, seed, values):
        if (step, seed) == (5, 1):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        train(pendulum_file, tmp_path / "run", log=[heard, press])
    step = RunFolder(tmp_path / "run").manifest().progress.step
    assert 5 <= step < 20
    assert max(csv_rows(tmp_path / "run")) == (step, 1)
    assert by_place(heard.rows) == csv_rows(tmp_path / "run")
    assert heard.ends == [False]


def test_a_metrics_file_of_something_else_is_not_replaced_where_a_run_goes_on(pendulum_file, tmp_path):
    broken_off(pendulum_file, tmp_path / "run")
    (tmp_path / "run" / "metrics.csv").write_text("mine")
    with pytest.raises(OffbenchError, match=r"run/metrics.csv holds no metrics of this run, and is not replaced"):
        train(pendulum_file, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "metrics.csv").read_text() == "mine"


@dataclass
class Still:
    """A learner whose policy does nothing; it fails with the seed ``fails``."""

    fails: int = -1
    broken = True

    def fit(self, data, task, seed, budget):
        if seed == self.fails and Still.broken:
            raise RuntimeError("not this one")
        return SimpleNamespace(act=lambda observations: np.zeros((len(observations), 1)))


def test_a_learners_scores_are_logged_seed_by_seed_and_once_where_it_goes_on(pendulum_file, tmp_path):
    arguments = {"seeds": 3, "steps": 7, "episodes": 2, "output": tmp_path / "run", "quiet": True, "fails": 2}
    arguments["log"] = ["tensorboard", "wandb"]
    with pytest.raises(OffbenchError, match="not this one"):
        offbench.train(f"{__name__}:Still", pendulum_file, **arguments)
    assert list(csv_rows(tmp_path / "run")) == [(7, 0), (7, 1)]
    Still.broken = False
    time.sleep(1.1)
    heard = Heard()
    run = offbench.train(
        f"{__name__}:Still", pendulum_file, **arguments | {"log": ["tensorboard", "wandb", heard], "resume": True}
    )
    rows = csv_rows(run.folder)
    assert list(rows) == [(7, 0), (7, 1), (7, 2)]
    assert [row["evaluation/score"] for row in rows.values()] == pytest.approx(run.scores)
    assert list(rows[7, 0]) == list(EVALUATION)
    assert tensorboard_rows(run.folder) == single(rows)
    assert [(row.step, row.seed) for row in heard.told] == [(7, 0), (7, 1)]
    assert by_place(heard.rows) == {(7, 2): rows[7, 2]}
    each = [wandb_rows(file)[0] for file in wandb_files(run.folder)]
    assert list(map(len, each)) == [1, 1, 0, 1, 1, 1]
    assert {place: row for own in each[3:] for place, row in own.items()} == rows
