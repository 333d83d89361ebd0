"""Progress of downloads and recipes: a bar on a terminal, a line for every quarter elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

Progress = Callable[[int, int | None], None]
"""Called with the number of bytes, episodes, steps, files or pairs done and the number of all, where known."""

Unit = Literal["episodes", "steps", "bytes", "files", "pairs"]


@contextmanager
def shown(name: str, unit: Unit) -> Iterator[Progress]:
    """Yield what is to be told (done, all or None); it shows that on stderr."""
    if sys.stderr.isatty():
        # Imported here because it is of no use elsewhere.
        from rich import progress
        from rich.console import Console

        columns = [progress.TextColumn("{task.description}"), progress.BarColumn()]
        more = [progress.MofNCompleteColumn()] if unit != "bytes" else [progress.DownloadColumn(), _speed()]
        with progress.Progress(*columns, *more, console=Console(stderr=True), transient=True) as bar:
            line = bar.add_task(name, total=None)
            yield lambda done, total: bar.update(line, completed=done, total=total)
        return

    quarters = 0

    def tell(done: int, total: int | None) -> None:
        nonlocal quarters
        if total and 4 * done // total > quarters:
            quarters = 4 * done // total
            print(f"{name}: {_amount(done, unit)} of {_amount(total, unit)} {_name(unit)}", file=sys.stderr)

    yield tell


def size_text(size: int | None) -> str:
    """A number of bytes as a person reads it: 238 MB."""
    if size is None:
        return "unknown"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _speed() -> object:
    from rich.progress import TransferSpeedColumn

    return TransferSpeedColumn()


def _amount(number: int, unit: Unit) -> str:
    return f"{number / 1e6:.1f}" if unit == "bytes" else str(number)


def _name(unit: Unit) -> str:
    return "MB" if unit == "bytes" else unit
