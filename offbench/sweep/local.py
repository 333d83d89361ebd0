"""The local engine: the runs of a sweep in this process, or in several that have cores or a GPU each.

A process makes one run after the other, so that Python, torch, the data and compiled code are loaded once. It is given
runs of a method that it has made before where there are any: their updates are compiled already.
"""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from offbench.basis.cores import usable_cores
from offbench.basis.memory import free_memory
from offbench.errors import OffbenchError
from offbench.sweep.job import Job
from offbench.training.crew import LostWorkerError, WorkerProcess
from offbench.training.interruption import Interrupted, interrupts

# A run whose process ends in the middle goes on in another, so often at most without having come further.
RETRIES = 2
MEMORY = 1.5 * 2**30  # bytes that a process must be expected to need
_LOOK = 0.5  # seconds between two looks at an interruption


class Listener(Protocol):
    """Hears what becomes of runs."""

    def started(self, job: Job, where: str) -> None:
        """A run began, or goes on."""
        ...

    def finished(self, job: Job) -> None:
        """A run is complete."""
        ...

    def failed(self, job: Job, why: str) -> None:
        """A run cannot be made."""
        ...

    def lost(self, job: Job, why: str) -> None:
        """Whoever made a run is gone; it is made again."""
        ...

    def tick(self) -> None:
        """Some time has passed."""
        ...


def run_here(todo: Sequence[Job], listener: Listener, **options: Any) -> None:
    """Make one run after the other in this process, which shares the seeds of each over the machine.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the run that was being made has been saved.
    """
    for job in todo:
        listener.started(job, "this process")
        try:
            job.run(**options)
        except Interrupted:
            raise Interrupted(f"interrupted in {job.title}; the same command goes on from there") from None
        except OffbenchError as error:
            listener.failed(job, str(error))
        else:
            listener.finished(job)


def process_count(wanted: int | None, runs: int, device: str) -> int:
    """Processes for so many runs: as many as were asked for, else one for each core, or GPU, that there is memory for.

    Raises:
        OffbenchError: OFFBENCH_WORKERS is no number above 0.
    """
    if wanted is None:
        gpus = _gpus(device)
        wanted = len(gpus) if gpus else min(usable_cores(), max(1, int(free_memory() / MEMORY)))
    return max(1, min(wanted, runs))


def run_processes(todo: Sequence[Job], listener: Listener, processes: int, **options: Any) -> None:
    """Make runs in ``processes`` processes, each on cores, or a GPU, of its own.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the runs that were being made have been saved.
    """
    places = _places(processes, str(options.get("device", "auto")))
    pool = _Pool(todo, listener, places, options)
    try:
        with interrupts() as flag:
            pool.work(flag.is_set)
    finally:
        pool.close()
    if flag.is_set():
        raise Interrupted("interrupted; the runs that were being made are saved, and the same command goes on")


class _Pool:
    """Processes, and the runs that wait for one."""

    def __init__(
        self,
        todo: Sequence[Job],
        listener: Listener,
        places: Sequence[Mapping[str, Any]],
        options: Mapping[str, Any],
    ) -> None:
        self.waiting, self.listener, self.options = list(todo), listener, options
        self.lost: dict[Path, list[float]] = {}  # of each run, how far it was when its process ended
        self.selector = selectors.DefaultSelector()
        self.seats = [_Seat(place) for place in places]

    def work(self, is_stopped: Callable[[], bool]) -> None:
        """Make all runs, or, once ``is_stopped``, have those that are being made saved."""
        told = False
        while True:
            if is_stopped() and not told:
                told = True
                self.waiting.clear()
                for seat in self.seats:
                    seat.stop()
            for seat in self.seats:
                if seat.job is None and self.waiting:
                    self._give(seat)
            if not any(seat.job for seat in self.seats):
                return
            for key, _ in self.selector.select(_LOOK):
                self._hear(key.data, is_stopped())
            self.listener.tick()

    def _give(self, seat: _Seat) -> None:
        """Start the next run."""
        job = suitable(self.waiting, seat.made, [other.job for other in self.seats if other.job])
        self.waiting.remove(job)
        seat.job = job
        if seat.process is None:
            seat.start(self.options)
            assert seat.process is not None
            self.selector.register(seat.process.socket, selectors.EVENT_READ, seat)
        self.listener.started(job, seat.where)
        try:
            seat.process.send(job.to_json())
        except LostWorkerError as error:
            self._lose(seat, str(error), stopped=False)

    def _hear(self, seat: _Seat, stopped: bool) -> None:
        """The end of a run, or of the process that makes it."""
        assert seat.process is not None
        try:
            answer = seat.process.answer()
        except LostWorkerError as error:
            self._lose(seat, str(error), stopped)
            return
        job, seat.job = seat.job, None
        assert job is not None
        seat.made.append(job)
        if "error" in answer:
            self.listener.failed(job, answer["error"])
        elif "interrupted" in answer:
            seat.end(self.selector)
        else:
            self.listener.finished(job)

    def _lose(self, seat: _Seat, why: str, stopped: bool) -> None:
        job, seat.job = seat.job, None
        seat.end(self.selector)
        if job is None or stopped:
            return
        reached = share_done(job)
        ends = [*(share for share in self.lost.get(job.folder, []) if share == reached), reached]
        self.lost[job.folder] = ends
        if len(ends) > RETRIES:
            self.listener.failed(job, f"{why}; it was tried {len(ends)} times from where it stands")
        else:
            self.listener.lost(job, why)
            self.waiting.insert(0, job)

    def close(self) -> None:
        """End all processes at once."""
        for seat in self.seats:
            seat.end(self.selector)
        self.selector.close()


