"""Running a sweep: what is missing is made, by one engine or another, and what is there is left as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from offbench.basis.code import package_digest
from offbench.basis.files import clear_unfinished
from offbench.basis.locks import locked
from offbench.basis.streams import tell
from offbench.errors import OffbenchError
from offbench.sweep.board import Board
from offbench.sweep.job import Job
from offbench.sweep.local import Listener
from offbench.sweep.state import FILE, LOCK, Sweep

Engine = Callable[[Sequence[Job], Listener], None]  # makes runs, and tells the listener what becomes of them
_PATIENCE = 1.0  # seconds; ``sweep status`` holds the lock for the time of a look


def run_sweep(folder: Path, jobs: Sequence[Job], engine: Engine, workers: int, quiet: bool = False) -> Sweep:
    """Make those runs that are not complete yet; a sweep that is done makes none.

    Args:
        folder: which all folders of runs lie in.
        jobs: all runs.
        engine: see there.
        workers: how many runs the engine makes at once, for what is told.
        quiet: show nothing.

    Returns:
        The sweep, which knows which runs failed, and why.

    Raises:
        OffbenchError: another process makes runs there, the folder cannot be written to, or the folder of a run holds
            another.
        Interrupted: Ctrl-C or SIGTERM; what was being made has been saved.
    """
    with claimed(folder):
        return make_missing(folder, jobs, engine, workers, quiet)


def make_missing(
    folder: Path,
    jobs: Sequence[Job],
    engine: Engine,
    workers: int,
    quiet: bool = False,
    failed: Mapping[Path, str] | None = None,
) -> Sweep:
    """As `run_sweep` in a folder that this process has `claimed`.

    Args:
        folder: see there, as ``jobs``, ``engine``, ``workers`` and ``quiet``.
        failed: why, of runs that have failed before and are not tried again, by folder.
    """
    failed = failed or {}
    left = [job for job in jobs if job.folder not in failed and not job.is_done]
    if not quiet:
        _tell_of_other_code([job for job in jobs if job not in left and job.folder not in failed])
    sweep = Sweep(folder, jobs, failed=dict(failed), workers=workers)
    sweep.write()
    if left:
        try:
            with Board(sweep, quiet) as board:
                engine(left, board)
        finally:
            sweep.running.clear()
            sweep.write()
    return sweep


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep every other process from making runs in this folder while the block runs.

    Raises:
        OffbenchError: another process does, or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OffbenchError(
            f"cannot write {folder}: {error.strerror or error}; name a folder that can be written to"
        ) from error
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with locked(folder / LOCK, wait=False):
                clear_unfinished(folder / FILE)
                yield
                return
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise OffbenchError(
                    f"another sweep makes the runs in {folder}; wait for it, or give --output; offbench sweep status "
                    "shows how far it is"
                ) from error
            time.sleep(0.1)


def _tell_of_other_code(done: Sequence[Job]) -> None:
    """Say how many complete runs were made by another state of offbench's code."""
    other = [job for job in done if (found := job.manifest) and found.plan.code_digest != package_digest()]
    if other:
        tell(
            f"{len(other)} of {len(done)} complete runs were made by other code of offbench, and are kept as they are; "
            "another --output makes all of them anew"
        )
