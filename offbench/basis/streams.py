"""The command's standard streams: whatever they are, a message must not end the work that it tells of."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from offbench.basis.plain import ERRORS


def prepare() -> None:
    """Put something in the place of streams that are closed, and let all take any text.

    A descriptor that is closed would be given to the next file that is opened: a checkpoint could then be written to
    by whatever prints.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the system gives the lowest number that is free
    # They live as long as the process does.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)


def silence(stream: TextIO) -> None:
    """Send to nowhere what a stream still holds, which the interpreter flushes once more when it ends."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def tell(text: str) -> None:
    """Print to standard error, where that still can be written to."""
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        silence(sys.stderr)
