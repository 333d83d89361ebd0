"""Training: several seeds of one algorithm on one dataset, scored along the way, resumable at any moment."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch

from offbench.algorithms.base import Algorithm
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.evaluation.record import LossRecord, RunRecord
from offbench.training.crew import Team
from offbench.training.folder import RunFolder
from offbench.training.group import BLOCK, Group
from offbench.training.interruption import Interrupted, interrupts
from offbench.training.logs import Logs
from offbench.training.manifest import Progress
from offbench.training.metric_rows import known_rows
from offbench.training.plan import Plan
from offbench.training.progress import Display
from offbench.training.records import make_records
from offbench.training.schedule import Schedule
from offbench.training.scoring import scored
from offbench.training.work import Job, Result, Updates


class Training:
    """One run in progress: its groups of seeds, whose states lie where the processes of the team see them."""

    def __init__(
        self,
        plan: Plan,
        work: Updates,
        team: Team,
        folder: RunFolder,
        checkpoint_every: int,
        display: Display,
        logs: Logs,
    ) -> None:
        self.plan, self.groups, self.task, self.work = plan, work.groups, work.task, work
        self.team, self.folder = team, folder
        self.checkpoint_every, self.display, self.logs = checkpoint_every, display, logs
        self._told = 0  # the step up to which the logs know everything
        empty: list[list[object]] = [[] for _ in plan.seeds]
        self.progress = Progress.model_validate({"evaluations": empty, "losses": empty, "totals": self._totals()})

    def resume(self) -> None:
        """Go on from the folder's checkpoint."""
        manifest = self.folder.manifest()
        self.progress = manifest.progress
        self._told = self.progress.step
        self._restore(self.folder.state(manifest))

    def run(self) -> list[RunRecord]:
        """Train to the end and write one record a seed.

        Raises:
            Interrupted: Ctrl-C or SIGTERM; a checkpoint of this moment has been written.
            OffbenchError: training diverged.
            LostWorkerError: a worker process ended; the last checkpoint is whole.
        """
        if self.progress.step == 0 and self.folder.exists is False:
            self._checkpoint()  # an unwritable folder is noticed now, not after the first hour
        metrics = self.groups[0].algorithm.metrics
        with self.logs.opened(self.folder.path, self.plan, self.progress, self.task, metrics) as said:
            self.display.notes = [*self.display.notes, *said]
            self._train()
            return self._finish()

    def _train(self) -> None:
        plan, progress = self.plan, self.progress
        with self.display, interrupts() as interrupted:
            if progress.step == 0:
                self._prepare()
            while progress.step < plan.steps and not interrupted.is_set():
                self._advance(self._next_stop(), interrupted.is_set)
                if self.task and (progress.step % plan.evaluate_every == 0 or progress.step == plan.steps):
                    self._evaluate(self.task)
                self._tell(progress.step)
                if progress.step % self.checkpoint_every == 0 and progress.step < plan.steps:
                    self._checkpoint()
            if progress.step < plan.steps:
                self._checkpoint()
                where = f"{self.folder.path} (step {progress.step} of {plan.steps})"
                raise Interrupted(
                    f"interrupted; the run is saved in {where}: run the same command with --resume to go on"
                )

    def _prepare(self) -> None:
        """Let all groups fit what their updates rest on, where there is such a thing."""
        if type(self.groups[0].algorithm).prepare is Algorithm.prepare:
            return
        self.display.note("fitting what updates rest on: the dynamics of every seed, unless the cache folder has them")
        started, waiting = time.perf_counter(), iter(range(len(self.groups)))

        def next_job() -> Job | None:
            number = next(waiting, None)
            return None if number is None else {"do": "prepare", "group": number}

        def done(job: Job, result: Result) -> None:
            if result["said"]:
                self.display.note(result["said"])

        try:
            with interrupts(at_once=True):  # a fit may take hours, and what it had done is of no use
                self.team.work(next_job, done)
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted before the first update; the run is kept in {self.folder.path}, and what was fitted "
                "whole in the cache folder: run the same command with --resume to go on"
            ) from None
        self.progress.wall_seconds += time.perf_counter() - started
        self.display.note(f"that took {time.perf_counter() - started:.0f} seconds")

    # ---------------------------------------------------------------- updates

    def _next_stop(self) -> int:
        """The next update after which all groups are needed at once, for an evaluation or a checkpoint."""
        plan, step = self.plan, self.progress.step
        return min(plan.steps, *((step // every + 1) * every for every in (self.checkpoint_every, plan.evaluate_every)))

    def _advance(self, stop: int, interrupted: Callable[[], bool]) -> None:
        """Update all groups to ``stop``, or to where the foremost is when an interruption is wished for."""
        plan, started = self.plan, time.perf_counter()
        schedule = Schedule(len(self.groups), self.progress.step, stop, (BLOCK, plan.log_every))

        def next_job() -> Job | None:
            piece = schedule.take(interrupted())
            return piece and {"do": "advance", "group": piece[0], "start": piece[1], "stop": piece[2]}

        def done(job: Job, result: Result) -> None:
            schedule.give_back(job["group"])
            if job["stop"] % plan.log_every == 0 or job["stop"] == plan.steps:
                self._log(job["group"], job["stop"])
                self._tell(min([stop - 1, *schedule.positions]))  # at the stop there may be an evaluation to come
            self.display.update(sum(schedule.positions) // len(schedule.positions))

        self.team.work(next_job, done)
        if self.groups[0].algorithm.device.type == "cuda":
            torch.cuda.synchronize()
        self.progress.wall_seconds += time.perf_counter() - started
        self.progress.step = schedule.positions[0]

    def _log(self, number: int, step: int) -> None:
        """Record the mean of each metric of a group over the steps since the last record."""
        group = self.groups[number]
        first = number * self.plan.group_size
        for row, totals in enumerate(self._finite(group, step)):
            losses = self.progress.losses[first + row]
            steps = step - (losses[-1].step if losses else 0)
            values = {name: total / steps for name, total in zip(group.algorithm.metrics, totals, strict=True)}
            losses.append(LossRecord(step=step, values=values))
        group.totals.zero_()

    def _tell(self, until: int) -> None:
        """Tell the logs what is new in the steps up to ``until``, of which all is known now."""
        self.logs.tell(known_rows(self.plan, self.progress, self.task, self._told, until))
        self._told = max(self._told, until)

    def _finite(self, group: Group, step: int) -> list[list[float]]:
        """Totals (seeds, metrics) of a group, or an OffbenchError: what is not finite is neither logged nor saved."""
        rows: list[list[float]] = group.totals.T.tolist()
        for seed, totals in zip(group.algorithm.seeds, rows, strict=True):
            if not all(math.isfinite(total) for total in totals):
                pairs = zip(group.algorithm.metrics, totals, strict=True)
                listed = " and ".join(name for name, total in pairs if not math.isfinite(total))
                raise OffbenchError(
                    f"training diverged: seed {seed} has no finite {listed} before step {step}; "
                    "try a smaller learning rate or normalised states"
                )
        return rows

    def _totals(self) -> list[list[float]]:
        """(seeds, metrics) of all groups, finite; see ``_finite``."""
        step = self.progress.step if hasattr(self, "progress") else 0
        return [row for group in self.groups for row in self._finite(group, step)]

    # ---------------------------------------------------------------- scores

    def _evaluate(self, task: Task) -> None:
        """Score all policies."""
        started = time.perf_counter()
        number, step = len(self.progress.evaluations[0]), self.progress.step
        records = scored(self.team, self.work, number, step)
        for own, record in zip(self.progress.evaluations, records, strict=True):
            own.append(record)
        self.progress.evaluation_seconds += time.perf_counter() - started
        self.display.scored(step, [float(task.score(record.returns).mean()) for record in records])

    # ---------------------------------------------------------------- checkpoints

    def _checkpoint(self) -> None:
        self.progress.totals = self._totals()
        states = [group.algorithm.state() for group in self.groups]
        # Tensors without a seed axis (counts of updates) are the same in every group.
        merged = {
            name: torch.cat([state[name] for state in states]) if value.dim() else value
            for name, value in states[0].items()
        }
        self.folder.write(self.plan, self.progress, merged)

    def _restore(self, state: dict[str, torch.Tensor]) -> None:
        first = 0
        for group in self.groups:
            last = first + len(group.algorithm.seeds)
            group.totals.copy_(torch.tensor(self.progress.totals[first:last], dtype=torch.float64).T)
            try:
                group.algorithm.restore({k: v[first:last] if v.dim() else v for k, v in state.items()})
            except ValueError as error:
                raise OffbenchError(f"the checkpoint in {self.folder.path} does not fit the run: {error}") from error
            first = last

    def _finish(self) -> list[RunRecord]:
        self.logs.settle()
        records = make_records(self.plan, self.progress, self.task)
        for record in records:
            self.folder.write_record(record)
        # Last, so that a run that calls itself complete has its records.
        self.progress.complete = True
        self._checkpoint()
        return records
