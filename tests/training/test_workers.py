"""Runs that are spread over processes are the runs of one process, whatever befalls the processes."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import psutil
import pytest
from whole_runs import SMALL, finish, outcome, same, start, wait_for_step

import offbench
from offbench.algorithms.bc import BC
from offbench.errors import OffbenchError
from offbench.evaluation.record_files import read_records
from offbench.formats import native
from offbench.training.crew import Crew, LostWorkerError
from offbench.training.folder import RunFolder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="workers share memory by descriptor")

TRANSFORMER = {"embedding": 8, "heads": 1, "layers": 1, "context": 4, "batch_size": 4}
IQL = ["iql", "--hidden", "16", "--batch-size", "16", "--compile", "never"]
STEPS = 160  # long enough to be met in the middle


def training(file, folder, steps, *more):
    """Five seeds of IQL in two groups and two workers."""
    arguments = ["train", IQL[0], str(file), *IQL[1:], "--seeds", "5", "--steps", str(steps), "--output", str(folder)]
    arguments += ["--episodes", "2", "--evaluate-every", str(steps // 2), "--checkpoint-every", "40"]
    return [*arguments, "--workers", "2", "--group", "2", *more]


def workers_of(process):
    """The worker processes of a run, once they are there."""
    for _ in range(6000):
        found = [child for child in psutil.Process(process.pid).children() if is_worker(child)]
        if len(found) == 2:
            return found
        time.sleep(0.01)
    raise AssertionError("no workers were started")


def is_worker(process):
    try:
        return "offbench.training.worker" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def whole(pendulum_file, tmp_path_factory):
    """The undisturbed run, in one process."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    finish(training(pendulum_file, folder, STEPS, "--workers", "1"))
    return folder


# Each run with workers imports torch twice more. Below, the fast tests have updates of two kinds on data in memory, and
# policies with a memory in an evaluation.
@pytest.mark.parametrize(("algorithm", "changes"), [
    ("iql", {}),
    pytest.param("td3_bc", {"steps": 31}, marks=pytest.mark.slow),  # updates of two kinds, and an odd number of them
    # Policies with a memory.
    pytest.param("dt", TRANSFORMER | {"evaluate_every": 30}, marks=pytest.mark.slow),
])  # fmt: skip
def test_any_number_of_workers_makes_the_same_run(algorithm, changes, pendulum_file, tmp_path):
    settings = {"seeds": 5, "group": 2, "steps": 30, "evaluate_every": 20, "episodes": 9, "checkpoint_every": 7}
    settings |= SMALL | changes
    if algorithm == "dt":
        del settings["hidden"]
    for workers in (1, 2):
        offbench.train(algorithm, pendulum_file, workers=workers, output=tmp_path / str(workers), **settings)
    assert same(tmp_path / "1", tmp_path / "2")
    assert [record.hardware["threads"] for record in read_records([tmp_path / "2"])] == ["1"] * 5


def test_data_in_memory_are_handed_over_and_no_copy_stays(pendulum_file, tmp_path):
    data = native.load(pendulum_file)[:10]
    for workers in (1, 2):
        settings = SMALL | {"workers": workers, "evaluate_every": 31, "output": tmp_path / str(workers)}
        # Updates of two kinds, an odd number of them, and groups of two sizes.
        offbench.train("td3_bc", data, seeds=3, group=2, steps=31, episodes=1, **settings)
    assert same(tmp_path / "1", tmp_path / "2")
    assert not list((tmp_path / "2").glob(".*"))


def test_an_evaluation_is_the_same_by_any_number_of_workers(pendulum_file, tmp_path):
    folder, settings = tmp_path / "run", SMALL | TRANSFORMER  # policies with a memory
    del settings["hidden"]
    offbench.train("dt", pendulum_file, seeds=3, steps=5, evaluate_every=5, episodes=1, output=folder, **settings)
    one, two = (offbench.evaluate(folder, episodes=3, workers=workers) for workers in (1, 2))
    assert [record.evaluations for record in one] == [record.evaluations for record in two]
    assert [len(record.evaluations[0].returns) for record in two] == [3] * 3


class Failing(BC):
    """Fails in an update that is made in earnest: the first three are tried to see what they take."""

    def update(self, batch):
        if int(self.count) == 3:
            raise RuntimeError("on purpose")
        return super().update(batch)


def test_an_error_in_a_worker_is_told(pendulum_file, tmp_path):
    arguments = {"seeds": 2, "group": 1, "steps": 5, "workers": 2, "output": tmp_path / "run", **SMALL}
    told = r"the run of .*:Failing failed: RuntimeError: on purpose \(.*test_workers\.py, line \d+, in update: raise"
    with pytest.raises(OffbenchError, match=told) as error:
        offbench.train(f"{__name__}:Failing", pendulum_file, **arguments)
    assert 'raise RuntimeError("on purpose")' in str(error.value.__cause__)  # the trace in the worker, for --debug


