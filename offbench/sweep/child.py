"""A process of the local engine: it makes the runs that it is sent, one after the other."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from offbench.basis.foreign import told_where
from offbench.errors import OffbenchError
from offbench.sweep.job import Job
from offbench.training.interruption import Interrupted
from offbench.training.line import Line


def main() -> None:
    """Serve the process that started this one; see `offbench.training.line.Line`."""
    line = Line()
    messages = iter(line)
    order: dict[str, Any] = next(messages, {"cores": [], "options": {}})
    if order["cores"]:
        with suppress(OSError):  # a container may have lost a core since
            os.sched_setaffinity(0, order["cores"])
    for message in messages:
        answer = made(Job.of_json(message), order["options"])
        line.answer(answer)
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


if __name__ == "__main__":
    main()
