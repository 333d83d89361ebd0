"""Whatever a run is logged to holds the same rows under the same names, however the run was interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from log_files import csv_rows, single, tensorboard_rows, wandb_files, wandb_rows
from whole_runs import SMALL, finish, outcome, start, wait_for_step

import offbench
from offbench.errors import OffbenchError, UnknownNameError
from offbench.training.folder import RunFolder
from offbench.training.interruption import Interrupted
from offbench.training.logs import BACKENDS, chosen_logs
from offbench.training.metric_rows import EVALUATION

QUICK = SMALL | {"seeds": 2, "steps": 20, "episodes": 2, "evaluate_every": 8, "checkpoint_every": 6}
NAMES = ["actor_loss", *EVALUATION]


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_PROJECT", raising=False)


class Heard:
    """A log that remembers; it fails at ``step`` with ``error``, once."""

    def __init__(self, step=None, error=None):
        self.step, self.error, self.rows, self.ends = step, error, [], []

    def open(self, plan, folder, told):
        self.plan, self.folder, self.told = plan, folder, list(told)

    def __call__(self, step, seed, values):
        if step == self.step:
            raise self.error
        self.rows.append((step, seed, dict(values)))
        values.clear()  # what it does to its values is its own affair

    def close(self, finished):
        self.ends.append(finished)


def by_place(rows):
    return {(step, seed): values for step, seed, values in rows}


def train(file, folder, **more):
    return offbench.train("bc", file, output=folder, **QUICK | more)


@pytest.fixture(scope="module")
def everywhere(pendulum_file, tmp_path_factory):
    """A run with all logs there are, and one of one's own."""
    heard = Heard()
    before, os.environ["WANDB_MODE"] = os.environ.get("WANDB_MODE"), "offline"
    try:
        run = train(pendulum_file, tmp_path_factory.mktemp("all") / "run", log=[*BACKENDS, heard])
    finally:
        os.environ.pop("WANDB_MODE") if before is None else os.environ.update(WANDB_MODE=before)
    return run, heard


def test_rows_and_names_are_the_same_everywhere(everywhere):
    run, heard = everywhere
    rows = csv_rows(run.folder)
    assert list(rows) == [(step, seed) for step in range(1, 21) for seed in (0, 1)]
    assert list(rows[16, 1]) == NAMES
    assert by_place(heard.rows) == rows
    assert [row[:2] for row in heard.rows] == list(rows)
    assert tensorboard_rows(run.folder) == single(rows)
    files = wandb_files(run.folder)
    assert len(files) == 2
    assert {place: row for file in files for place, row in wandb_rows(file)[0].items()} == rows


def test_rows_are_what_the_records_hold(everywhere):
    run, _ = everywhere
    rows = csv_rows(run.folder)
    for record in run.records:
        for loss in record.losses:
            assert rows[loss.step, record.seed]["actor_loss"] == loss.values["actor_loss"]
        for one in record.evaluations:
            row = rows[one.step, record.seed]
            assert row["evaluation/return"] == np.mean(one.returns)
            assert row["evaluation/length"] == np.mean(one.lengths)
        assert rows[20, record.seed]["evaluation/score"] == pytest.approx(record.final_score)
        scored = [step for (step, seed), row in rows.items() if "evaluation/score" in row and seed == record.seed]
        assert scored == [8, 16, 20]


def test_a_log_is_opened_with_plan_and_folder_and_closed_once(everywhere):
    run, heard = everywhere
    assert (heard.plan, heard.folder, heard.told) == (run.manifest.plan, run.folder, [])
    assert heard.ends == [True]


def test_weights_and_biases_know_the_run_by_its_settings(everywhere):
    run, _ = everywhere
    digest = run.manifest.plan.settings_digest
    told = [wandb_rows(file) for file in wandb_files(run.folder)]
    assert [one.run_id for _, one, _ in told] == [f"{digest[:16]}-0", f"{digest[:16]}-1"]
    assert {one.run_group for _, one, _ in told} == {f"bc on tiny, {digest[:8]}"}
    assert {one.project for _, one, _ in told} == {"offbench"}
    config = {item.key: json.loads(item.value_json) for item in told[1][1].config.update if item.key != "_wandb"}
    assert config == run.manifest.plan.config | {
        "algorithm": "bc",
        "dataset": "tiny",
        "dataset_revision": run.manifest.plan.dataset_revision,
        "task": "pendulum",
        "steps": 20,
        "episodes": 2,
        "dtype": "float32",
        "device": "cpu",
        "seed": 1,
    }
    assert [code for *_, code in told] == [0, 0]


