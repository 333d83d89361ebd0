"""How far a run has come: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from offbench.basis.plain import plain
from offbench.basis.streams import tell

QUIET_SECONDS = 20  # between plain lines


class Display:
    """Shows updates done, time left and scores on standard error, after ``notes``; ``quiet`` shows nothing."""

    def __init__(
        self, title: str, steps: int, seeds: int, first: int = 0, quiet: bool = False, notes: Sequence[str] = ()
    ) -> None:
        self.title, self.steps, self.seeds, self.quiet, self.notes = plain(title), steps, seeds, quiet, notes
        self.first = first
        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        if self.console.is_terminal and not quiet:
            columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
            self.bar = Progress(TextColumn("{task.description}", markup=False), *columns, console=self.console)
            self.task = self.bar.add_task(self.title, total=steps, completed=first)

    def __enter__(self) -> Self:
        self.started = self.said = time.monotonic()
        if self.bar:
            self.bar.start()
        else:
            self._say(f"{self.title}: {self.seeds} seeds, {self.steps - self.first:,} updates to make")
        for note in self.notes:
            self.note(note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()

    def update(self, step: int) -> None:
        """``step`` updates are done."""
        if self.bar:
            self.bar.update(self.task, completed=step)
        elif time.monotonic() - self.said > QUIET_SECONDS:
            rate = (step - self.first) / (time.monotonic() - self.started)
            self._say(
                f"{self.title}: {step:,} of {self.steps:,} updates, {rate * self.seeds:.0f} seed-updates a second"
            )

    def scored(self, step: int, scores: Sequence[float]) -> None:
        """An evaluation after ``step`` updates gave these mean scores, one a seed."""
        spread = f" ± {np.std(scores, ddof=1):.1f}" if len(scores) > 1 else ""
        text = f"{self.title}: score {np.mean(scores):.1f}{spread} after {step:,} updates"
        self._say(text)

    def note(self, text: str) -> None:
        """Say something about how the run is made."""
        self._say(f"{self.title}: {plain(text)}")

    def _say(self, text: str) -> None:
        """One line; nobody may be there any more to read it, which is no reason to end a run."""
        if self.bar:
            self.bar.console.print(text, highlight=False, markup=False)
        elif not self.quiet:
            tell(text)
            self.said = time.monotonic()
