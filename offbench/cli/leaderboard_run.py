"""``offbench leaderboard run``: methods on all tasks of a suite, resumable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from offbench.algorithms.method import Method, method
from offbench.basis.plain import plain
from offbench.basis.streams import tell
from offbench.leaderboard.running import Budget, hidden_jobs, jobs
from offbench.leaderboard.suite import suite
from offbench.sweep.local import run_here
from offbench.sweep.running import run_sweep
from offbench.training.checks import check_count

Algorithms = Annotated[tuple[str, ...], tyro.conf.arg(metavar="METHOD [METHOD ...]")]


def run_suite(
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SUITE")],
    /,
    algorithms: Algorithms,
    output: Path | None = None,
    steps: int | None = None,
    seeds: int | None = None,
    hidden: Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    quiet: bool = False,
) -> int:
    """Train and score methods on all tasks of a suite; runs that are done are skipped, others go on where they stopped.

    One run is made after the other, its seeds shared over the cores; offbench sweep --suite makes several at once.

    The exit code is 1 if a method could not be run on a task; the others are run all the same.

    Examples:
        offbench leaderboard run starter --algorithms iql td3_bc --output runs/starter
        offbench leaderboard run starter --algorithms bc,top_fraction=0.1 mine:Mine --seeds 2 --steps 2000

    Args:
        name: Suite; offbench leaderboard suites lists them.
        algorithms: Registered names or module:Class, each with hyperparameters that differ from its defaults.
        output: Folder for the runs, one of each method and task; runs/SUITE if not given.
        steps: Gradient updates of each seed; the suite's if not given. With others the records are no entry.
        seeds: How many seeds; the suite's number if not given. With fewer the records are no entry.
        hidden: Folder of hidden tasks, which are run instead; offbench leaderboard hidden makes them.
        device: cpu, cuda, or auto for a GPU where there is one.
        workers: Processes that share the seeds on a CPU; a core each, where that pays, if not given.
        quiet: Show no progress of the runs.
    """
    chosen = suite(name)
    for what, value in (("steps", steps), ("seeds", seeds), ("workers", workers)):
        check_count(what, value)
    budget = Budget(chosen.seeds if seeds is None else seeds, steps)
    short = budget.shortfall(chosen)
    if short:
        tell(f"this is not the budget of the suite {chosen.name} ({short}): the records cannot be an entry of it")
    methods = _methods(algorithms)
    where = output or Path("runs") / (chosen.name if hidden is None else f"{chosen.name}-hidden")
    todo = (
        jobs(chosen, methods, budget, where) if hidden is None else hidden_jobs(chosen, methods, budget, where, hidden)
    )
    done = sum(job.is_done for job in todo)
    tell(f"{chosen.name} version {chosen.version}: {len(todo)} runs, {done} of them done")
    options = {"device": device, "workers": workers, "quiet": quiet}
    swept = run_sweep(where, todo, lambda left, listener: run_here(left, listener, **options), 1, quiet)
    for job in todo:
        if job.folder in swept.failed:
            tell(f"error: {plain(job.title)}: {plain(swept.failed[job.folder])}")
    print(f"{len(todo) - len(swept.failed)} of {len(todo)} runs are in {plain(where)}")
    return int(bool(swept.failed))


def _methods(algorithms: Sequence[str]) -> list[Method]:
    """Each method once, in the order in which they are named."""
    found = {each.name: each for each in map(method, algorithms)}
    return list(found.values())