def test_logs_change_no_identity_and_no_number(pendulum_file, tmp_path, everywhere):
    plain = train(pendulum_file, tmp_path / "run")
    assert outcome(plain.folder) == outcome(everywhere[0].folder)
    assert plain.manifest.plan == everywhere[0].manifest.plan
    assert (plain.folder / "metrics.csv").read_bytes() == (everywhere[0].folder / "metrics.csv").read_bytes()
    assert sorted(path.name for path in plain.folder.iterdir()) == [
        "checkpoint-000000020.safetensors",
        "manifest.json",
        "metrics.csv",
        "seed-0.json",
        "seed-1.json",
    ]


# ---------------------------------------------------------------- interruptions


def broken_off(file, folder, *logs, **more):
    """A run that ends at step 15, with its last checkpoint at 12; its log of one's own."""
    heard = Heard(15, RuntimeError("no room"))
    with pytest.raises(OffbenchError, match="no room"):
        train(file, folder, log=[*logs, heard], **more)
    assert heard.ends == [False]
    return heard


def test_a_run_that_goes_on_has_every_row_once(pendulum_file, tmp_path, everywhere):
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
    rows = csv_rows(everywhere[0].folder)
    assert (folder / "metrics.csv").read_bytes() == (everywhere[0].folder / "metrics.csv").read_bytes()
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


def test_logs_that_are_asked_for_where_a_run_goes_on_are_told_all_of_it(pendulum_file, tmp_path, everywhere):
    folder = tmp_path / "run"
    broken_off(pendulum_file, folder)
    train(pendulum_file, folder, log=["tensorboard", "wandb"], resume=True)
    rows = csv_rows(everywhere[0].folder)
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


# ---------------------------------------------------------------- other kinds of runs


def test_workers_log_nothing_themselves_and_change_no_row(pendulum_file, tmp_path):
    heard = Heard()
    pids = set()
    settings = {"seeds": 3, "group": 1, "log": [heard, lambda step, seed, values: pids.add(os.getpid())]}
    spread = train(pendulum_file, tmp_path / "spread", workers=2, **settings)
    alone = train(pendulum_file, tmp_path / "alone", seeds=3, group=1)
    assert pids == {os.getpid()}
    assert [row[:2] for row in heard.rows] == [(step, seed) for step in range(1, 21) for seed in range(3)]
    assert (spread.folder / "metrics.csv").read_bytes() == (alone.folder / "metrics.csv").read_bytes()


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


# ---------------------------------------------------------------- what can go wrong


def test_the_line_of_a_log_that_fails_is_blamed(pendulum_file, tmp_path):
    def picky(step, seed, values):
        return values["critic_loss"]

    sentence = (
        r"the log .*picky failed at step 1 of seed 0: KeyError: 'critic_loss' \(.*test_logs.py, line \d+, in picky: "
    )
    with pytest.raises(OffbenchError, match=sentence + r"return values\[\"critic_loss\"\]\)"):
        train(pendulum_file, tmp_path / "run", log=picky)


@pytest.mark.parametrize("method", ["open", "close"])
def test_a_log_that_fails_in_opening_or_closing_is_blamed_and_the_others_are_closed(pendulum_file, tmp_path, method):
    class Door(Heard):
        pass

    def slam(self, *arguments):
        raise OSError("the door is shut")

    setattr(Door, method, slam)
    first, last = Heard(), Heard()
    with pytest.raises(OffbenchError, match=rf"the log Door failed in {method}: OSError: the door is shut \(.*in slam"):
        train(pendulum_file, tmp_path / "run", log=[first, Door(), last])
    assert first.ends == [method == "close"]
    assert RunFolder(tmp_path / "run").manifest().progress.complete is (method == "close")


