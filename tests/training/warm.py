"""A process that has trained once and runs commands as copies of itself: half a second each, where a start takes four.

A copy is a process of its own that goes through the whole command line; it can be killed at any moment, or be made to
kill itself right before one of its operations on files.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from offbench.cli.main import main

OPERATIONS = ("fsync", "replace", "rename", "unlink")  # by which files become and cease to be


class Warm:
    """Runs ``offbench`` commands in copies of one process, which stands in ``folder``."""

    def __init__(self, folder: Path, warming: Sequence[str]) -> None:
        self._output = folder / "output.txt"
        self._process = subprocess.Popen(
            [sys.executable, __file__, *warming],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        self._busy = False
        assert self._hear() == "warm"

    def start(self, arguments: Sequence[str], dies_before: int | None = None) -> int:
        """Begin a command; the process id. It kills itself before its ``dies_before``-th operation on files."""
        assert not self._busy, "the command before was not waited for"
        self._busy = True
        order = {"arguments": list(arguments), "dies": dies_before, "output": str(self._output)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._hear())

    def wait(self) -> int:
        """The exit code of the command that was begun; -9 if it was killed."""
        self._busy = False
        return int(self._hear())

    def run(self, arguments: Sequence[str], dies_before: int | None = None) -> int:
        """Run a command to its end; its exit code."""
        self.start(arguments, dies_before)
        return self.wait()

    @property
    def told(self) -> str:
        """What the last command printed."""
        return self._output.read_text()

    def close(self) -> None:
        """End it."""
        self._process.communicate("")

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def _serve(warming: Sequence[str]) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    assert main(warming) == 0
    _tell(answers, "warm")
    for line in sys.stdin:
        order = json.loads(line)
        process = os.fork()
        if process == 0:
            _follow(order)
        _tell(answers, process)
        _tell(answers, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))


def _tell(answers: Any, said: Any) -> None:
    print(json.dumps(said), file=answers, flush=True)


def _follow(order: dict[str, Any]) -> None:
    """In a copy: run the command and end."""
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if order["dies"] is not None:
        left = itertools.count(order["dies"], -1)
        for name in OPERATIONS:
            setattr(os, name, _deadly(getattr(os, name), left))
    code = 1
    try:
        code = main(order["arguments"])
    finally:
        sys.stdout.flush()
        os._exit(code)


def _deadly(operation: Any, left: Any) -> Any:
    def perform(*arguments: Any, **more: Any) -> Any:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        return operation(*arguments, **more)

    return perform


if __name__ == "__main__":
    _serve(sys.argv[1:])
