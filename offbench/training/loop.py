"""Training: several seeds of one algorithm on one dataset, scored along the way, resumable at any moment."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import torch

from offbench.algorithms.base import Algorithm, Sizes, View
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.evaluation.machine import describe_machine
from offbench.evaluation.record import LossRecord, RunRecord, TaskRecord, digest_of
from offbench.evaluation.record_files import write_record
from offbench.evaluation.rollout import Evaluator
from offbench.training.compilation import Compile, group_size, keep_memory, update_step
from offbench.training.folder import Plan, Progress, RunFolder, torch_dtype
from offbench.training.group import BLOCK, Group, GroupPolicy
from offbench.training.progress import Display


class Interrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C; the message says where its checkpoint lies and how to go on."""


def build_groups(algorithm: type[Algorithm], config: object, data: View, plan: Plan) -> list[Group]:
    """The run's seeds in groups of ``plan.group_size``, freshly initialised."""
    step, _ = update_step(algorithm, "always" if plan.compiled else "never", torch.device(plan.device))
    sizes, dtype = Sizes(data.observation_size, data.action_size), torch_dtype(plan.dtype)
    mixed = plan.dtype == "mixed"
    parts = [plan.seeds[first : first + plan.group_size] for first in range(0, len(plan.seeds), plan.group_size)]
    return [Group(algorithm(config, sizes, part, plan.steps, plan.device, dtype, mixed), data, step) for part in parts]


def choose_execution(
    algorithm: type[Algorithm], config: object, data: View, seeds: int, steps: int, mode: Compile, device: str
) -> tuple[bool, int]:
    """Whether to compile, and how many seeds to update together."""
    _, compiled = update_step(algorithm, mode, torch.device(device), seeds * steps)
    probe = algorithm(config, Sizes(data.observation_size, data.action_size), [0], steps, device, data.dtype)
    return compiled, group_size(probe, seeds, compiled)