class _Seat:
    """A place for a process, on cores or a GPU of its own.

    Attributes:
        job: what is being made.
        made: what its process has made.
    """

    def __init__(self, place: Mapping[str, Any]) -> None:
        self.place, self.job, self.made = place, None, []  # type: Mapping[str, Any], Job | None, list[Job]
        self.process: WorkerProcess | None = None

    @property
    def where(self) -> str:
        """The place, in words."""
        assert self.process is not None
        return f"process {self.process.process.pid}, {self.place['words']}"

    def start(self, options: Mapping[str, Any]) -> None:
        """Start the process."""
        self.made = []
        self.process = WorkerProcess("offbench.sweep.child", environment=self.place["environment"])
        self.process.send({"cores": self.place["cores"], "options": options})

    def stop(self) -> None:
        """Ask the process to save what it makes and to end."""
        if self.process is not None:
            self.process.process.send_signal(signal.SIGTERM)

    def end(self, selector: selectors.BaseSelector) -> None:
        """End the process at once."""
        if self.process is not None:
            selector.unregister(self.process.socket)
            self.process.end()
            self.process = None


def share_done(job: Job) -> float:
    """The share of a run's updates that its folder holds; none of them where it cannot be read."""
    try:
        found = job.manifest
    except OffbenchError:
        return 0.0
    if found is None:
        return 0.0
    progress = found.progress
    return progress.step / job.steps + sum(map(len, progress.evaluations))  # fits are counted by their evaluations


def suitable(waiting: Sequence[Job], made: Sequence[Job], others: Sequence[Job]) -> Job:
    """Which of the waiting runs a process should make next.

    Updates are compiled for an algorithm and the sizes of a dataset, so one that it has made before comes first, with
    the same data if possible; else an algorithm that nobody else makes, whose code they would wait for.
    """

    def rank(job: Job) -> int:
        mine = [each for each in made if each.method.algorithm == job.method.algorithm]
        if any(each.dataset == job.dataset for each in mine):
            return 0
        if mine:
            return 1
        return 3 if any(each.method.algorithm == job.method.algorithm for each in others) else 2

    return min(waiting, key=rank)  # the first of several


def _places(processes: int, device: str) -> list[dict[str, Any]]:
    """Cores and GPUs in equal shares."""
    gpus = _gpus(device)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    places = []
    for number in range(processes):
        own = cores[number * len(cores) // processes : (number + 1) * len(cores) // processes]
        if len(cores) < processes:
            own = []
        environment = {"OFFBENCH_WORKERS": str(max(1, len(own)))}
        words = f"core{'s' * (len(own) > 1)} {', '.join(map(str, own))}" if own else "any core"
        if gpus:
            gpu = gpus[number % len(gpus)]
            environment["CUDA_VISIBLE_DEVICES"] = gpu
            words = f"GPU {gpu}"
        places.append({"cores": own, "environment": environment, "words": words})
    return places


def _gpus(device: str) -> list[str]:
    """The GPUs that runs may use, as CUDA_VISIBLE_DEVICES names them; none where they run on a CPU."""
    if device != "auto" and not device.startswith("cuda"):
        return []
    import torch

    if not torch.cuda.is_available():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    named = [name.strip() for name in visible.split(",") if name.strip()]
    found = named or [str(number) for number in range(torch.cuda.device_count())]
    _, _, number = device.partition(":")
    return [found[int(number)]] if number.isdecimal() and int(number) < len(found) else found