def test_what_ends_a_run_is_told_though_a_log_fails_in_closing(pendulum_file, tmp_path, capsys):
    heard = Heard(3, RuntimeError("first"))
    heard.close = lambda finished: 1 / 0
    with pytest.raises(OffbenchError, match="first"):
        train(pendulum_file, tmp_path / "run", log=[heard])
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_disk_that_is_full_for_a_log_is_one_sentence(pendulum_file, tmp_path):
    (log,) = chosen_logs("tensorboard")
    log.open(SimpleNamespace(seeds=[0]), tmp_path, [])
    log.close(finished=True)
    log._files[0] = log._writer(open("/dev/full", "wb", buffering=0))  # noqa: SIM115
    with pytest.raises(
        OffbenchError, match=r"the log tensorboard cannot be written \(OSError: .*No space left.*make room"
    ):
        log(1, 0, {"loss": 0.5})
    log.close(finished=False)


def test_a_file_in_the_place_of_a_log_is_left_alone(pendulum_file, tmp_path):
    broken_off(pendulum_file, tmp_path / "run")
    (tmp_path / "run" / "tensorboard").write_text("mine")
    with pytest.raises(OffbenchError, match=r"the log tensorboard cannot be written \(.*run/tensorboard"):
        train(pendulum_file, tmp_path / "run", log="tensorboard", resume=True)
    assert (tmp_path / "run" / "tensorboard").read_text() == "mine"


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        (Heard, r"log was given the class Heard; Heard\(\) would be right"),
        (7, r"log was given a int; tensorboard, wandb or a callable, log\(step, seed, values\), would be right"),
        ([None], "log was given a NoneType"),
    ],
)
def test_what_is_no_log_is_refused(log, sentence):
    with pytest.raises(OffbenchError, match=sentence):
        chosen_logs(log)


def test_an_unknown_log_is_answered_with_the_nearest(pendulum_file):
    with pytest.raises(UnknownNameError, match=r"there is no log named 'tensorbord'; nearest: tensorboard"):
        offbench.train("bc", pendulum_file, log="tensorbord")


def test_logs_are_one_or_several_and_each_name_counts_once():
    assert chosen_logs(None) == chosen_logs(()) == []
    assert len(chosen_logs("tensorboard")) == len(chosen_logs(print)) == len(chosen_logs(["wandb", "wandb"])) == 1


@pytest.mark.parametrize("name", BACKENDS)
def test_a_missing_extra_is_told_before_anything_is_done(pendulum_file, tmp_path, monkeypatch, name):
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(OffbenchError, match=rf"the log {name} needs an extra: pip install 'offbench\[{name}\]'"):
        train(pendulum_file, tmp_path / "run", log=name)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_wandb_left_behind_is_not_taken_for_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace())
    with pytest.raises(OffbenchError, match=r"pip install 'offbench\[wandb\]'"):
        chosen_logs("wandb")


def test_weights_and_biases_without_an_account_is_one_sentence(pendulum_file, tmp_path, monkeypatch):
    def init(**settings):
        raise ConnectionError("no API key")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, Settings=dict))
    with pytest.raises(
        OffbenchError, match="could not begin: ConnectionError: no API key; WANDB_MODE=offline needs no account"
    ):
        train(pendulum_file, tmp_path / "run", log="wandb")


def test_rows_that_a_run_of_theirs_has_already_are_not_sent_again(pendulum_file, tmp_path, monkeypatch):
    sent = []

    def init(**settings):
        seed = settings["config"]["seed"]
        return SimpleNamespace(
            resumed=True,
            starting_step=11,  # it has the steps before
            offline=False,
            url="https://example.org",
            group="all",
            log=lambda values, step, commit: sent.append((step, seed)),
            finish=lambda exit_code: sent.append(("end", exit_code)),
        )

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, Settings=dict))
    train(pendulum_file, tmp_path / "run", log="wandb")
    assert sent == [*((step, seed) for step in range(11, 21) for seed in (0, 1)), ("end", 0), ("end", 0)]


def test_training_without_logs_imports_neither_library(pendulum_file, tmp_path):
    code = (
        "import sys, offbench; offbench.train('bc', sys.argv[1], output=sys.argv[2], seeds=1, steps=2, episodes=1, "
        "quiet=True); print(sorted({'tensorboard', 'wandb'} & set(sys.modules)))"
    )
    out = subprocess.check_output([sys.executable, "-c", code, str(pendulum_file), str(tmp_path / "run")], text=True)
    assert out.strip() == "[]"
