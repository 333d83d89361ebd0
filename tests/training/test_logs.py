"""Whatever a run is logged to holds the same rows under the same names, and what goes wrong there is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from log_files import csv_rows, single, tensorboard_rows, wandb_files, wandb_rows
from logged_runs import Heard, broken_off, by_place, train
from whole_runs import outcome

import offbench
from offbench.errors import OffbenchError, UnknownNameError
from offbench.training.folder import RunFolder
from offbench.training.logs import BACKENDS, chosen_logs
from offbench.training.metric_rows import EVALUATION

NAMES = ["actor_loss", *EVALUATION]


@pytest.fixture(scope="module")
def everywhere(pendulum_file, tmp_path_factory):
    """A run with all logs there are, and one of one's own."""
    heard = Heard()
    return train(pendulum_file, tmp_path_factory.mktemp("all") / "run", log=[*BACKENDS, heard]), heard


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


def test_workers_log_nothing_themselves_and_change_no_row(pendulum_file, tmp_path):
    heard = Heard()
    pids = set()
    settings = {"seeds": 3, "group": 1, "log": [heard, lambda step, seed, values: pids.add(os.getpid())]}
    spread = train(pendulum_file, tmp_path / "spread", workers=2, **settings)
    alone = train(pendulum_file, tmp_path / "alone", seeds=3, group=1)
    assert pids == {os.getpid()}
    assert [row[:2] for row in heard.rows] == [(step, seed) for step in range(1, 21) for seed in range(3)]
    assert (spread.folder / "metrics.csv").read_bytes() == (alone.folder / "metrics.csv").read_bytes()


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
