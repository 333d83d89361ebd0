"""Other people's code, while it runs here: whatever it raises and wherever it goes, this process stays in charge."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from offbench.errors import OffbenchError

FORKED = 2  # status of a copy of this process that came back


def cause(error: BaseException) -> str:
    """An exception of somebody else's code in one line: its type and what it says."""
    try:
        said = " ".join(str(error).split())
    except Exception:  # of an exception that cannot even be printed
        said = ""
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


@contextmanager
def foreign(name: str, told: Callable[[str], str], ours: bool = False) -> Iterator[None]:
    """Turn whatever is raised in the block into an OffbenchError, SystemExit too: no code of others ends a run well.

    Ctrl-C alone passes. Where the code forks and the copy leaves the block as well, the copy ends there: two processes
    would go on with one run.

    Args:
        name: whose code it is.
        told: the message, given the exception in one line.
        ours: whether an OffbenchError passes as well, since the code may say what a user did wrong.

    Raises:
        OffbenchError: see above.
    """
    process = os.getpid()
    try:
        yield
    except BaseException as error:
        if os.getpid() != process:
            _end(name, error)
        if isinstance(error, KeyboardInterrupt) or (ours and isinstance(error, OffbenchError)):
            raise
        raise OffbenchError(told(cause(error))) from error
    if os.getpid() != process:
        _end(name, None)


def _end(name: str, error: BaseException | None) -> NoReturn:
    """End a copy of the process, past all that would tidy up what belongs to the first one."""
    if isinstance(error, SystemExit):  # a copy that wishes to end, as it should
        os._exit(error.code if isinstance(error.code, int) else int(error.code is not None))
    how = f"failed ({cause(error)})" if error else "came back"
    with suppress(OSError):
        message = f"error: {name} forked, and the copy of this process {how}; it ends here, the first one goes on\n"
        os.write(2, message.encode(errors="replace"))
    os._exit(FORKED)


@contextmanager
def staying() -> Iterator[None]:
    """Come back to the working directory when the block ends, wherever it went."""
    try:
        here = os.getcwd()
    except OSError:  # somebody removed it
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            os.chdir(here)
