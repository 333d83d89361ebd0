"""How far a sweep has come: a file beside its runs says which they are, and the folder of each how it stands."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from offbench.basis.files import atomic
from offbench.basis.locks import locked
from offbench.errors import OffbenchError
from offbench.sweep.job import Job
from offbench.training.manifest import Manifest

FILE, LOCK = "sweep.json", ".sweep.lock"
Kind = Literal["done", "running", "stopped", "failed", "waiting"]


@dataclass
class Sweep:
    """The runs of a sweep, and what became of them.

    Attributes:
        folder: where they lie.
        jobs: all of them.
        running: where each that is being made is made, by its folder.
        failed: why, of those that could not be made, by folder.
        workers: how many are made at once.
    """

    folder: Path
    jobs: Sequence[Job]
    running: dict[Path, str] = field(default_factory=dict)
    failed: dict[Path, str] = field(default_factory=dict)
    workers: int = 1

    def write(self) -> None:
        """Write it beside the runs, for `read` in another process.

        Raises:
            OffbenchError: the folder cannot be written to.
        """
        table = {
            "schema_version": 1,
            "workers": self.workers,
            "jobs": [job.to_json() | {"folder": self._name(job.folder)} for job in self.jobs],
            "running": {self._name(folder): where for folder, where in self.running.items()},
            "failed": {self._name(folder): why for folder, why in self.failed.items()},
        }
        with atomic(self.folder / FILE) as temporary:
            temporary.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")

    def _name(self, folder: Path) -> str:
        return str(folder.relative_to(self.folder))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The sweep in a folder; nothing runs where no process of a sweep is alive there.

        Raises:
            OffbenchError: there is none, or its file is damaged.
        """
        path = folder / FILE
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            if table["schema_version"] != 1:
                raise ValueError(f"it is of version {table['schema_version']}, and 1 is known")
            found = [Job.of_json(each | {"folder": str(folder / each["folder"])}) for each in table["jobs"]]
            running = {folder / name: str(where) for name, where in table["running"].items()}
            failed = {folder / name: str(why) for name, why in table["failed"].items()}
            read = cls(folder, found, running, failed, int(table["workers"]))
        except OSError as error:
            raise OffbenchError(f"{folder} holds no sweep: {FILE} cannot be read ({error.strerror})") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OffbenchError(f"{path} is not the file of a sweep: {error}") from error
        if not is_alive(folder):
            read.running = {}
        return read


def is_alive(folder: Path) -> bool:
    """Whether a process makes the runs of the sweep in a folder now."""
    if not (folder / LOCK).exists():
        return False
    with suppress(OSError), locked(folder / LOCK, wait=False):
        return False
    return True


@dataclass(frozen=True)
class Standing:
    """How far one run has come.

    Attributes:
        job: the run.
        kind: what is done about it.
        share: of its updates that are done, from 0 to 1.
        score: mean over seeds of the last evaluation, as it was scored; NaN where there was none.
        spread: standard deviation over seeds; NaN of one seed.
        seconds: spent on it.
        words: where it is made, or why it failed.
    """

    job: Job
    kind: Kind
    share: float = 0.0
    score: float = math.nan
    spread: float = math.nan
    seconds: float = 0.0
    words: str = ""


def standings(sweep: Sweep) -> list[Standing]:
    """Each run's, by what its folder says; a run that was interrupted is stopped, and goes on with the same command."""
    return [_standing(sweep, job) for job in sweep.jobs]


def _standing(sweep: Sweep, job: Job) -> Standing:
    try:
        found = job.manifest
    except OffbenchError as error:
        return Standing(job, "failed", words=str(error))
    begun = None if found is None else _progress(found)
    where = sweep.running.get(job.folder)
    if found is not None and found.progress.complete:
        return Standing(job, "done", **(begun or {}))
    if where is not None:
        return Standing(job, "running", words=where, **(begun or {}))
    if job.folder in sweep.failed:
        return Standing(job, "failed", words=sweep.failed[job.folder], **(begun or {}))
    return Standing(job, "waiting" if begun is None else "stopped", **(begun or {}))


def _progress(found: Manifest) -> dict[str, Any]:
    progress, plan = found.progress, found.plan
    task = plan.whole_task
    last = [own[-1] for own in progress.evaluations if own]
    scores = [float(np.mean(task.score(np.array(each.returns)))) for each in last] if task is not None else []
    return {
        "share": 1.0 if progress.complete else progress.step / plan.steps,
        "score": float(np.mean(scores)) if scores else math.nan,
        "spread": float(np.std(scores, ddof=1)) if len(scores) > 1 else math.nan,
        "seconds": progress.wall_seconds + progress.evaluation_seconds,
    }


def remaining(done: Sequence[tuple[Job, float]], left: Sequence[Job]) -> float | None:
    """Seconds that the runs which are left will take one after the other, by those that are done; None where none are.

    The seconds a seed and update of a run are those of the same method on the same dataset, else of that algorithm on
    the dataset, else of the algorithm on average, else of all runs on average.

    Args:
        done: runs, each with the seconds that it took.
        left: runs.
    """
    if not done:
        return None

    def rate(runs: Sequence[tuple[Job, float]]) -> float | None:
        updates = sum(job.steps * len(job.seeds) for job, _ in runs)
        return sum(seconds for _, seconds in runs) / updates if updates else None

    total = 0.0
    for job in left:
        alike = [each for each in done if each[0].method.algorithm == job.method.algorithm]
        here = [each for each in alike if each[0].dataset == job.dataset]
        same = [each for each in here if each[0].method == job.method]
        total += job.steps * len(job.seeds) * (rate(same) or rate(here) or rate(alike) or rate(done) or 0.0)
    return total


def seconds_left(found: Sequence[Standing], workers: int) -> float | None:
    """Seconds until a sweep is done, as far as its finished runs tell; None where none is."""
    done = [(each.job, each.seconds) for each in found if each.kind == "done" and each.seconds > 0]
    left = [each for each in found if each.kind in ("running", "stopped", "waiting")]
    total = 0.0
    for each in left:
        whole = remaining(done, [each.job])
        if whole is None:
            return None
        total += whole * (1 - each.share)
    return total / max(1, min(workers, len(left)))


def counts(found: Sequence[Standing]) -> Mapping[Kind, int]:
    """How many runs stand how."""
    kinds = [each.kind for each in found]
    return {kind: kinds.count(kind) for kind in ("done", "running", "stopped", "failed", "waiting") if kind in kinds}
