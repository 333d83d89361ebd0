"""The processes of a run: this one alone, or workers that share its memory, with one thread each.

Workers are started anew and never forked, so that no lock or thread of this process comes along. They inherit a socket
and the memory of the run by descriptor and are told the rest in lines of JSON; nothing is pickled. They end with this
process, however it ends, and leave nothing behind.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from offbench.basis.compiler import keep_memory
from offbench.basis.cores import ONE_THREAD
from offbench.errors import OffbenchError
from offbench.evaluation.rollout import one_torch_thread
from offbench.training.work import Job, Result, Work

NextJob = Callable[[], Job | None]  # None while there is nothing to do
Done = Callable[[Job, Result], None]


class Team(Protocol):
    """Whoever does the jobs of a run.

    Attributes:
        workers: how many processes beside this one.
    """

    workers: int

    def work(self, next_job: NextJob, done: Done) -> None:
        """Hand out jobs until there are none and all are done."""
        ...

    def close(self) -> None:
        """Dismiss them."""
        ...


class Alone:
    """This process, which does one job after the other."""

    workers = 0

    def __init__(self, work: Work) -> None:
        self._work = work

    def work(self, next_job: NextJob, done: Done) -> None:
        """See `Team.work`."""
        keep_memory()
        with one_torch_thread():
            while (job := next_job()) is not None:
                done(job, self._work.do(job))

    def close(self) -> None:
        """Free what the work holds."""
        self._work.close()


class LostWorkerError(OffbenchError):
    """A worker process ended in the middle of its work."""


class Crew:
    """Worker processes, started here."""

    def __init__(self, workers: int, order: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Start ``workers`` processes that are told ``order`` (see `offbench.training.worker`).

        Raises:
            OSError: no process can be started.
        """
        self.workers = workers
        self._crew: list[WorkerProcess] = []
        self._selector = selectors.DefaultSelector()
        try:
            for _ in range(workers):
                worker = WorkerProcess("offbench.training.worker", descriptors)
                self._crew.append(worker)
                self._selector.register(worker.socket, selectors.EVENT_READ, worker)
                worker.send(order)
        except BaseException:
            self.close()
            raise

    @property
    def processes(self) -> list[int]:
        """Process ids."""
        return [worker.process.pid for worker in self._crew]

    def work(self, next_job: NextJob, done: Done) -> None:
        """See `Team.work`; an error of a worker is raised here.

        Raises:
            LostWorkerError: a worker ended.
        """
        while True:
            for worker in self._crew:
                if worker.job is None and (job := next_job()) is not None:
                    worker.job = job
                    worker.send(job)
            if all(worker.job is None for worker in self._crew):
                return
            for key, _ in self._selector.select():
                worker = key.data
                answer = worker.receive()
                job, worker.job = worker.job, None
                assert job is not None
                done(job, answer)

    def close(self) -> None:
        """End all workers at once; what they were doing is lost."""
        self._selector.close()
        for worker in self._crew:
            worker.end()
        self._crew.clear()


class WorkerProcess:
    """A process that is sent lines of JSON and answers each with one.

    Attributes:
        job: what it is doing; None while it waits.
    """

    def __init__(
        self, module: str, descriptors: Sequence[int] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        """Start ``module``, whose arguments are the descriptor of its end of the line and the id of this process.

        Args:
            module: run as a program.
            descriptors: that it inherits.
            environment: what differs from that of all workers: one thread, and no workers of its own.
        """
        self.job: Job | None = None
        self.socket, theirs = socket.socketpair()
        with theirs:
            # -P: a module of the current folder must not stand in for one of the library's.
            command = [sys.executable, "-P", "-m", module, str(theirs.fileno()), str(os.getpid())]
            self.process = subprocess.Popen(
                command,
                env=_environment() | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *descriptors],
                process_group=0,  # Ctrl-C is for this process, which decides what becomes of them
            )
        self._lines = self.socket.makefile("rb")

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one line.

        Raises:
            LostWorkerError: it ended.
        """
        try:
            self.socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            raise self._lost() from None

    def answer(self) -> dict[str, Any]:
        """Wait for its next line.

        Raises:
            LostWorkerError: it ended.
        """
        try:
            line = self._lines.readline()
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            raise self._lost()
        read: dict[str, Any] = json.loads(line)
        return read

    def receive(self) -> Result:
        """The result of the job; raises what went wrong with it."""
        answer = self.answer()
        if "error" in answer:
            raise OffbenchError(answer["error"]) from (WorkerTraceError(answer["trace"]) if answer["trace"] else None)
        result: Result = answer["result"]
        return result

    def end(self) -> None:
        """End it at once, and wait until it is gone."""
        self.process.kill()
        self.process.wait()
        self._lines.close()
        self.socket.close()

    def _lost(self) -> LostWorkerError:
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return LostWorkerError(f"worker process {self.process.pid} closed its line")
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        memory = "; if the system did it, there was too little memory" if code == -signal.SIGKILL else ""
        return LostWorkerError(f"worker process {self.process.pid} {how}{memory}")


class WorkerTraceError(Exception):
    """The trace of an error in another process."""


def _environment() -> dict[str, str]:
    """One thread, and modules are found where this process finds them."""
    paths = [str(Path(path or ".").resolve()) for path in sys.path]
    return os.environ | ONE_THREAD | {"OFFBENCH_WORKERS": "1", "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
