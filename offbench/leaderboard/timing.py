"""Time to score: seconds from the command until a method reaches a stated score, everything included.

A run is a process of its own, as somebody types it: starting Python, loading data that lie on the disk already,
compiling with nothing compiled before, fitting models, training and evaluating all count.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from offbench.algorithms import registry
from offbench.algorithms.method import Method
from offbench.basis.files import cache_folder
from offbench.catalog.cards import card
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.leaderboard.suite import Suite, SuiteTask
from offbench.leaderboard.time_record import IN_SUCCESSION, Line, Point, TimedRun, TimeRecord, time_to
from offbench.training.folder import RunFolder

CHECKS = 20  # evaluations of a whole run
_MADE = {"compiled", "dynamics"}  # in the cache folder: what a run makes, and would be spared if it found it there
_POLL = 0.05  # seconds between looks at the run's folder


@dataclass(frozen=True)
class Timing:
    """What is timed.

    Attributes:
        suite: of kind time.
        task: one of its tasks.
        method: what is trained.
        steps: gradient updates of each seed, at most.
        options: further words of the command.
    """

    suite: Suite
    task: SuiteTask
    method: Method
    steps: int
    options: tuple[str, ...] = ()

    @property
    def target(self) -> float:
        """Score that has to be reached."""
        assert self.task.target is not None  # in a suite of this kind
        return self.task.target

    def command(self, first_seed: int, folder: str) -> list[str]:
        """Words of the command after ``offbench``."""
        every = max(1, self.steps // CHECKS)
        named = {
            "seeds": self.suite.seeds,
            "first-seed": first_seed,
            "steps": self.steps,
            "episodes": self.suite.episodes_of(self.task),
            "evaluate-every": every,
            "checkpoint-every": every,
            "output": folder,
        }
        if self.task.task:
            named["task"] = self.task.task
        flags = [word for name, value in named.items() for word in (f"--{name}", str(value))]
        return ["train", self.method.algorithm, self.task.dataset, *flags, *_flags(self.method), *self.options]


def _flags(method: Method) -> list[str]:
    """The method's hyperparameters as words of the command line."""
    words: list[str] = []
    for name, value in method.changes.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *map(str, value if isinstance(value, tuple | list) else [value])]
    return words


def check_timing(suite: Suite, method: Method) -> None:
    """Refuse, with an OffbenchError, a suite that counts no seconds, and a method that is not evaluated on its way."""
    if suite.kind != "time":
        raise OffbenchError(f"the suite {suite.name} compares scores; offbench leaderboard run runs methods on it")
    if not registry.is_algorithm(registry.find(method.algorithm)):
        raise OffbenchError(
            f"{method.algorithm} is trained by one call of its fit, so nobody can see when it reaches a score; "
            "subclasses of Algorithm are timed"
        )


def timed(timing: Timing, task: Task, first_seed: int) -> TimedRun:
    """Time one run, in a process of its own.

    Args:
        timing: what is timed.
        task: what scores it.
        first_seed: the first of its seeds.

    Raises:
        OffbenchError: the command failed; what it printed last is told.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {**os.environ, "OFFBENCH_CACHE": str(_bare_cache(folder / "cache"))}
        words = [sys.executable, "-m", "offbench", *timing.command(first_seed, str(folder / "run"))]
        watch = _Watch(time.perf_counter(), RunFolder(folder / "run"), task)
        # PYTHONPATH carries where this package comes from, and the folder stays the user's, whose modules may be named.
        process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        reading = threading.Thread(target=watch.read, args=(process,), daemon=True)
        reading.start()
        try:
            while process.poll() is None and watch.reached(timing.target) is None:
                watch.look()
                time.sleep(_POLL)
            watch.look()
        finally:
            _stop(process)
            reading.join(timeout=10)
        reached = watch.reached(timing.target)
        if reached is None and process.returncode != 0:
            last = next((line.text for line in reversed(watch.log) if line.text), "nothing")
            raise OffbenchError(f"offbench {' '.join(words[3:])} ended with exit code {process.returncode}: {last}")
        return TimedRun(first_seed=first_seed, seconds=reached, curve=watch.curve, log=watch.log)


@dataclass
class _Watch:
    """What can be seen of a run from outside: its folder, and what it prints."""

    started: float
    files: RunFolder
    task: Task
    curve: list[Point] = field(default_factory=list)
    log: list[Line] = field(default_factory=list)
    seen: int = 0  # when the manifest was last written, in nanoseconds

    @property
    def now(self) -> float:
        return time.perf_counter() - self.started

    def read(self, process: subprocess.Popen[str]) -> None:
        """Keep every line that is printed, with its time, until the process ends."""
        assert process.stderr is not None
        for line in process.stderr:
            self.log.append(Line(seconds=self.now, text=line.rstrip("\n")))

    def look(self) -> None:
        """Keep evaluations that are new in the run's folder."""
        try:
            written = (self.files.path / "manifest.json").stat().st_mtime_ns
        except OSError:  # not yet
            return
        if written == self.seen:
            return
        now = self.now
        self.seen = written
        known = {point.step for point in self.curve}
        for evaluations in zip(*self.files.manifest().progress.evaluations, strict=True):
            if evaluations[0].step not in known:
                score = float(np.mean([self.task.score(each.returns).mean() for each in evaluations]))
                self.curve.append(Point(seconds=now, step=evaluations[0].step, score=score))

    def reached(self, target: float) -> float | None:
        """Seconds until enough evaluations in succession reached the target; None where they have not."""
        return time_to(self.curve, target)


def _bare_cache(folder: Path) -> Path:
    """A cache folder with the datasets of the user's, and with nothing that a run makes."""
    folder.mkdir()
    known = cache_folder()
    for path in sorted(known.iterdir()) if known.is_dir() else []:
        if path.is_dir() and path.name not in _MADE:
            (folder / path.name).symlink_to(path.resolve(), target_is_directory=True)
    return folder


def _stop(process: subprocess.Popen[str]) -> None:
    """End a run that is still going on, by the signal after which it tidies up, and else at once."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def time_record(timing: Timing, runs: Sequence[TimedRun]) -> TimeRecord:
    """The record of several runs of one timing."""
    from datetime import UTC, datetime

    from offbench.basis.code import package_digest
    from offbench.evaluation.machine import describe_machine

    hardware, packages, commit = describe_machine()
    found = card(timing.task.card_id)
    return TimeRecord(
        suite=timing.suite.name,
        suite_version=timing.suite.version,
        method=timing.method.name,
        algorithm_digest=registry.source_digest(registry.find(timing.method.algorithm)),
        code_digest=package_digest(),
        dataset=timing.task.dataset,
        dataset_revision=found.revision,
        target=timing.target,
        in_succession=IN_SUCCESSION,
        steps=timing.steps,
        episodes=timing.suite.episodes_of(timing.task),
        seeds=timing.suite.seeds,
        command=["offbench", *timing.command(0, "run")],
        runs=list(runs),
        hardware=hardware,
        packages=packages,
        git_commit=commit,
        created=datetime.now(UTC),
    )
