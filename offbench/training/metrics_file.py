"""``metrics.csv``: the rows of a run as a table that any program reads, whole at every moment.

It holds nothing that the run's progress does not hold: where a run goes on it is written anew from there, so that rows
of updates that a crash undid are gone, and none of the others is lacking.
"""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from offbench.basis.files import atomic
from offbench.errors import OffbenchError
from offbench.training.metric_rows import Row

NAME = "metrics.csv"
SHARE = 50  # between two writings passes this many times what the last one took, so that they cost 2% at most


class MetricsFile:
    """The table of one run, one row a seed and step; a metric that a row has not is left empty."""

    def __init__(self, folder: Path, columns: Sequence[str], told: Iterable[Row]) -> None:
        """Write the rows that the run has ``told`` so far, over those of an earlier part of it.

        Args:
            folder: of the run.
            columns: names of the metrics.
            told: the rows.

        Raises:
            OffbenchError: the file cannot be written, or there is one of something else.
        """
        self.path, self.columns = folder / NAME, tuple(columns)
        self._lines = [_line(["seed", "step", *self.columns])]
        if os.path.lexists(self.path) and not self._is_own():
            raise OffbenchError(f"{self.path} holds no metrics of this run, and is not replaced; move it elsewhere")
        self._keep(told)
        self._write()

    def add(self, rows: Sequence[Row]) -> None:
        """Add rows, and write the file unless that was done just now."""
        self._keep(rows)
        if rows and time.monotonic() - self._written > SHARE * self._took:
            self._write()

    def settle(self) -> None:
        """Write what is not written yet."""
        if self._unwritten:
            self._write()

    def _keep(self, rows: Iterable[Row]) -> None:
        self._lines += [_line([row.seed, row.step, *(row.values.get(name) for name in self.columns)]) for row in rows]

    @property
    def _unwritten(self) -> bool:
        return len(self._lines) > self._count

    def _write(self) -> None:
        started = time.monotonic()
        with atomic(self.path) as temporary:
            temporary.write_text("".join(self._lines), encoding="utf-8", newline="")
        self._count, self._written = len(self._lines), time.monotonic()
        self._took = self._written - started

    def _is_own(self) -> bool:
        """Whether what has the file's name begins as the table of this run does."""
        if self.path.is_symlink() or not self.path.is_file():
            return False
        head = self._lines[0].encode()
        with self.path.open("rb") as file:
            return file.read(len(head)) == head


def _line(cells: Sequence[object]) -> str:
    """One line of CSV; numbers as Python writes them, from which they come back to the last bit."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
