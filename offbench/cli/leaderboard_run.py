"""``offbench leaderboard run``: methods on all tasks of a suite, resumable."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from offbench.basis.plain import plain
from offbench.basis.streams import tell
from offbench.errors import OffbenchError
from offbench.leaderboard.running import Budget, Job, Method, hidden_jobs, jobs, method, remaining
from offbench.leaderboard.suite import Suite, suite
from offbench.training.checks import check_count
from offbench.training.interruption import Interrupted

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
    failed = _run_all(chosen, todo, {"device": device, "workers": workers, "quiet": quiet})
    for job, why in failed:
        tell(f"error: {plain(job.title)}: {plain(why)}")
    print(f"{len(todo) - len(failed)} of {len(todo)} runs are in {plain(where)}")
    return int(bool(failed))


def _methods(algorithms: Sequence[str]) -> list[Method]:
    """Each method once, in the order in which they are named."""
    found = {each.name: each for each in map(method, algorithms)}
    return list(found.values())


def _run_all(chosen: Suite, todo: Sequence[Job], options: dict[str, object]) -> list[tuple[Job, str]]:
    """Run what is not done; those runs that failed, each with the reason."""
    done = [(job, job.seconds) for job in todo if job.plan is not None]
    left = [job for job in todo if job not in [each for each, _ in done]]
    tell(f"{chosen.name} version {chosen.version}: {len(todo)} runs, {len(done)} of them done{_estimate(done, left)}")
    failed: list[tuple[Job, str]] = []
    for number, job in enumerate(left, 1):
        started = time.perf_counter()
        try:
            job.run(**options)
        except Interrupted:
            raise Interrupted(f"interrupted in {job.title}; the same command goes on from there") from None
        except OffbenchError as error:
            failed.append((job, str(error)))
            tell(f"{plain(job.title)} failed: {plain(error)}")
            continue
        done.append((job, job.seconds))
        took = time.perf_counter() - started
        tell(f"{plain(job.title)}: {took:,.0f} s, {number} of {len(left)}{_estimate(done, left[number:])}")
    return failed


def _estimate(done: Sequence[tuple[Job, float]], left: Sequence[Job]) -> str:
    """How long the rest will take, in words that go on a sentence; empty where nobody knows."""
    seconds = remaining(done, left)
    if not left or seconds is None:
        return ""
    return f"; about {seconds / 60:,.0f} min to go" if seconds >= 60 else f"; about {seconds:,.0f} s to go"