def test_what_no_other_process_can_import_is_trained_here_and_that_is_said(pendulum_file, tmp_path):
    program = (
        "import offbench\nfrom offbench.algorithms.bc import BC\nclass Mine(BC):\n    def helper(self): ...\n"
        f"offbench.train(Mine, {str(pendulum_file)!r}, seeds=2, group=1, steps=3, episodes=1, hidden=(8,), "
        f"compile='never', workers=2, output={str(tmp_path / 'run')!r})\n"
    )
    (tmp_path / "script.py").write_text(program)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "one process trains all seeds: __main__:Mine cannot be imported by another process" in done.stderr


# -------------------------------------------------------------------- learners


@dataclass
class Slow:
    """Its policy is what its seed says; the first seed takes longest, and one may fail."""

    failing: int = -1

    def fit(self, data, task, seed, budget):
        time.sleep(0.5 if seed == 0 else 0)
        if seed == self.failing:
            raise RuntimeError("on purpose")
        self.value = seed / 10
        print("a learner may print")
        return self

    def act(self, observations):
        return np.full((len(observations), 1), self.value)


def test_seeds_of_a_learner_are_fitted_by_workers_and_kept_in_order(pendulum_file, tmp_path):
    for workers in (1, 2):
        offbench.train(
            f"{__name__}:Slow", pendulum_file, seeds=3, steps=1, episodes=2, quiet=True, workers=workers,
            output=tmp_path / str(workers),
        )  # fmt: skip
    assert outcome(tmp_path / "1") == outcome(tmp_path / "2")


def test_the_seeds_before_one_that_failed_are_kept(pendulum_file, tmp_path):
    arguments = {"seeds": 4, "steps": 1, "episodes": 1, "quiet": True, "workers": 2, "output": tmp_path / "run"}
    with pytest.raises(OffbenchError, match="failed in fit with seed 2: RuntimeError: on purpose"):
        offbench.train(f"{__name__}:Slow", pendulum_file, failing=2, **arguments)
    assert RunFolder(tmp_path / "run").manifest().progress.complete is False


# -------------------------------------------------------------------- what may befall processes


def test_a_killed_worker_stops_the_run_where_it_can_go_on(pendulum_file, tmp_path, whole):
    process = start(training(pendulum_file, tmp_path / "run", STEPS))
    wait_for_step(tmp_path / "run", 40, process)
    workers_of(process)[0].kill()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "was ended by SIGKILL" in err
    assert "run the same command with --resume to go on" in err
    assert "Traceback" not in err
    finish(training(pendulum_file, tmp_path / "run", STEPS, "--resume", "--workers", "1"))
    assert same(whole, tmp_path / "run")


def test_workers_end_with_the_process_that_started_them(pendulum_file, tmp_path, whole):
    process = start(training(pendulum_file, tmp_path / "run", STEPS))
    wait_for_step(tmp_path / "run", 40, process)
    workers = workers_of(process)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
    finish(training(pendulum_file, tmp_path / "run", STEPS, "--resume", "--workers", "1"))
    assert same(whole, tmp_path / "run")


# One handler hears both; tests/training/test_run.py has Ctrl-C without workers.
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_an_interrupted_run_saves_where_it_is(number, pendulum_file, tmp_path, whole):
    process = start(training(pendulum_file, tmp_path / "run", STEPS, "--checkpoint-every", str(STEPS // 2)))
    workers = workers_of(process)
    wait_for_step(tmp_path / "run", STEPS // 2, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "--resume" in err
    assert "Traceback" not in err
    assert not psutil.wait_procs(workers, timeout=30)[1]
    finish(training(pendulum_file, tmp_path / "run", STEPS, "--resume", "--workers", "1"))
    assert same(whole, tmp_path / "run")


@pytest.mark.slow
def test_killed_at_twenty_random_moments_workers_and_parent_alike(pendulum_file, tmp_path):
    steps, folder = 4000, tmp_path / "killed"
    assert start(training(pendulum_file, tmp_path / "whole", steps)).wait(timeout=600) == 0
    entropy = int.from_bytes(os.urandom(4), "little")
    print(f"moments of the kills are drawn from {entropy}")  # shown when the test fails
    rng = np.random.default_rng(entropy)
    for kill in range(20):
        process = start(training(pendulum_file, folder, steps, *(["--resume"] if kill else [])))
        workers = workers_of(process)
        wait_for_step(folder, int(rng.integers(0, 190 * (kill + 1))), process)
        time.sleep(float(rng.uniform(0, 0.5)))
        victim = [psutil.Process(process.pid), *workers][rng.integers(3)]
        victim.kill()
        process.communicate(timeout=300)
        assert process.returncode != 0
    process = start(training(pendulum_file, folder, steps, "--resume"))
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert same(tmp_path / "whole", folder)


def test_a_worker_that_ends_by_itself_is_noticed():
    crew = Crew(1, {"plan": None})  # no order that a worker could understand
    try:
        os.kill(crew.processes[0], signal.SIGTERM)
        with pytest.raises(LostWorkerError, match="was ended by SIGTERM"):
            crew.work(lambda: {"do": "advance"}, lambda job, result: None)
    finally:
        crew.close()
    assert crew.processes == []
