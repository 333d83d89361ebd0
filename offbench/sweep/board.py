"""What is shown of a sweep while it runs: a table that lives on a terminal, and a line for each event elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from offbench.basis.plain import plain
from offbench.basis.streams import tell
from offbench.sweep.job import Job
from offbench.sweep.state import Standing, Sweep, counts, seconds_left, standings

REFRESH = 2.0  # seconds
_STYLES = {"done": "green", "running": "cyan", "stopped": "yellow", "failed": "red", "waiting": "dim"}


class Board:
    """Hears what becomes of the runs of a sweep (`offbench.sweep.local.Listener`), writes it down and shows it."""

    def __init__(self, sweep: Sweep, quiet: bool = False) -> None:
        self.sweep, self.quiet = sweep, quiet
        self.console = Console(stderr=True)
        self.live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal and not quiet else None
        self.left = 0
        self._drawn = -math.inf

    def __enter__(self) -> Self:
        found = standings(self.sweep)
        self.left = sum(each.kind != "done" for each in found)
        if self.live:
            self.live.start()
        else:
            self._say(summary(found, self.sweep.workers))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self._draw()
            self.live.stop()

    def started(self, job: Job, where: str) -> None:
        """A run began, or goes on."""
        self.sweep.running[job.folder] = where
        self.sweep.failed.pop(job.folder, None)
        self.sweep.write()
        self._draw()

    def finished(self, job: Job) -> None:
        """A run is complete."""
        self.sweep.running.pop(job.folder, None)
        self.sweep.write()
        self.left -= 1
        if not self.live:
            found = standings(self.sweep)
            own = next(each for each in found if each.job == job)
            self._say(f"{job.title}: {_scored(own)}{own.seconds:,.0f} s; {summary(found, self.sweep.workers)}")
        self._draw()

    def failed(self, job: Job, why: str) -> None:
        """A run cannot be made."""
        self.sweep.running.pop(job.folder, None)
        self.sweep.failed[job.folder] = why
        self.sweep.write()
        self.left -= 1
        self._say(f"{job.title} failed: {why}")
        self._draw()

    def lost(self, job: Job, why: str) -> None:
        """Whoever made a run is gone; it is made again."""
        self.sweep.running.pop(job.folder, None)
        self.sweep.write()
        self._say(f"{job.title} goes on elsewhere: {why}")

    def tick(self) -> None:
        """Some time has passed."""
        if time.monotonic() - self._drawn > REFRESH:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        if self.live:
            found = standings(self.sweep)
            rows = max(8, self.console.height - 6)
            shown = table(found, rows)
            self.live.update(Group(shown, Text(summary(found, self.sweep.workers))), refresh=True)

    def _say(self, text: str) -> None:
        """One line; nobody may be there any more to read it, which is no reason to end a sweep."""
        if self.live:
            self.live.console.print(plain(text), highlight=False, markup=False)
        elif not self.quiet:
            tell(plain(text))


def table(found: Sequence[Standing], rows: int | None = None) -> Table:
    """The runs as a table, of ``rows`` lines at most: those that are being made and those that failed first."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, side in (
        ("Method", "left"),
        ("Dataset", "left"),
        ("State", "left"),
        ("Score", "right"),
        ("Time", "right"),
    ):
        made.add_column(name, justify="right" if side == "right" else "left")
    kept = list(found)
    if rows is not None and len(found) > rows:
        order = {"running": 0, "failed": 1, "stopped": 2, "done": 3, "waiting": 4}
        chosen = sorted(range(len(found)), key=lambda row: (order[found[row].kind], -row))[:rows]
        kept = [found[row] for row in sorted(chosen)]
    for each in kept:
        state = Text(each.kind, _STYLES[each.kind])
        if each.kind in ("running", "stopped"):
            state.append(f" {each.share:.0%}")
        if each.words:
            state.append(f" ({plain(each.words[:80])})", "dim")
        score = "" if math.isnan(each.score) else f"{each.score:.1f}"
        score += "" if math.isnan(each.spread) else f" ± {each.spread:.1f}"
        seconds = f"{each.seconds:,.0f} s" if each.seconds else ""
        made.add_row(
            Text(plain(each.job.method.name)), Text(plain(each.job.label or each.job.dataset)), state, score, seconds
        )
    if len(kept) < len(found):
        made.add_row(Text(f"and {len(found) - len(kept)} more", "dim"))
    return made


def summary(found: Sequence[Standing], workers: int) -> str:
    """How many runs stand how, and how long the rest will take."""
    words = ", ".join(f"{number} {kind}" for kind, number in counts(found).items())
    left = any(each.kind in ("running", "stopped", "waiting") for each in found)
    seconds = seconds_left(found, workers)
    if not left or seconds is None:
        return f"{len(found)} runs: {words}"
    some = f"{seconds / 60:,.0f} min" if seconds >= 60 else f"{seconds:,.0f} s"
    return f"{len(found)} runs: {words}; about {some} to go"


def _scored(own: Standing) -> str:
    if math.isnan(own.score):
        return ""
    spread = "" if math.isnan(own.spread) else f" ± {own.spread:.1f}"
    return f"score {own.score:.1f}{spread}, "
