"""What other people's code may do to a run, and may not."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import offbench
from offbench.cli.main import main
from offbench.errors import OffbenchError
from offbench.formats import native
from offbench.training.learner import Budget, fit

QUICK = ["--seeds", "2", "--steps", "3", "--episodes", "1", "--quiet", "--output", "runs/own"]

MODULE = """
import os, sys
from dataclasses import dataclass
import numpy as np
from offbench.algorithms.bc import BC

def act(observations):
    return np.zeros((len(observations), 1))

class Policy:
    def __init__(self, act):
        self.act = act

class Still:
    def fit(self, data, task, seed, budget):
        return Policy(act)

class Fits:
    def fit(self, data, task, seed, budget):
        sys.exit()

class Acts:
    def fit(self, data, task, seed, budget):
        return Policy(lambda observations: sys.exit(0))

class Made:
    fit = Still.fit
    def __init__(self):
        sys.exit(0)

@dataclass
class Field:
    fit = Still.fit
    rate: float = 1.0
    def __post_init__(self):
        sys.exit(0)

class Generates:
    def fit(self, data, task, seed, budget):
        raise GeneratorExit

class Built(BC):
    def build(self):
        sys.exit(0)

class Wanders:
    def fit(self, data, task, seed, budget):
        os.makedirs("elsewhere", exist_ok=True)
        os.chdir("elsewhere")
        return Policy(act)

class Lost:
    def fit(self, data, task, seed, budget):
        os.chdir("/")
        if seed:
            raise ValueError("lost")
        return Policy(act)

class Forks:
    def fit(self, data, task, seed, budget):
        if os.fork():
            os.wait()
        return Policy(act)
"""


@pytest.fixture
def here(tmp_path, monkeypatch, pendulum_file):
    """A folder to work in, with a module of learners in it, and a file of data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "unruly.py").write_text(MODULE)
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit(0)\n")
    (tmp_path / "moving.py").write_text("import os\nos.chdir('/')\nfrom unruly import Still\n")
    (tmp_path / "tiny.offbench").symlink_to(pendulum_file)
    yield tmp_path
    for name in ("unruly", "leaving", "moving"):
        sys.modules.pop(name, None)


ENDINGS = [
    ("leaving:Any", "the algorithm leaving:Any cannot be imported: SystemExit: 0"),
    ("unruly:Fits", "unruly:Fits failed in fit with seed 0: SystemExit"),
    ("unruly:Acts", "the policy of unruly:Acts failed in act: SystemExit: 0"),
    (
        "unruly:Made",
        "unruly:Made cannot be made anew for each seed (SystemExit: 0 (unruly.py, line 29, in __init__: sys",
    ),
    ("unruly:Field", "unruly:Field cannot be made: SystemExit: 0"),
    ("unruly:Generates", "unruly:Generates failed in fit with seed 0: GeneratorExit"),
    ("unruly:Built", "unruly:Built ended the run by SystemExit: 0"),
]
TWO = ("--workers", "2")


@pytest.mark.parametrize(
    ("name", "sentence", "workers"),
    [
        *((name, sentence, ()) for name, sentence in ENDINGS),
        (*ENDINGS[1], TWO),
        pytest.param(*ENDINGS[2], TWO, marks=pytest.mark.slow),  # two processes more; the others fail before these
    ],
)
def test_code_that_ends_the_process_is_a_failure(name, sentence, workers, here, capsys):
    assert main(["train", name, "tiny.offbench", *QUICK, *workers]) == 2
    told = capsys.readouterr().err
    assert told.replace("seed 1", "seed 0").startswith(f"error: {sentence}")  # whichever worker was the first
    assert told.count("\n") == 1


@pytest.mark.parametrize(("name", "workers"), [("unruly:Wanders", "1"), ("unruly:Wanders", "2"), ("moving:Still", "1")])
def test_a_run_stays_where_it_was_named(name, workers, here, capsys):
    assert main(["train", name, "tiny.offbench", *QUICK, "--workers", workers]) == 0
    assert capsys.readouterr().out.endswith("run: runs/own\n")
    assert sorted(path.name for path in (here / "runs" / "own").glob("*.json")) == [
        "manifest.json",
        "seed-0.json",
        "seed-1.json",
    ]
    assert os.getcwd() == str(here)
    for path in (here / "runs" / "own").glob("*.json"):
        assert str(here) not in path.read_text()


def test_messages_name_the_folder_as_it_was_typed(here, capsys):
    assert main(["train", "unruly:Lost", "tiny.offbench", *QUICK]) == 2
    assert "unruly:Lost failed in fit with seed 1: ValueError: lost" in capsys.readouterr().err
    assert main(["train", "unruly:Lost", "tiny.offbench", *QUICK]) == 2
    assert capsys.readouterr().err.startswith("error: a run in runs/own has 1 of 2 seeds; give --resume")
    run = offbench.train("unruly:Still", "tiny.offbench", seeds=1, steps=3, episodes=1, output="runs/b", quiet=True)
    assert str(run.folder) == "runs/b"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_copy_of_the_process_does_not_go_on_with_the_run(here):
    command = [sys.executable, "-m", "offbench", "train", "unruly:Forks", "tiny.offbench", *QUICK, "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = "error: unruly:Forks forked, and the copy of this process came back; it ends here, the first one goes on"
    assert done.stderr.splitlines() == [told, told]
    assert done.stdout.count("run: runs/own") == 1
    assert json.loads((here / "runs" / "own" / "manifest.json").read_text())["progress"]["complete"]


@pytest.mark.parametrize("wrap", [lambda actions: actions, list])
def test_masked_actions_are_refused(wrap, pendulum_file):
    def act(observations):
        return wrap(np.ma.masked_array(np.zeros((len(observations), 1)), mask=True))

    learner = SimpleNamespace(fit=lambda *given: SimpleNamespace(act=act))
    policy = fit(learner, None, native.load(pendulum_file), None, 0, Budget(1))
    with pytest.raises(OffbenchError, match=r"no NumPy array of numbers, but a masked array, .* filled\(value\) would"):
        policy.act(np.zeros((3, 3)))
