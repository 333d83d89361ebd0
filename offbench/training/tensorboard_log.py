"""Metrics as TensorBoard reads them: ``tensorboard/seed-<s>`` in the folder of the run, a curve a seed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from offbench.basis.foreign import cause
from offbench.errors import OffbenchError
from offbench.training.metric_rows import Row
from offbench.training.plan import Plan

_NAME = re.compile(r"events\.out\.tfevents\.(\d+)\..*")  # the second in which it was begun


class TensorBoard:
    """See `offbench.training.logs.Log`.

    TensorBoard's own records, without torch's writer: that one changes what metrics are called, and names files so that
    of two that are begun in one second, or after the clock was set back, the later one may be read first.
    """

    def __init__(self) -> None:
        """Raises OffbenchError where TensorBoard is not installed."""
        try:
            self._writer = import_module("tensorboard.summary.writer.record_writer").RecordWriter
            self._events = import_module("tensorboard.compat.proto.event_pb2")
            self._summary = import_module("tensorboard.compat.proto.summary_pb2").Summary
        except ImportError as error:
            raise OffbenchError("the log tensorboard needs an extra: pip install 'offbench[tensorboard]'") from error
        self._files: dict[int, Any] = {}

    def open(self, plan: Plan, folder: Path, told: Sequence[Row]) -> str:
        """Go on with the files of earlier parts of the run; a seed that has none is told all of its rows."""
        for seed in plan.seeds:
            before = self._begin(seed, folder / "tensorboard" / f"seed-{seed}")
            own = [row for row in told if row.seed == seed]
            if before:
                # A reader forgets what earlier files hold from this step on: a crash has undone it, and it comes again.
                start = self._events.SessionLog(status=self._events.SessionLog.START)
                self._write(seed, own[-1].step + 1 if own else 0, session_log=start)
            for row in [] if before else own:
                self(*row)
        return f"tensorboard --logdir {folder / 'tensorboard'}"

    def __call__(self, step: int, seed: int, values: Mapping[str, float]) -> None:
        """Write one row to the disk, where a crash of the run leaves it."""
        scalars = [self._summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(seed, step, summary=self._summary(value=scalars))

    def close(self, finished: bool) -> None:
        """Close all files."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _begin(self, seed: int, place: Path) -> bool:
        """Begin a file that is read after those that are there, and say whether there are any."""
        with _explained():
            place.mkdir(parents=True, exist_ok=True)
            before = [int(match[1]) for path in place.iterdir() if (match := _NAME.fullmatch(path.name))]
            number = max([int(time.time()), *(each + 1 for each in before)])
            self._files[seed] = self._writer((place / f"events.out.tfevents.{number:010d}.offbench").open("xb"))
        self._write(seed, 0, file_version="brain.Event:2")
        return bool(before)

    def _write(self, seed: int, step: int, **what: Any) -> None:
        event = self._events.Event(wall_time=time.time(), step=step, **what)
        with _explained():
            self._files[seed].write(event.SerializeToString())
            self._files[seed].flush()


@contextmanager
def _explained() -> Iterator[None]:
    """Say of what the system refuses that it was for this log, without which the run goes on."""
    try:
        yield
    except OSError as error:
        raise OffbenchError(
            f"the log tensorboard cannot be written ({cause(error)}); make room, or leave the log out"
        ) from error
