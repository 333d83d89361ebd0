"""Runs that are killed at any moment, and resumed until they end, are the runs that nobody disturbed."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from warm import Warm
from whole_runs import alike

from offbench.training.folder import RunFolder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals, and processes that are copied")

LEARNER = """
import time
import numpy as np

class Constant:
    def fit(self, data, task, seed, budget):
        for _ in range(5):
            time.sleep(0.01)
        self.value = np.random.default_rng(seed).uniform(-1, 1)
        return self

    def act(self, observations):
        return np.full((len(observations), 1), self.value)
"""
SMALL = ["--hidden", "16", "--batch-size", "16", "--compile", "never"]
COURSE = ["--steps", "60", "--evaluate-every", "30", "--checkpoint-every", "12"]
RUNS = {
    "updates": ["iql", *SMALL, *COURSE, "--seeds", "2"],
    "two groups": ["td3_bc", *SMALL, *COURSE, "--seeds", "3", "--group", "2"],  # and updates of two kinds
    "a learner": ["slowly:Constant", "--seeds", "5", "--steps", "1"],
    "workers": ["iql", *SMALL, *COURSE, "--seeds", "3", "--group", "1", "--workers", "2"],
    "a learner's workers": ["slowly:Constant", "--seeds", "5", "--steps", "1", "--workers", "2"],
}


class Ground:
    """Where runs are harmed: a warm process, the data, and the undisturbed runs."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.data, self.folder = data, folder
        (folder / "slowly.py").write_text(LEARNER)
        self.warm = Warm(folder, self.command("updates", folder / "warming"))
        self.seconds: dict[str, float] = {}

    def command(self, kind: str, folder: Path, *more: str) -> list[str]:
        algorithm, *flags = RUNS[kind]
        return ["train", algorithm, str(self.data), *flags, "--episodes", "2", "--output", str(folder), *more]

    def whole(self, kind: str) -> Path:
        """The folder of the undisturbed run."""
        folder = self.folder / f"whole {kind}"
        if kind not in self.seconds:
            self.warm.run(self.command(kind, self.folder / f"first {kind}"))
            started = time.monotonic()
            assert self.warm.run(self.command(kind, folder)) == 0, self.warm.told
            self.seconds[kind] = time.monotonic() - started
        return folder

    def harm(self, kind: str, folder: Path, rng: np.random.Generator, number: int) -> int:
        """Send a signal to one run at random moments, resuming it until it ends; how often it was met."""
        whole, met = self.whole(kind), 0
        while True:
            started = self.warm.start(self.command(kind, folder, "--resume"))
            time.sleep(rng.uniform(0, 1.3 * self.seconds[kind]))
            with suppress(psutil.NoSuchProcess):  # it has ended already
                process = psutil.Process(started)
                victims = [process, *process.children()] if number == signal.SIGKILL else [process]
                victims[rng.integers(len(victims))].send_signal(number)
            code = self.warm.wait()
            told = self.warm.told
            assert "Traceback" not in told, told
            if code == 0:
                assert alike(whole, folder), sorted(path.name for path in folder.iterdir())
                assert RunFolder(folder).manifest().progress.wall_seconds > 0
                assert not orphans(started)
                return met
            # What stops a run is the signal itself, Ctrl-C's way to end, or the loss of a worker.
            assert code in (-number, 130) or (code == 2 and "was ended by SIG" in told and "--resume" in told), told
            met += 1


def orphans(parent: int) -> list[psutil.Process]:
    """Worker processes of a parent that is gone, which look for it once a second."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "offbench.training.worker" in words and words[-1] == str(parent):
            found.append(process)
    return psutil.wait_procs(found, timeout=30)[1]


@pytest.fixture(scope="module")
def ground(pendulum_file, tmp_path_factory):
    made = Ground(pendulum_file, tmp_path_factory.mktemp("ground"))
    yield made
    made.warm.close()


def moments() -> np.random.Generator:
    """For the moments of the kills; shown when the test fails."""
    entropy = int.from_bytes(os.urandom(4), "little")
    print(f"moments are drawn from {entropy}")
    return np.random.default_rng(entropy)


@pytest.mark.parametrize("kind", ["updates", "a learner"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_signals_at_random_moments_change_no_result(kind, number, ground, tmp_path):
    rng, met = moments(), 0
    for attempt in range(100):
        met += ground.harm(kind, tmp_path / str(attempt), rng, number)
        if met >= 2:
            return
    raise AssertionError("no signal met a run")


@pytest.mark.slow
def test_a_hundred_kills_at_random_moments_change_no_result(ground, tmp_path):
    rng, met = moments(), dict.fromkeys(RUNS, 0)
    wanted = {"updates": 35, "two groups": 25, "a learner": 20, "workers": 12, "a learner's workers": 8}
    for kind, count in wanted.items():
        attempt = 0
        while met[kind] < count:
            met[kind] += ground.harm(kind, tmp_path / f"{kind} {attempt}", rng, signal.SIGKILL)
            attempt += 1
    print(met)
    assert sum(met.values()) >= 100


@pytest.mark.slow
def test_twenty_wishes_to_end_at_random_moments_change_no_result(ground, tmp_path):
    rng = moments()
    for kind in ("two groups", "workers"):
        met, attempt = 0, 0
        while met < 10:
            met += ground.harm(kind, tmp_path / f"{kind} {attempt}", rng, signal.SIGTERM)
            attempt += 1


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["updates", "a learner"])
def test_death_before_any_operation_on_a_file_changes_no_result(kind, every, ground, tmp_path):
    whole, deaths = ground.whole(kind), 0
    for operation in range(every // 2, 10_000, every):
        folder = tmp_path / str(operation)
        code = ground.warm.run(ground.command(kind, folder), dies_before=operation)
        if code == 0:
            break
        assert code == -signal.SIGKILL, ground.warm.told
        deaths += 1
        assert ground.warm.run(ground.command(kind, folder, "--resume")) == 0, ground.warm.told
        assert alike(whole, folder), (operation, sorted(path.name for path in folder.iterdir()))
    assert deaths > 20 / every
