"""Other people's code, while it runs here: whatever it raises and wherever it goes, this process stays in charge."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from offbench.basis.blame import place
from offbench.basis.failures import out_of_memory
from offbench.errors import OffbenchError

FORKED = 2  # status of a copy of this process that came back


def cause(error: BaseException) -> str:
    """An exception of somebody else's code in one line: its type and what it says."""
    try:
        said = " ".join(str(error).split())
    except Exception:  # of an exception that cannot even be printed
        said = ""
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def told_where(error: BaseException) -> str:
    """As `cause`, with the file, line and words of the code that it came from, where these are somebody else's."""
    where = place(error)
    return f"{cause(error)} ({where})" if where else cause(error)


@contextmanager
def blamed(name: str, doing: str = "") -> Iterator[None]:
    """Turn what the code of an algorithm raises into an OffbenchError that says where; a bug of ours passes as it is.

    Whose it is, is seen by its way: it came through a file that belongs neither to offbench nor to a library. An
    OffbenchError passes, for it says what is wrong, and so does what the machine refuses, which is told elsewhere.

    Args:
        name: of the algorithm.
        doing: what it was asked for, for the message.

    Raises:
        OffbenchError: see above.
    """
    try:
        yield
    except OffbenchError:
        raise
    except Exception as error:
        where = place(error)
        if where is None or out_of_memory(error):
            raise
        raise OffbenchError(f"{name} failed{doing and f' in {doing}'}: {cause(error)} ({where})") from error


@contextmanager
def foreign(name: str, told: Callable[[str], str], ours: bool = False) -> Iterator[None]:
    """Turn whatever is raised in the block into an OffbenchError, SystemExit too: no code of others ends a run well.

    Ctrl-C alone passes. Where the code forks and the copy leaves the block as well, the copy ends there: two processes
    would go on with one run.

    Args:
        name: whose code it is.
        told: the message, given the exception in one line, with the place in their code where it was raised.
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
        raise OffbenchError(told(told_where(error))) from error
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
