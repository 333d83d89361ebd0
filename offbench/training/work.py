"""The jobs that a run is divided into, done alike in the process of the run and in workers.

A job is a table that JSON can hold, and so is its result: what crosses between processes is numbers and names.
"""

from __future__ import annotations

import errno
import os
import time
from typing import Any, Protocol

from offbench.algorithms.base import Algorithm, Memoryless, Sizes, View
from offbench.basis.failures import disk_is_full
from offbench.basis.files import cache_folder
from offbench.environments.protocol import Simulator
from offbench.environments.simulator import make_simulator
from offbench.environments.task import Task
from offbench.errors import UnwritableError
from offbench.evaluation.record import EvaluationRecord, digest_of
from offbench.evaluation.rollout import Evaluator, environment_seeds, one_torch_thread, returns
from offbench.training.compilation import CompileTimes, of_any_length, update_step
from offbench.training.group import Group, GroupPolicy, halves
from offbench.training.plan import Plan, torch_dtype

Job = dict[str, Any]
Result = dict[str, Any]


class Work(Protocol):
    """What a process needs in order to do the jobs of a run."""

    def do(self, job: Job) -> Result:
        """Do one job.

        Raises:
            OffbenchError: what it is about went wrong.
        """
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


def make_groups(found: type[Algorithm], config: object, plan: Plan, view: View | None, compiled: bool) -> list[Group]:
    """The run's seeds in groups of ``plan.group_size``, freshly initialised; without a view they only act."""
    step, sizes = update_step(found, compiled, plan.device), Sizes(plan.observation_size, plan.action_size)
    if compiled and view is not None:  # after the first line, which says where code is kept
        of_any_length(view)
    dtype, mixed = torch_dtype(plan.dtype), plan.dtype == "mixed"
    parts = [plan.seeds[first : first + plan.group_size] for first in range(0, len(plan.seeds), plan.group_size)]
    made = (found(config, sizes, part, plan.steps, plan.device, dtype, mixed) for part in parts)
    # What compiles whole reads nothing on the host, and can be replayed.
    return [Group(algorithm, view, step, replay=compiled, coarse=plan.dtype == "tf32") for algorithm in made]


class Updates:
    """Jobs of a run of one of our algorithms: updates of a group, and episodes of its policies."""

    def __init__(self, plan: Plan, groups: list[Group], task: Task | None) -> None:
        self.plan, self.groups, self.task, self.scaling = plan, groups, task, plan.scaling.scaling()
        self.parts = halves(plan.episodes)
        self._compiled = not plan.compiled  # whether nothing is left to compile
        self._simulators: dict[int, Simulator] = {}
        self._evaluator: Evaluator | None = None

    def do(self, job: Job) -> Result:
        """Do one job; see `Work.do`."""
        if job["do"] == "advance":
            self.advance(job["group"], job["start"], job["stop"])
            return {}
        if job["do"] == "prepare":
            group = self.groups[job["group"]]
            lines = [""]
            with one_torch_thread():
                group.algorithm.prepare(group.data, lines.append)
            return {"said": lines[-1]}
        totals, lengths = self.play(job["group"], job["part"], job["number"])
        return {"returns": totals, "lengths": lengths}

    def advance(self, number: int, start: int, stop: int) -> None:
        """Make the updates [start, stop) of a group."""
        group = self.groups[number]
        if not self._compiled:
            first = min(stop, start + group.algorithm.period)
            self._compile(group, start, first)
            start = first
        group.advance(start, stop)

    def _compile(self, group: Group, start: int, stop: int) -> None:
        """The first updates, for which code is made or loaded."""
        times = compile_times(self.plan)
        with times.held():
            began = time.perf_counter()
            try:
                group.advance(start, stop)
            except Exception as error:
                if not disk_is_full(error):
                    raise
                raise UnwritableError(
                    f"cannot write compiled code to {cache_folder()}: {os.strerror(errno.ENOSPC)}; name a folder on "
                    "another disk with OFFBENCH_CACHE, or train with --compile never"
                ) from error
            times.keep(time.perf_counter() - began)
        self._compiled = True

    @property
    def has_memory(self) -> bool:
        """Whether the policies look at more than the present observation, as transformers do."""
        return not isinstance(self.groups[0].algorithm.acting(), Memoryless)

    def evaluate(self, number: int, step: int) -> list[EvaluationRecord]:
        """One record a seed, of all episodes in one batch of environments; each part acts as it does in ``play``."""
        assert self.task is not None
        if self._evaluator is None:
            self._evaluator = Evaluator(self.task, self.plan.seeds, self.plan.episodes)
        policy = GroupPolicy([group.algorithm for group in self.groups], self.scaling, self.parts)
        return self._evaluator.evaluate(policy, step, number)

    def play(self, number: int, part: int, evaluation: int) -> tuple[list[float], list[int]]:
        """Returns and lengths of one part of the episodes of a group's seeds in an evaluation, seed by seed."""
        group, chosen = self.groups[number], self.parts[part]
        starts = [environment_seeds(seed, evaluation, self.plan.episodes)[chosen] for seed in group.algorithm.seeds]
        seeds = [start for own in starts for start in own]
        simulator = self._simulator(len(seeds))
        with one_torch_thread():
            return returns(simulator, GroupPolicy([group.algorithm], self.scaling), seeds)

    def _simulator(self, count: int) -> Simulator:
        assert self.task is not None
        if count not in self._simulators:
            self._simulators[count] = make_simulator(self.task, count)
        return self._simulators[count]

    def close(self) -> None:
        """Free the simulators."""
        if self._evaluator is not None:
            self._evaluator.close()
        for group in self.groups:
            group.close()
        for simulator in self._simulators.values():
            simulator.close()
        self._simulators.clear()


def compile_times(plan: Plan) -> CompileTimes:
    """What compiling the updates of a run took on this machine before; code differs in all that decides shapes.

    How many rows the data have does not: see `offbench.training.compilation.of_any_length`.
    """
    settings = plan.model_dump(mode="json", include=CODE)
    return CompileTimes(digest_of(settings), plan.algorithm)


CODE = {
    "algorithm_digest",
    "config",
    "observation_size",
    "action_size",
    "dtype",
    "group_size",
    "steps",
}
