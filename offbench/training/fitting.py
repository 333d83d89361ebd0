"""A run of somebody else's algorithm: each seed is fitted, scored and saved by itself, by any process of the run.

What is fitted is said in `offbench.training.learner`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from typing import Any

import numpy as np

from offbench.algorithms import registry
from offbench.data.learned import Learned
from offbench.data.trajectories import Trajectories
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.evaluation.record import EvaluationRecord, RunRecord
from offbench.evaluation.rollout import Evaluator
from offbench.training.crew import Team
from offbench.training.folder import RunFolder
from offbench.training.interruption import Interrupted, interrupts
from offbench.training.learner import Budget, action_size, fit
from offbench.training.logs import Logs
from offbench.training.manifest import Progress
from offbench.training.metric_rows import rows_of
from offbench.training.plan import Plan, ScalingPlan
from offbench.training.progress import Display
from offbench.training.records import make_records
from offbench.training.work import Job, Result


class Fits:
    """Jobs of a run of a learner: to fit a seed and score it."""

    def __init__(self, plan: Plan, found: Any, config: Any, data: Learned, task: Task | None) -> None:
        self.plan, self.found, self.config, self.data, self.task = plan, found, config, data, task

    def do(self, job: Job) -> Result:
        """Do one job; see `offbench.training.work.Work.do`."""
        plan, seed = self.plan, job["seed"]
        started = time.perf_counter()
        policy = fit(self.found, self.config, self.data, self.task, seed, Budget(plan.steps, plan.device))
        fitted = time.perf_counter()
        evaluations: list[EvaluationRecord] = []
        if self.task is not None:
            evaluator = Evaluator(self.task, [seed], plan.episodes)
            try:
                evaluations = evaluator.evaluate(policy, plan.steps, 0)
            finally:
                evaluator.close()
        return {
            "evaluations": [one.model_dump(mode="json") for one in evaluations],
            "wall_seconds": fitted - started,
            "evaluation_seconds": time.perf_counter() - fitted,
        }

    def close(self) -> None:
        """Nothing to free."""


class Fitting:
    """One run of a learner in progress."""

    def __init__(
        self, plan: Plan, task: Task | None, team: Team, folder: RunFolder, display: Display, logs: Logs
    ) -> None:
        self.plan, self.task, self.team, self.folder = plan, task, team, folder
        self.display, self.logs = display, logs
        self.progress = Progress(evaluations=[], losses=[], totals=[])
        self._finished: dict[int, Result] = {}  # seeds that were fitted before one that stands ahead of them

    def resume(self) -> None:
        """Go on after the seeds that the folder has."""
        self.progress = self.folder.manifest().progress

    def run(self) -> list[RunRecord]:
        """Fit the seeds that are left and write one record a seed.

        Raises:
            OffbenchError: a seed failed; those before it are saved.
            Interrupted: Ctrl-C; the seeds that were done are saved.
        """
        self.folder.write(self.plan, self.progress)  # an unwritable folder is noticed now, not after the first seed
        waiting = self.plan.seeds[len(self.progress.evaluations) :]

        def next_job() -> Job | None:
            return {"seed": waiting.pop(0)} if waiting else None

        try:
            with self.logs.opened(self.folder.path, self.plan, self.progress, self.task) as said:
                self.display.notes = [*self.display.notes, *said]
                with self.display, interrupts(at_once=True):
                    self.team.work(next_job, self._done)
                return self._finish()
        except KeyboardInterrupt:
            done = len(self.folder.manifest().progress.evaluations)
            raise Interrupted(
                f"interrupted; the run is saved in {self.folder.path} ({done} of {len(self.plan.seeds)} seeds): "
                "run the same command with --resume to go on"
            ) from None

    def _done(self, job: Job, result: Result) -> None:
        """Save the seeds that are done, in their order."""
        plan, progress = self.plan, self.progress
        self._finished[job["seed"]] = result
        while (done := len(progress.evaluations)) < len(plan.seeds) and plan.seeds[done] in self._finished:
            seed = plan.seeds[done]
            own = self._finished.pop(seed)
            progress.wall_seconds += own["wall_seconds"]
            progress.evaluation_seconds += own["evaluation_seconds"]
            evaluations = [EvaluationRecord.model_validate(one) for one in own["evaluations"]]
            self.logs.tell(rows_of(seed, [], evaluations, self.task))
            progress.evaluations.append(evaluations)
            progress.losses.append([])
            progress.step = plan.steps * len(progress.evaluations) // len(plan.seeds)
            self.folder.write(plan, progress)
            self._show()

    def _show(self) -> None:
        self.display.update(self.progress.step)
        if self.task is not None:
            task = self.task
            scores = [float(task.score(one[-1].returns).mean()) for one in self.progress.evaluations]
            self.display.scored(self.plan.steps, scores)

    def _finish(self) -> list[RunRecord]:
        self.logs.settle()
        records = make_records(self.plan, self.progress, self.task)
        for record in records:
            self.folder.write_record(record)
        # Last, so that a run that calls itself complete has its records.
        self.progress.complete = True
        self.folder.write(self.plan, self.progress)
        return records


# -------------------------------------------------------------------- what a run of a learner is


def plan_parts(data: Trajectories, task: Task | None, steps: int) -> dict[str, Any]:
    """Those parts of a plan in which learners do not differ: nothing is scaled, compiled, grouped or logged."""
    states, actions = int(np.prod(data.observations.shape[1:])), action_size(data, task)
    scaling = ScalingPlan(
        mean=[0.0] * states,
        std=[1.0] * states,
        low=[-1.0] * actions,
        high=[1.0] * actions,
        reward_scale=1.0,
        reward_shift=0.0,
    )
    return {
        "observation_size": states,
        "action_size": actions,
        "transforms": [],
        "scaling": scaling,
        "evaluate_every": steps,
        "log_every": steps,
        "dtype": "float32",
        "compiled": False,
        "group_size": 1,
    }


def plain_config(found: Any, config: Any) -> dict[str, Any]:
    """The hyperparameters of a learner as JSON would give them back.

    Raises:
        OffbenchError: one of them is nothing that a record can hold.
    """
    plain = {}
    for field in registry.hyperparameters(found):
        value = getattr(config, field.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise OffbenchError(f"{field.name} must be finite, not {value}")
        try:
            plain[field.name] = json.loads(json.dumps(value, default=dataclasses.asdict, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise OffbenchError(
                f"the field {field.name} of {registry.title(found)} is a {type(value).__name__}, which a record cannot "
                "hold; numbers, texts, truth values, None, and lists of them can be hyperparameters"
            ) from error
    return plain


def refuse_options(name: str, given: dict[str, bool]) -> None:
    """Refuse those options that were given and that only our algorithms know, with an OffbenchError."""
    refused = [option for option, was_given in given.items() if was_given]
    if refused:
        raise OffbenchError(
            f"{name} is trained by one call of its fit a seed, which knows no {' and no '.join(refused)}; leave it out"
        )
