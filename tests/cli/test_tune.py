"""``offbench tune``: trials, choice and result by one command, after a kill as well; ``curve``."""

import csv
import json
import signal
import subprocess
import sys
import time

import pytest

from offbench.cli.main import main
from offbench.evaluation.record_files import read_records

QUICK = ["--steps", "8", "--seeds", "2", "--episodes", "2", "--compile", "never", "--quiet", "--processes", "1"]
SPACE = ["--expectile", "0.5..0.9", "--learning-rate", "1e-4..1e-2:log", "--hidden", "[8]"]
SMALL = [*SPACE, *QUICK, "--trials", "3", "--test-seeds", "2"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_command_chooses_and_scores_the_choice_on_other_seeds(pendulum_file, here, capsys):
    words = ["tune", "iql", str(pendulum_file), *SMALL]
    assert main(words) == 0
    told = capsys.readouterr().out
    folder = here / "runs" / "tune-iql-tiny.offbench"
    assert "chosen: trial " in told
    assert "on the tuning seeds 0, 1, which flatters it; the result is that of the test seeds 2, 3:" in told
    assert "online, 6 runs" in told
    assert "trials, choice and result are in runs/tune-iql-tiny.offbench" in told
    assert [record.seed for record in read_records([folder / "result"])] == [2, 3]
    assert main(words) == 0
    assert capsys.readouterr().out == told

    assert main(["report", "table", str(folder)]) == 0
    table = capsys.readouterr().out
    assert "left out, because a configuration was chosen by them: iql on tiny, 6 runs" in " ".join(table.split())
    assert main(["report", "records", str(folder), "--where", "tuning_role=result"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["seed"], row["tuning_kind"], row["tuning_runs"], row["tuning_episodes"]) for row in rows] == [
        ("2", "online", "6", "12"),
        ("3", "online", "6", "12"),
    ]
    assert main(["sweep", "status", str(folder)]) == 0
    assert "4 runs: 4 done" in capsys.readouterr().out


def test_the_curve_is_that_of_the_trials_in_numbers_and_as_a_figure(pendulum_file, here, capsys):
    assert main(["tune", "iql", str(pendulum_file), *SMALL, "--output", "out"]) == 0
    capsys.readouterr()
    assert main(["tune", "curve", "out", "--pulls", "30"]) == 0
    told = capsys.readouterr().out
    rows = list(csv.DictReader((here / "out" / "budget.csv").open()))
    assert "tiny: 6 policies" in told
    assert (here / "out" / "budget.png").exists()
    assert len(rows) == 30
    for k in (1, 10, 30):
        mean, low, high = (float(rows[k - 1][name]) for name in ("mean", "low", "high"))
        assert f"{k:8}   {mean:.1f} [{low:.1f}, {high:.1f}]" in told
    scores = [record.final_score for record in read_records([here / "out" / "trials"])]
    assert f"{0:8}   {sum(scores) / len(scores):.1f} by chance" in told


def test_a_plan_chooses_by_fqe(pendulum_file, here, capsys):
    (here / "plan.toml").write_text(
        f'algorithm = "iql"\ndatasets = ["{pendulum_file}"]\ntrials = 2\nselect = "fqe"\nseeds = 1\ntest_seeds = 1\n'
        'steps = 4\nepisodes = 1\ncompile = "never"\n[space]\nexpectile = [0.6, 0.8]\nhidden = [[8]]\n'
        "[fqe]\nupdates = 10\nhidden = [8]\n"
    )
    assert main(["tune", "plan.toml", "--processes", "1", "--quiet"]) == 0
    assert "(ope, 2 runs, 0 episodes)" in capsys.readouterr().out
    assert main(["tune", "curve", "runs/tune-plan"]) == 0
    assert " by FQE (trial " in capsys.readouterr().out


@pytest.mark.parametrize("tuner", ["random", "tpe"])
def test_a_tuning_that_was_killed_is_that_which_was_not(tuner, pendulum_file, here):
    words = ["tune", "iql", str(pendulum_file), *SPACE, *QUICK, "--trials", "4", "--tuner", tuner, "--batch", "2"]
    words += ["--test-seeds", "1"]
    killed = subprocess.Popen([sys.executable, "-m", "offbench.cli.main", *words, "--output", "killed"])
    deadline = time.monotonic() + 120
    while not list(here.glob("killed/trials/002/*/manifest.json")) and time.monotonic() < deadline:
        time.sleep(0.005)
        assert killed.poll() is None or list(here.glob("killed/trials/002/*/manifest.json"))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (here / "killed" / "result").exists()
    assert main([*words, "--output", "killed", "--processes", "2" if tuner == "tpe" else "1"]) == 0
    assert main([*words, "--output", "whole"]) == 0
    assert (here / "killed" / "tuning.json").read_text() == (here / "whole" / "tuning.json").read_text()
    one, other = (read_records([here / name]) for name in ("killed", "whole"))
    timing = {"created", "wall_seconds", "evaluation_seconds", "group_size", "hardware"}
    assert [record.model_dump(exclude=timing) for record in one] == [
        record.model_dump(exclude=timing) for record in other
    ]


LEARNER = """
from dataclasses import dataclass
import numpy as np
from offbench.errors import OffbenchError

@dataclass
class Picky:
    level: float = 0.0

    def fit(self, data, task, seed, budget):
        if self.level > 0.5:
            raise OffbenchError("too high")
        return self

    def act(self, observations):
        return np.zeros((len(observations), 1), np.float32)
"""


def test_a_trial_that_fails_is_told_and_spent(pendulum_file, here, capsys, monkeypatch):
    (here / "picky.py").write_text(LEARNER)
    monkeypatch.syspath_prepend(str(here))
    words = ["tune", "picky:Picky", str(pendulum_file), "--level", "0.1", "0.9", "--trials", "2", "--test-seeds", "1"]
    assert main([*words, "--seeds", "1", "--steps", "1", "--episodes", "1", "--processes", "1", "--quiet"]) == 0
    told = capsys.readouterr()
    assert "picky:Picky,level=0.9 on" in told.err
    assert "too high" in told.err
    assert "chosen: trial " in told.out
    assert "(online, 2 runs, 1 episodes, 1 failed)" in told.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["iql"], "names no dataset"),
        ([], "names nothing to tune"),
        (["iql", "DATA"], "the space of iql is empty"),
        (["iql", "offbench/pendulum/swingup-v9", "--expectile", "0.5..0.9"], "swingup-v0"),
        (["iql", "DATA", "--expectile", "0.5", "0.7"], "holds 2 configurations, and 20 trials were asked for"),
        (["iql", "DATA", "--expectile", "0.5..0.9", "--test-seeds", "2", "9"], "seed 2 is both"),
        (["iql", "DATA", "--expectile", "0.5..0.9", "--resume"], "a tuning always goes on"),
        (["iql", "DATA", "--expectile", "0.5..0.9", "--fqe.updates", "5"], "it takes --select fqe"),
        (["iql", "DATA", "--expectile", "0.5..0.9", "--select", "fqe", "--objective", "auc"], "FQE has none"),
        (["plan.toml"], "cannot read the plan"),
        (["plan.toml", "more"], "datasets are named in the plan"),
        (["curve", "nowhere"], "holds no tuning"),
    ],
)
def test_what_is_wrong_is_one_sentence(words, told, pendulum_file, here, capsys):
    assert main(["tune", *(str(pendulum_file) if word == "DATA" else word for word in words)]) == 2
    said = capsys.readouterr().err
    assert said.count("error: ") == 1
    assert told in said
    assert not (here / "runs").exists()