class Training:
    """One run in progress."""

    def __init__(
        self,
        plan: Plan,
        groups: list[Group],
        task: Task | None,
        folder: RunFolder,
        checkpoint_every: int,
        display: Display,
    ) -> None:
        self.plan, self.groups, self.task, self.folder = plan, groups, task, folder
        self.checkpoint_every, self.display = checkpoint_every, display
        empty: list[list[object]] = [[] for _ in plan.seeds]
        self.progress = Progress.model_validate({"evaluations": empty, "losses": empty, "totals": self._totals()})
        self.policy = GroupPolicy([group.algorithm for group in groups], groups[0].data.scaling)

    def resume(self) -> None:
        """Go on from the folder's checkpoint."""
        manifest = self.folder.manifest()
        self.progress = manifest.progress
        self._restore(self.folder.state(manifest))

    def run(self) -> list[RunRecord]:
        """Train to the end and write one record a seed.

        Raises:
            Interrupted: Ctrl-C; a checkpoint of this moment has been written.
        """
        plan, progress = self.plan, self.progress
        keep_memory()
        evaluator = Evaluator(self.task, plan.seeds, plan.episodes) if self.task is not None else None
        if progress.step == 0 and self.folder.exists is False:
            self._checkpoint()  # an unwritable folder is noticed now, not after the first hour
        with self.display, _interrupts() as interrupted:
            while progress.step < plan.steps and not interrupted.is_set():
                self._advance(self._next_stop())
                if progress.step % plan.log_every == 0 or progress.step == plan.steps:
                    self._log()
                if evaluator and (progress.step % plan.evaluate_every == 0 or progress.step == plan.steps):
                    self._evaluate(evaluator)
                if progress.step % self.checkpoint_every == 0 and progress.step < plan.steps:
                    self._checkpoint()
            if progress.step < plan.steps:
                self._checkpoint()
                where = f"{self.folder.path} (step {progress.step} of {plan.steps})"
                raise Interrupted(
                    f"interrupted; the run is saved in {where}: run the same command with --resume to go on"
                )
        if evaluator:
            evaluator.close()
        return self._finish()

    # ---------------------------------------------------------------- the parts of a run

    def _next_stop(self) -> int:
        """The next update after which something else is due; at most BLOCK away, so that groups keep in step."""
        plan, step = self.plan, self.progress.step
        intervals = [BLOCK, plan.log_every, self.checkpoint_every, plan.evaluate_every]
        return min(plan.steps, *((step // every + 1) * every for every in intervals))

    def _advance(self, stop: int) -> None:
        started = time.perf_counter()
        for group in self.groups:
            group.advance(self.progress.step, stop)
        if self.groups[0].algorithm.device.type == "cuda":
            torch.cuda.synchronize()
        self.progress.wall_seconds += time.perf_counter() - started
        self.progress.step = stop
        self.display.update(stop)

    def _log(self) -> None:
        """Record the mean of each metric over the steps since the last record."""
        step = self.progress.step
        names = self.groups[0].algorithm.metrics
        for losses, totals in zip(self.progress.losses, self._finite_totals(), strict=True):
            steps = step - (losses[-1].step if losses else 0)
            values = {name: total / steps for name, total in zip(names, totals, strict=True)}
            losses.append(LossRecord(step=step, values=values))
        for group in self.groups:
            group.totals.zero_()

    def _finite_totals(self) -> list[list[float]]:
        """``_totals``, or an OffbenchError: what is not finite is neither logged nor saved."""
        rows = self._totals()
        for seed, totals in zip(self.plan.seeds, rows, strict=True):
            if not all(math.isfinite(total) for total in totals):
                names = self.groups[0].algorithm.metrics
                listed = " and ".join(n for n, total in zip(names, totals, strict=True) if not math.isfinite(total))
                raise OffbenchError(
                    f"training diverged: seed {seed} has no finite {listed} before step {self.progress.step}; "
                    "try a smaller learning rate or normalised states"
                )
        return rows

    def _totals(self) -> list[list[float]]:
        """(seeds, metrics), fetched from the device."""
        rows: list[list[float]] = torch.cat([group.totals for group in self.groups], dim=1).T.tolist()
        return rows

    def _evaluate(self, evaluator: Evaluator) -> None:
        started = time.perf_counter()
        number = len(self.progress.evaluations[0])
        records = evaluator.evaluate(self.policy, self.progress.step, number)
        for own, record in zip(self.progress.evaluations, records, strict=True):
            own.append(record)
        self.progress.evaluation_seconds += time.perf_counter() - started
        scores = [float(evaluator.task.score(record.returns).mean()) for record in records]
        self.display.scored(self.progress.step, scores)

    def _checkpoint(self) -> None:
        self.progress.totals = self._finite_totals()
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
        records = make_records(self.plan, self.progress, self.task)
        for record in records:
            write_record(record, self.folder.path / f"seed-{record.seed}.json")
        # Last, so that a run that calls itself complete has its records.
        self.progress.complete = True
        self._checkpoint()
        return records


def make_records(plan: Plan, progress: Progress, task: Task | None) -> list[RunRecord]:
    """One record a seed of a run."""
    hardware, packages, commit = describe_machine()
    hardware |= {"device": plan.device, "compiled": "yes" if plan.compiled else "no", "dtype": plan.dtype}
    shared = {
        "algorithm": plan.algorithm,
        "algorithm_digest": plan.algorithm_digest,
        "config": plan.config,
        "config_digest": digest_of(plan.config),
        "dataset": plan.dataset,
        "dataset_revision": plan.dataset_revision,
        "dataset_digest": plan.dataset_digest,
        "transforms": plan.transforms,
        "task": task and task_record(task),
        "steps": progress.step,
        "group_size": plan.group_size,
        "wall_seconds": progress.wall_seconds,
        "evaluation_seconds": progress.evaluation_seconds,
        "hardware": hardware,
        "packages": packages,
        "git_commit": commit,
        "created": datetime.now(UTC),
    }
    each = zip(plan.seeds, progress.evaluations, progress.losses, strict=True)
    return [
        RunRecord.model_validate({**shared, "seed": seed, "evaluations": evaluations, "losses": losses})
        for seed, evaluations, losses in each
    ]


def task_record(task: Task) -> TaskRecord:
    """What a record keeps of a task."""
    return TaskRecord(
        name=task.name,
        environment=task.environment,
        arguments=task.arguments,
        episode_limit=task.episode_limit,
        dynamics=task.dynamics,
        simulators=task.simulator_versions(),
        low=task.low.mean,
        high=task.high.mean,
        references_source=f"low: {task.low.source}; high: {task.high.source}",
    )


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into a flag that the loop looks at between blocks; a second one interrupts at once."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def handle(number: int, frame: object) -> None:
        flag.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, before)
