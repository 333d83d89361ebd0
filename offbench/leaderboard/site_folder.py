"""The folder of a site: written aside and put in place as a whole, and never in the place of anything else."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from offbench.basis.failures import disk_is_full
from offbench.errors import OffbenchError

# What tells a folder that was built here from a user's own.
MARK = ".offbench-site"


@contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """Yield an empty folder; when the block ends well it takes the place of ``output``, and else nothing has changed.

    Raises:
        OffbenchError: ``output`` holds something that was not built here, or cannot be written to.
    """
    check_replaceable(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".part", dir=output.parent))
    except OSError as error:
        raise OffbenchError(
            f"cannot write {output}: {error.strerror or error}; name a folder that can be written to"
        ) from error
    try:
        yield aside
        (aside / MARK).write_text("Built by offbench leaderboard build, which may replace this folder.\n")
        mask = os.umask(0)
        os.umask(mask)
        aside.chmod(0o777 & ~mask)
        _put(aside, output)
    except OSError as error:
        if not disk_is_full(error):
            raise
        raise OffbenchError(f"cannot write {output}: the disk is full; what was there before is as it was") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def check_replaceable(output: Path) -> None:
    """Raise an OffbenchError unless the place is free, empty or holds a site that was built here."""
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise OffbenchError(f"{output} is no folder; name a folder for the site with --output")
    if output.is_dir() and any(output.iterdir()) and not (output / MARK).is_file():
        raise OffbenchError(
            f"{output} holds files that are no site of ours; name an empty or a new folder with --output"
        )


def _put(aside: Path, output: Path) -> None:
    if not output.exists():
        os.replace(aside, output)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".old", dir=output.parent))
    os.replace(output, old)
    try:
        os.replace(aside, output)
    except OSError:
        os.replace(old, output)
        raise
    shutil.rmtree(old, ignore_errors=True)
