"""A process of the local engine: it makes the runs that it is sent, one after the other."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from offbench.basis.foreign import told_where
from offbench.errors import OffbenchError
from offbench.sweep.job import Job
from offbench.training.interruption import Interrupted


def main() -> None:
    """Serve the line whose descriptor is the first argument, for the process whose id is the second."""
    descriptor, parent = (int(word) for word in sys.argv[1:3])
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    line = socket.socket(fileno=descriptor)
    with line, line.makefile("rb") as messages:
        order = json.loads(messages.readline())
        if order["cores"]:
            with suppress(OSError):  # a container may have lost a core since
                os.sched_setaffinity(0, order["cores"])
        for message in messages:
            answer = made(Job.of_json(json.loads(message)), order["options"])
            try:
                line.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:  # the sweep is gone; the run is in its folder
                return
            if "interrupted" in answer:
                return


def made(job: Job, options: dict[str, Any]) -> dict[str, str]:
    """What became of a run: ``done``, ``error`` or ``interrupted``, with what is to be said of it."""
    try:
        job.run(**options)
    except Interrupted as error:
        return {"interrupted": str(error)}
    except OffbenchError as error:
        return {"error": str(error)}
    except BaseException as error:
        return {"error": f"it failed unexpectedly: {told_where(error)}"}
    return {"done": ""}


def _end_with(parent: int) -> None:
    """End this process when its parent has ended, even in the middle of a run."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main()
