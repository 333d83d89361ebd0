"""How a run uses the machine: compiled or not, which seeds together, in how many processes.

On a GPU all seeds are one batch. On a CPU a group of seeds has one core and one thread. Two threads gain little for
small products and wait for each other spinning, so that other work which stalls one stalls both; processes do not wait
for each other. docs/speed.md has the figures. None of this changes a result by more than rounding, and the plan of a
run keeps what was chosen, so that it goes on alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from offbench.algorithms.base import Algorithm, Sizes, View
from offbench.basis.compiler import can_compile
from offbench.basis.cores import default_workers
from offbench.evaluation.rollout import one_torch_thread
from offbench.training.group import Group
from offbench.training.options import Options
from offbench.training.plan import Plan
from offbench.training.work import compile_times

# Measured with IQL at hopper's shapes, in updates of one seed that is updated alone: what is paid for each update of a
# group however many seeds it has, eager and compiled, and the share of eager time that compiling saves.
SHARED_EAGER, SHARED_COMPILED, SAVED = 0.35, 0.05, 0.35
# Until a worker does its first job: Python, torch, the view of the data.
START_SECONDS = 4.0
CACHED_BYTES = 6 * 2**20


@dataclass(frozen=True)
class Cost:
    """What the updates of a run cost.

    Attributes:
        update: seconds of one eager update of one seed, measured.
        state: bytes of one seed's parameters and moments.
        updates: updates of single seeds in all.
    """

    update: float
    state: int
    updates: int


def measured(found: type[Algorithm], config: object, view: View, options: Options, device: str) -> Cost:
    """The cost of a run, by a few updates of a seed of its own."""
    sizes = Sizes(view.observation_size, view.action_size)
    probe = found(config, sizes, [0], options.steps, device, view.dtype, options.dtype == "mixed")
    state = state_bytes(probe)
    updates = len(options.chosen_seeds) * options.steps
    if device != "cpu":
        return Cost(0.0, state, updates)
    group, period = Group(probe, view, found.step), probe.period
    with one_torch_thread():
        group.advance(period, 2 * period)  # before the first update branches may be rolled out, which is no update
        started = time.perf_counter()
        group.advance(2 * period, 4 * period)
        seconds = (time.perf_counter() - started) / (2 * period)
    group.close()
    return Cost(seconds, state, updates)


def state_bytes(algorithm: Algorithm) -> int:
    """Bytes of an algorithm's parameters and moments."""
    return sum(value.nelement() * value.element_size() for value in algorithm.state().values())


def chosen(draft: Callable[[bool, int], Plan], cost: Cost, options: Options, device: str) -> Plan:
    """The plan of a run: that of ``draft(compiled, group size)`` which ends first, as far as the options leave it open.

    Raises:
        OffbenchError: compiling was asked for and cannot be done.
    """
    seeds, count = len(options.chosen_seeds), options.workers or default_workers()
    plan = draft(True, min(options.group or group_size(cost, seeds, True, device, count), seeds))
    if worth_compiling(cost, compile_times(plan).expected(), options, device):
        return plan
    count = count if options.workers or worth_starting(cost.update * cost.updates, min(count, seeds)) else 1
    return draft(False, min(options.group or group_size(cost, seeds, False, device, count), seeds))


def worth_compiling(cost: Cost, seconds: float, options: Options, device: str) -> bool:
    """Whether compiling is asked for, or saves more than the ``seconds`` that it takes."""
    if not can_compile(options.compile, torch.device(device)):
        return False
    if options.compile == "always" or device != "cpu":
        return True
    return cost.update * cost.updates * SAVED > seconds


def worth_starting(seconds: float, workers: int) -> bool:
    """Whether workers save more of the ``seconds`` that updates take in one process than it takes to start them."""
    return workers > 1 and seconds * (1 - 1 / workers) > START_SECONDS


def group_size(cost: Cost, seeds: int, compiled: bool, device: str, workers: int) -> int:
    """How many seeds to update together.

    The time of a group of n is n + c updates of a single one, where c is shared by its seeds. Groups are handed out in
    pieces, so all of them need the larger of their sum over the workers and of the longest. Compiled groups are of
    equal size, so that one graph serves all, and of a size whose parameters and moments stay in a few megabytes of
    cache: what costs there is memory traffic.
    """
    if device != "cpu":
        return seeds
    sizes, shared = list(range(1, seeds + 1)), SHARED_EAGER
    if compiled:
        fitting = max(1, CACHED_BYTES // cost.state)
        sizes, shared = [size for size in sizes if seeds % size == 0 and size <= fitting], SHARED_COMPILED

    def seconds(size: int) -> float:
        groups = -(-seeds // size)
        return max((seeds + groups * shared) / workers, size + shared)

    return min(sizes, key=lambda size: (seconds(size), -size))


def workers_for(plan: Plan, cost: Cost, step: int, options: Options) -> int:
    """Processes beside this one for what is left of a run after ``step`` updates; 0 where this one does the work.

    A number that was asked for is kept to, as far as there are groups. Else as many as there are cores, where they pay.
    """
    count = min(options.workers or default_workers(), -(-len(plan.seeds) // plan.group_size))
    if plan.device != "cpu" or count < 2:
        return 0
    left = cost.update * len(plan.seeds) * (plan.steps - step) * (1 - SAVED if plan.compiled else 1.0)
    return count if options.workers or worth_starting(left, count) else 0


def fitting_workers(plan: Plan, done: int, options: Options) -> int:
    """Processes for the seeds that a learner is still to be fitted with after ``done`` of them; 0 for this one.

    How long a fit takes is not known, and most take longer than it takes to start a process.
    """
    count = min(options.workers or default_workers(), len(plan.seeds) - done)
    return count if plan.device == "cpu" and count > 1 else 0


def going_on(old: Plan, new: Plan, options: Options) -> Plan:
    """The plan of a run that is resumed: as it was begun, except for what was asked for otherwise now.

    It goes on in the same groups, compiled or not as before, and so to the last bit, in any number of processes. On
    another kind of device, and where no compiler is any more, it goes on as a new run would: rounding differs.
    """
    moved = old.device.partition(":")[0] != new.device.partition(":")[0]
    group_size = new.group_size if moved or options.group else old.group_size
    compiled = old.compiled and can_compile("auto", torch.device(new.device))
    if moved or options.compile != "auto":
        compiled = new.compiled
    return old.model_copy(update={"device": new.device, "group_size": group_size, "compiled": compiled})
