import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from offbench.algorithms import names
from offbench.cli.main import main
from offbench.data.trajectories import Provenance, Trajectories
from offbench.formats import native
from offbench.training.export import OnnxPolicy
from offbench.training.finished import Run

QUICK = ["--steps", "6", "--seeds", "2", "--episodes", "2", "--hidden", "8", "--batch-size", "8", "--compile", "never"]
QUICK += ["--evaluate-every", "6"]


@pytest.fixture
def dataset(tmp_path):
    rng = np.random.default_rng(0)
    ends = np.zeros(30, bool)
    ends[[9, 19, 29]] = True
    data = Trajectories(
        observations=rng.normal(size=(33, 3)).astype(np.float32),
        offsets=np.array([0, 10, 20, 30]),
        terminations=np.zeros(30, bool),
        truncations=ends,
        actions=rng.uniform(-2, 2, (30, 1)).astype(np.float32),
        rewards=rng.normal(size=30).astype(np.float32),
        provenance=Provenance(dataset="tiny"),
    )
    path = tmp_path / "tiny.offbench"
    native.save(data, path)
    return path


def test_train_evaluate_and_report(dataset, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", "iql", str(dataset), "--task", "pendulum", "--output", str(run), *QUICK]) == 0
    out = capsys.readouterr().out
    assert "iql" in out
    assert f"run: {run}" in out
    assert main(["evaluate", str(run), "--episodes", "3", "--output", str(tmp_path / "again")]) == 0
    record = json.loads((tmp_path / "again" / "seed-1.json").read_text())
    assert len(record["evaluations"][0]["returns"]) == 3
    assert main(["report", "table", str(run), "--format", "csv"]) == 0
    assert "tiny" in capsys.readouterr().out


def test_a_policy_is_exported(dataset, tmp_path, capsys):
    run, file = tmp_path / "run", tmp_path / "policy.onnx"
    assert main(["train", "rvs", str(dataset), "--task", "pendulum", "--output", str(run), *QUICK]) == 0
    assert main(["export", str(run), "--output", str(file), "--seed", "1", "--target", "-50"]) == 0
    assert f"written: {file}" in capsys.readouterr().out
    observations = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    ours, theirs = Run(run).policy(1, -50.0), OnnxPolicy(file.read_bytes())
    for policy in (ours, theirs):
        policy.reset(np.ones(4, bool))
    np.testing.assert_allclose(theirs.act(observations), ours.act(observations), atol=1e-5)
    assert main(["export", str(run), "--output", str(file)]) == 2
    assert main(["export", str(run), "--output", str(tmp_path / "other.onnx"), "--seed", "7"]) == 2
    assert "has no seed 7" in capsys.readouterr().err


def test_evaluate_leaves_the_records_of_the_training_alone(dataset, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", "bc", str(dataset), "--task", "pendulum", "--output", str(run), *QUICK]) == 0
    written = (run / "seed-0.json").read_bytes()
    for output in (run, run / "again"):
        assert main(["evaluate", str(run), "--episodes", "1", "--output", str(output)]) == 2
        assert "lies in the folder of a run" in capsys.readouterr().err
    assert (run / "seed-0.json").read_bytes() == written
    assert not (run / "again").exists()


def test_evaluate_films_the_first_episode(dataset, tmp_path, capsys):
    run, film = tmp_path / "run", tmp_path / "film.gif"
    assert main(["train", "bc", str(dataset), "--task", "pendulum", "--output", str(run), *QUICK]) == 0
    capsys.readouterr()
    arguments = ["evaluate", str(run), "--episodes", "2", "--output", str(tmp_path / "again"), "--video", str(film)]
    assert main(arguments) == 0
    record = json.loads((tmp_path / "again" / "seed-0.json").read_text())
    assert f"video: {film}, seed 0, return {record['evaluations'][0]['returns'][0]:,.1f}" in capsys.readouterr().out
    with Image.open(film) as image:
        assert image.n_frames == 100
    for name, sentence in ((film, "exists; name another file with --video"), ("film.txt", "is no name of a film")):
        assert main(["evaluate", str(run), "--video", str(name)]) == 2
        assert sentence in capsys.readouterr().err


def test_another_return_is_asked_for_on_the_command_line(dataset, tmp_path, capsys):
    run, again = tmp_path / "run", tmp_path / "again"
    hidden = QUICK.index("--hidden")  # which a transformer has none of
    small = [*QUICK[:hidden], *QUICK[hidden + 2 :], "--context", "3", "--embedding", "8", "--layers", "1"]
    assert main(["train", "dt", str(dataset), "--task", "pendulum", "--output", str(run), *small]) == 0
    assert main(["evaluate", str(run), "--episodes", "1", "--target", "-200", "--output", str(again)]) == 0
    record = json.loads((again / "seed-1.json").read_text())
    assert record["config"]["evaluation_target"] == -200
    assert json.loads((run / "seed-1.json").read_text())["config"]["evaluation_target"] != -200


def test_first_seed_names_which_seeds(dataset, tmp_path):
    run = tmp_path / "run"
    arguments = [*QUICK, "--first-seed", "3"]
    assert main(["train", "bc", str(dataset), "--task", "pendulum", "--output", str(run), *arguments]) == 0
    assert sorted(path.name for path in run.glob("seed-*.json")) == ["seed-3.json", "seed-4.json"]


def test_help_may_stand_before_the_algorithm(capsys):
    assert main(["train", "--help", "iql"]) == 0
    assert "--expectile" in capsys.readouterr().out


def test_help_shows_the_flags_of_the_algorithm_with_the_presets_of_the_dataset(capsys):
    assert main(["train", "iql", "d4rl/antmaze-umaze-v2", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "--expectile" in out
    assert "default: 0.9" in out
    assert "Example: offbench train iql" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["iqll", "x"], "there is no algorithm named 'iqll'; nearest: iql, cql"),
        (["iql", "offbench/pointmaze/stich-v0"], "there is no dataset named 'offbench/pointmaze/stich-v0'; nearest:"),
        (["iql", "nowhere.hdf5"], "there is no file nowhere.hdf5"),
    ],
)
def test_wrong_names_are_one_sentence(arguments, sentence, capsys):
    assert main(["train", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert sentence in err
    assert "Traceback" not in err


def test_algorithms_are_listed_and_shown(capsys):
    assert main(["algorithms", "list"]) == 0
    assert "Implicit Q-Learning" in capsys.readouterr().out
    assert main(["algorithms", "show", "iql"]) == 0
    out = capsys.readouterr().out
    assert "arXiv 2110.06169" in out
    assert "--expectile" in out
    assert "makes V the mean of Q" in " ".join(out.split())
    assert "antmaze-*" in out
    assert "67.5 ± 3.8" in out
    assert "eeeeef26" in out


LEARNER = """
\"\"\"Learners that hold still.\"\"\"
from dataclasses import dataclass

import numpy as np

@dataclass
class Still:
    \"\"\"Gives one action for ever.\"\"\"

    push: float = 0.0
    \"\"\"The action.\"\"\"

    def fit(self, data, task, seed, budget):
        return self

    def act(self, observations):
        return np.full((len(observations), 1), self.push)

class Bare:
    fit = Still.fit
    push = 0.5
    act = Still.act
"""


@pytest.fixture
def learner(tmp_path, monkeypatch):
    (tmp_path / "holding_still.py").write_text(LEARNER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "holding_still:Still"
    sys.modules.pop("holding_still", None)


def test_the_installed_command_trains_a_class_of_the_current_folder(dataset, learner, tmp_path):
    """As a process of its own, for which the first entry of sys.path is the folder of the command."""
    command = [str(Path(sys.executable).with_name("offbench")), "train", learner, str(dataset), "--task", "pendulum"]
    command += ["--seeds", "2", "--episodes", "2", "--steps", "9", "--push", "0.25", "--output", "run"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"{learner} on tiny: score" in done.stderr
    record = json.loads((tmp_path / "run" / "seed-1.json").read_text())
    assert (record["config"], record["steps"]) == ({"push": 0.25}, 9)


def test_help_shows_the_flags_of_a_learner(learner, capsys):
    assert main(["train", learner, "offbench/pendulum/swingup-v0", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "--push FLOAT The action. (default: 0.0)" in out
    assert main(["train", "holding_still:Bare", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--push" not in out
    assert "--episodes" in out


def test_a_learner_is_shown(learner, capsys):
    assert main(["algorithms", "show", learner]) == 0
    out = capsys.readouterr().out
    assert "Gives one action for ever." in out
    assert "holding_still:Still, learns from actions, rewards" in out
    assert "--push" in out
    assert "The action." in out
    assert main(["algorithms", "show", "holding_still:Bare"]) == 0
    assert "It has no hyperparameters." in capsys.readouterr().out


def test_learners_of_packages_are_listed_and_one_that_is_broken_hides_no_other(learner, monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint("still", learner, names.GROUP), EntryPoint("lost", "nowhere:Lost", names.GROUP)]
    monkeypatch.setattr(names, "entry_points", lambda group: points)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["algorithms", "list"]) == 0
    out = capsys.readouterr().out
    assert "Gives one action for ever." in out
    assert "the algorithm nowhere:Lost cannot be imported" in out
    assert "Implicit Q-Learning" in out


def test_options_of_ours_are_refused_for_a_learner(dataset, learner, capsys):
    assert main(["train", learner, str(dataset), "--task", "pendulum", "--compile", "never", "--group", "2"]) == 2
    assert "holding_still:Still is trained by one call of its fit" in capsys.readouterr().err


BIG = "1" + "0" * 30


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--batch-size", "1000000000000"], "batch_size must be at most 2,147,483,647, not 1000000000000"),
        (["--batch-size", "200000000000000"], "batch_size must be at most 2,147,483,647"),
        (["--batch-size", "300000000"], "there is too little memory"),
        (["--batch-size", "0"], "batch_size must be at least 1, not 0"),
        (["--batch-size", "-3"], "batch_size must be at least 1, not -3"),
        (["--hidden", BIG], "hidden must be at most 2,147,483,647"),
        (["--first-seed", str(2**63)], f"seeds must be below 2**63, not {2**63 + 1}"),
        (["--first-seed", "-1"], "seeds must be different non-negative numbers"),
        (["--seeds", "0", str(2**63)], "seeds must be below 2**63"),
        (["--seeds", "1000000000000"], "seeds must be at most 100,000"),
        (["--steps", BIG], "steps must be at most 1,000,000,000,000"),
        (["--episodes", "0"], "episodes must be at least 1, not 0"),
        (["--episodes", BIG], "episodes must be at most 1,000,000"),
        (["--learning-rate", "nan"], "learning_rate must lie in (0, 1], not nan"),
        (["--learning-rate", "inf"], "learning_rate must lie in (0, 1], not inf"),
        (["--top-fraction", "nan"], "top_fraction must lie in (0, 1], not nan"),
        (["--output", "x" * 5000], f"cannot write {'x' * 60}...{'x' * 19}: File name too long"),
        (["--task", "no\x1b[31mtask"], "there is no task named 'no\\x1b[31mtask'"),
    ],
)
def test_what_cannot_be_is_one_sentence(flags, sentence, dataset, tmp_path, monkeypatch, capsys):
    resource = pytest.importorskip("resource")
    monkeypatch.chdir(tmp_path)
    quick = dict(zip(QUICK[::2], QUICK[1::2], strict=True)) | {"--task": "pendulum", "--output": "run"}
    kept = [word for name, value in quick.items() if name not in flags for word in (name, value)]
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2**36, before[1]))  # a machine may promise memory that it lacks
    try:
        assert main(["train", "bc", str(dataset), *kept, *flags]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    told = capsys.readouterr().err
    assert told.startswith(f"error: {sentence}")
    assert told.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "bc", "y" * 5000],
        ["data", "show", "y" * 5000],
        ["data", "lint", "y" * 5000],
        ["report", "table", "y" * 5000],
        ["evaluate", "y" * 5000],
        ["export", "y" * 5000, "--output", "x.onnx"],
    ],
)
def test_names_that_no_disk_holds_are_one_short_sentence(arguments, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert "File name too long" in told
    assert (told.count("\n"), len(told) < 300) == (1, True)


def test_a_folder_of_numbered_files_is_shown_and_trained_on(dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(11):
        (folder / f"part-{number}.offbench").write_bytes(dataset.read_bytes())
    assert main(["data", "show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "a folder of 11 files, each a native file of offbench" in shown
    assert "33 episodes, 330 steps" in shown
    for where in ("device", "host"):
        options = ["--data-on", where, "--task", "pendulum", "--output", str(tmp_path / where), *QUICK]
        assert main(["train", "iql", str(folder), *options]) == 0
    device, host = (Run(tmp_path / where) for where in ("device", "host"))
    assert [one.losses for one in device.records] == [one.losses for one in host.records]
    assert device.records[0].dataset == "many"
    (folder / "part-4.offbench").unlink()
    assert main(["train", "iql", str(folder), "--task", "pendulum", *QUICK]) != 0
    assert "lacks part-4.offbench" in capsys.readouterr().err