def test_a_missing_optuna_is_one_sentence(pendulum_file, here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["tune", "iql", str(pendulum_file), *SMALL, "--tuner", "tpe"]) == 2
    assert "the tuner tpe needs Optuna: pip install 'offbench[tuning]'" in capsys.readouterr().err
    assert not (here / "runs").exists()


def test_help_shows_examples(capsys):
    for words in ([], ["iql", "d4rl/hopper-medium-v2"], ["p.toml"]):
        assert main(["tune", *words, "--help"]) == 0
        assert "offbench tune curve" in capsys.readouterr().out
    assert main(["tune", "curve", "--help"]) == 0
    assert "Unifloral" in capsys.readouterr().out


def test_a_tuning_of_other_code_is_not_gone_on_with(pendulum_file, here, capsys):
    words = ["tune", "iql", str(pendulum_file), *SMALL, "--output", "out"]
    assert main(words) == 0
    table = json.loads((here / "out" / "tuning.json").read_text())
    table["made_by"]["code"] = "0" * 64
    del table["trials"][2]["value"], table["trials"][2]["failed"]
    (here / "out" / "tuning.json").write_text(json.dumps(table))
    capsys.readouterr()
    assert main(words) == 2
    assert "were made with another code of offbench" in capsys.readouterr().err
