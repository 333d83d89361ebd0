"""Where a run's metrics go while it trains: ``metrics.csv`` always, and whatever was asked for beside it.

    offbench.train("iql", "hopper-medium", log=["tensorboard", mine])

``mine`` is any callable, ``mine(step, seed, values)``. One that has ``open(plan, folder, told)`` or ``close(finished)``
is told of the beginning and the end as well. TensorBoard and Weights & Biases are written as such objects, too, and
stand in `BACKENDS` by name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from offbench.basis.foreign import cause, foreign
from offbench.basis.streams import tell
from offbench.environments.task import Task
from offbench.errors import OffbenchError, UnknownNameError
from offbench.training.manifest import Progress
from offbench.training.metric_rows import Row, columns, known_rows
from offbench.training.metrics_file import MetricsFile
from offbench.training.plan import Plan


class Log(Protocol):
    """Something that a run tells its metrics."""

    def open(self, plan: Plan, folder: Path, told: Sequence[Row]) -> str | None:
        """A run begins, or goes on.

        Args:
            plan: what it is; ``plan.settings_digest`` is its identity.
            folder: of the run, in which anything may be written.
            told: the rows that earlier parts of the run told. What they told beyond these a crash has undone: those
                steps come again, with the same values.

        Returns:
            A line on where to look, for whoever watches the run.
        """
        ...

    def __call__(self, step: int, seed: int, values: Mapping[str, float]) -> None:
        """One row; see `Row`. Rows come step by step, within a step in the order of the plan's seeds."""
        ...

    def close(self, finished: bool) -> None:
        """The run is ``finished``, or was interrupted or failed; nothing more comes from this process."""
        ...


# By name what makes them; each needs the extra of its name.
BACKENDS = {
    "tensorboard": "offbench.training.tensorboard_log:TensorBoard",
    "wandb": "offbench.training.wandb_log:WandB",
}


def listed(log: Any) -> list[Any]:
    """The logs that the option ``log`` asks for, which may be one alone or None; each name once."""
    if log is None:
        return []
    several = list(log) if isinstance(log, Sequence) and not isinstance(log, str) else [log]
    return [one for place, one in enumerate(several) if not (isinstance(one, str) and one in several[:place])]


def chosen_logs(log: Any) -> list[Log]:
    """The logs that are asked for: names of `BACKENDS`, callables, or one of either.

    Raises:
        OffbenchError: an unknown name, an extra that is not installed, or something that cannot be called.
    """
    return [_named(one) if isinstance(one, str) else Own(one) for one in listed(log)]


def _named(name: str) -> Log:
    if name not in BACKENDS:
        raise UnknownNameError("log", name, BACKENDS, "metrics.csv is written in any case")
    module, _, kind = BACKENDS[name].partition(":")
    made: Log = getattr(import_module(module), kind)()
    return made


class Own:
    """A user's callable, which is blamed by file and line for what it raises."""

    def __init__(self, function: Callable[[int, int, Mapping[str, float]], object]) -> None:
        """Raises OffbenchError where it is nothing that can be called as a log is."""
        if inspect.isclass(function):
            raise OffbenchError(f"log was given the class {function.__name__}; {function.__name__}() would be right")
        if not callable(function):
            raise OffbenchError(
                f"log was given a {type(function).__name__}; "
                f"{', '.join(BACKENDS)} or a callable, log(step, seed, values), would be right"
            )
        self._function = function
        self._name = f"the log {getattr(function, '__name__', type(function).__name__)}"

    def open(self, plan: Plan, folder: Path, told: Sequence[Row]) -> None:
        """See `Log.open`."""
        self._ask("open", plan, folder, told)

    def __call__(self, step: int, seed: int, values: Mapping[str, float]) -> None:
        """See `Log.__call__`."""
        with foreign(self._name, lambda why: f"{self._name} failed at step {step} of seed {seed}: {why}"):
            self._function(step, seed, values)

    def close(self, finished: bool) -> None:
        """See `Log.close`."""
        self._ask("close", finished)

    def _ask(self, method: str, *arguments: object) -> None:
        with foreign(self._name, lambda why: f"{self._name} failed in {method}: {why}"):
            if hasattr(self._function, method):
                getattr(self._function, method)(*arguments)


class Logs:
    """All logs of one run, which only the process of the run itself speaks to."""

    def __init__(self, logs: Iterable[Log] = ()) -> None:
        self._logs = list(logs)
        self._open: list[Log] = []
        self._file: MetricsFile | None = None

    @contextmanager
    def opened(
        self, folder: Path, plan: Plan, progress: Progress, task: Task | None, metrics: Sequence[str] = ()
    ) -> Iterator[list[str]]:
        """Log to ``folder`` while the block runs, which is given the lines of the logs on where to look.

        Args:
            folder: of the run.
            plan: of the run.
            progress: as far as the run has come.
            task: what is scored in.
            metrics: names of the algorithm's.

        Raises:
            OffbenchError: a log cannot be opened or closed.
        """
        told = known_rows(plan, progress, task)
        self._file = MetricsFile(folder, columns(plan, metrics, task), told)
        try:
            said = []
            for log in self._logs:
                self._open.append(log)
                said.append(log.open(plan, folder, told))
            yield [line for line in said if line]
        except BaseException:
            for failure in self._closed(finished=False):  # what ends the run is told first of all
                tell(f"warning: {cause(failure)}")
            raise
        failures = self._closed(finished=True)
        if failures:
            raise failures[0]

    def tell(self, rows: Sequence[Row]) -> None:
        """Tell rows that are new."""
        assert self._file is not None, "logs are opened before they are told anything"
        self._file.add(rows)
        for row in rows:
            for log in self._open:
                log(row.step, row.seed, dict(row.values))

    def settle(self) -> None:
        """Write to ``metrics.csv`` what is not in it yet, before the run calls itself complete."""
        assert self._file is not None, "logs are opened before they are told anything"
        self._file.settle()

    def _closed(self, finished: bool) -> list[Exception]:
        """Close all logs, each whatever becomes of the others, and give what went wrong."""
        failures: list[Exception] = []
        for close in (self.settle, *(lambda log=log: log.close(finished) for log in self._open)):
            try:
                close()
            except Exception as failure:
                failures.append(failure)
        self._open.clear()
        return failures
