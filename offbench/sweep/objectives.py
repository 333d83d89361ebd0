"""What a trial is worth: by the episodes that its runs were evaluated with, or by fitted Q evaluation without any."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from offbench.catalog.loading import load
from offbench.data.learned import whole
from offbench.errors import OffbenchError
from offbench.evaluation.record import EvaluationRecord, RunRecord
from offbench.evaluation.record_files import read_records
from offbench.sweep.job import Job
from offbench.sweep.study import Study
from offbench.training.remarks import recorded_task

Say = Callable[[str], None]


def check_scored(study: Study) -> None:
    """Refuse data that the choice cannot be made by, with an OffbenchError, before anything is trained."""
    for name in study.datasets:
        data = load(name)
        main = whole(data)
        if study.by_fqe and main is not data:
            raise OffbenchError(f"{name} has parts without actions or rewards, which FQE cannot choose by")
        if study.options.get("task") or main.provenance.task or recorded_task(main):
            continue
        if not study.by_fqe:
            raise OffbenchError(
                f"{name} names no task, so there are no episodes to choose by; give one with --task, or choose by "
                "--select fqe"
            )
        if len(study.datasets) > 1:
            raise OffbenchError(f"{name} names no task, whose scale values on several datasets need; give one")


def score(record: RunRecord, objective: str) -> float:
    """What a run is worth: score of its last or best evaluation, or the mean height of its learning curve (``auc``)."""
    if objective == "last":
        return record.final_score
    if objective == "best":
        return record.best_score
    heights = [float(record.scores(one).mean()) for one in record.evaluations]
    steps = [one.step for one in record.evaluations]
    return mean_height(heights, steps)


def mean_height(heights: Sequence[float], places: Sequence[float]) -> float:
    """The area under the line through points, over its length; the height itself of a single point."""
    if len(places) == 1:
        return heights[0]
    high, wide = np.asarray(heights, float), np.diff(np.asarray(places, float))
    return float((wide * (high[1:] + high[:-1]) / 2).sum() / wide.sum())


def online(jobs: Sequence[Job], objective: str) -> float:
    """The mean over datasets of the mean over seeds of what the runs of a trial are worth."""
    return _mean([_mean([score(record, objective) for record in records_of(job)]) for job in jobs])


def records_of(job: Job) -> list[RunRecord]:
    """The records of a run that is complete, by seed."""
    return read_records([job.folder / f"seed-{seed}.json" for seed in job.seeds])


def episodes(jobs: Sequence[Job], objective: str) -> int:
    """Episodes in the environment that the objective was read from, those of runs that failed later included."""
    total = 0
    for job in jobs:
        found = job.manifest
        for curve in found.progress.evaluations if found else []:
            total += sum(len(one.returns) for one in _read(curve, objective))
    return total


def _read(curve: Sequence[EvaluationRecord], objective: str) -> Sequence[EvaluationRecord]:
    return curve[-1:] if objective == "last" else curve


def by_fqe(study: Study, trials: Sequence[Sequence[Job]], device: str, say: Say) -> list[float]:
    """What fitted Q evaluation says of trials: mean over datasets of the mean over seeds.

    Where there is a task, a value counts in hundredths of the way between its references, as scores do, so that no
    dataset outweighs another; the place of zero is another one, which changes no order.
    """
    # Imported here because it pulls in the simulators.
    from offbench.selection.candidates import candidates, view_of
    from offbench.selection.estimation import fqe_values

    values = []
    for place, name in enumerate(study.datasets):
        folders = [jobs[place].folder for jobs in trials]
        found = candidates(folders, trust=True)  # their modules are those that were trained by this command
        view = view_of(found, whole(load(name)), name, device)
        say(f"FQE of {len(found)} policies on {name}")
        said = fqe_values(found, view, study.fqe, study.search.search_seed, say)
        task = found[0].run.manifest.plan.whole_task
        scale = 1.0 if task is None else 100 / (task.high.mean - task.low.mean)
        own = [
            [value for one, value in zip(found, said, strict=True) if one.run.folder == folder] for folder in folders
        ]
        values.append([scale * _mean(each) for each in own])
    return [_mean(each) for each in zip(*values, strict=True)]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
