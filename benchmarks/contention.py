"""What a run loses to other work: updates and evaluations in quiet and beside busy processes, before and now.

Before, one process updated all groups of seeds with a thread a core, and its threads waited for each other spinning.
Now each core has a process with one thread, and takes the next piece of whichever group is furthest behind. Both ways
are measured with the same code, shapes (hopper's) and data, each in processes of its own, as its users run it. The busy
processes count, one a core: half of the machine is left.

The figures are medians of the rounds; "kept" is what is left beside busy processes of what is made in quiet.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _busy import busy

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
SECONDS = 3.0  # of one measurement
EVALUATED = "halfcheetah-v4"  # episodes of 1,000 steps, however bad the policy


class Runner:
    """A run in processes of its own, which waits until it is asked for a figure."""

    def __init__(self, **settings: Any) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(settings["threads"])}
        command = [sys.executable, __file__, "--run", json.dumps(settings)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.figure()  # compiles

    def figure(self) -> float:
        """Seed-updates a second, or seconds of an evaluation."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print("go", file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


def be_run(settings: dict[str, Any]) -> None:
    """Print a figure for each line of input; the body of a `Runner`'s process."""
    import torch

    from offbench.basis.compiler import keep_memory
    from offbench.training.folder import RunFolder
    from offbench.training.teams import team
    from offbench.training.work import Updates

    keep_memory()
    torch.set_num_threads(settings["threads"])
    plan, groups, task, trajectories = prepared(settings)
    alone = Updates(plan, groups, task)
    if not settings["workers"]:
        alone.parts = [slice(None)]  # policies acted in all episodes together
    handed = None if task else trajectories
    with (
        tempfile.TemporaryDirectory() as scratch,
        team(settings["workers"], alone, plan, task, groups, handed, RunFolder(Path(scratch))) as workers,
    ):
        run = Run(plan, alone, workers if settings["workers"] else None)
        for _ in sys.stdin:
            print(run.evaluation() if task else run.rate(settings["piece"], settings["seconds"]), flush=True)


def prepared(settings: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    """Plan, groups, task and data of a run."""
    from _hopper import TOTAL, data

    from offbench.algorithms import registry
    from offbench.algorithms.base import Sizes
    from offbench.basis.code import package_digest
    from offbench.environments.task import task as find_task
    from offbench.training.execution import Cost, group_size, state_bytes
    from offbench.training.plan import Plan, ScalingPlan
    from offbench.training.views import completed, make_view
    from offbench.training.work import make_groups

    found, trajectories = registry.algorithm(settings["method"]), data()
    config = completed(found.Config(**settings["config"]), trajectories, None)
    view = make_view(found, config, trajectories)
    task, sizes, scaling = None, (view.observation_size, view.action_size), ScalingPlan.of(view.scaling)
    if settings["evaluate"]:  # new policies of the task's sizes, which learn nothing here
        task, sizes = find_task(EVALUATED), (17, 6)
        scaling = ScalingPlan(mean=[0] * 17, std=[1] * 17, low=[-1] * 6, high=[1] * 6, reward_scale=1, reward_shift=0)
    probe = found(config, Sizes(*sizes), [0], TOTAL)
    compiled, workers = settings["compiled"], settings["workers"]
    together = group_size(Cost(1.0, state_bytes(probe), TOTAL), settings["seeds"], compiled, "cpu", max(1, workers))
    plan = Plan(
        algorithm=settings["method"],
        algorithm_digest=registry.source_digest(found),
        code_digest=package_digest(),
        config=json.loads(json.dumps(config.__dict__)),
        dataset="random",
        dataset_revision=0,
        dataset_digest=trajectories.digest,
        observation_size=sizes[0],
        action_size=sizes[1],
        transforms=[],
        scaling=scaling,
        task=None,
        seeds=list(range(settings["seeds"])),
        steps=TOTAL,
        evaluate_every=TOTAL,
        episodes=20,
        log_every=TOTAL // 100,
        dtype="float32",
        compiled=compiled,
        group_size=together,
        device="cpu",
    )
    return plan, make_groups(found, config, plan, None if task else view, compiled and not workers), task, trajectories


class Run:
    """Updates and evaluations of a plan, by this process alone or by a team."""

    def __init__(self, plan: Any, alone: Any, team: Any) -> None:
        self.plan, self.alone, self.team, self.done, self.evaluated = plan, alone, team, 0, 0

    def rate(self, piece: int, seconds: float) -> float:
        """Updates of single seeds a second, of at least so many seconds."""
        started, before = time.perf_counter(), self.done
        while time.perf_counter() - started < seconds:
            self._advance(self.done + piece)
        return (self.done - before) * len(self.plan.seeds) / (time.perf_counter() - started)

    def _advance(self, stop: int) -> None:
        from offbench.training.group import BLOCK
        from offbench.training.schedule import Schedule

        schedule = Schedule(len(self.alone.groups), self.done, stop, (BLOCK,))

        def next_job() -> dict[str, Any] | None:
            piece = schedule.take()
            return piece and {"do": "advance", "group": piece[0], "start": piece[1], "stop": piece[2]}

        if self.team is None:  # with all threads, which a process alone does not have today
            while (job := next_job()) is not None:
                self.alone.do(job)
                schedule.give_back(job["group"])
        else:
            self.team.work(next_job, lambda job, result: schedule.give_back(job["group"]))
        self.done = stop

    def evaluation(self) -> float:
        """Seconds of an evaluation of all seeds."""
        from offbench.training.scoring import played

        started = time.perf_counter()
        self.evaluated += 1
        if self.team is None:
            self.alone.evaluate(self.evaluated, 0)
        else:
            played(self.team, self.plan, self.evaluated, 0)
        return time.perf_counter() - started


def measure(settings: dict[str, Any], rounds: int) -> tuple[list[float], list[float]]:
    """Figures in quiet and beside busy processes, in turns."""
    runner = Runner(**settings)
    quiet, beside = [], []
    for _ in range(rounds):
        quiet.append(runner.figure())
        with busy(CORES):
            time.sleep(0.5)
            beside.append(runner.figure())
    runner.close()
    return quiet, beside


def settings_of(
    method: str, seeds: int, compiled: bool, way: str, evaluate: bool = False, **config: Any
) -> dict[str, Any]:
    """A row: ``way`` is "before" (a thread a core), "now" (a process a core), or a number of threads in one process."""
    threads = {"before": CORES, "now": 1}.get(way) or int(way)
    workers = min(CORES, seeds if not evaluate else 2 * seeds) if way == "now" else 0
    workers = workers if workers > 1 else 0
    return {
        "method": method, "seeds": seeds, "compiled": compiled, "threads": threads, "workers": workers,
        "evaluate": evaluate, "config": config, "seconds": SECONDS,
        "piece": 200 if workers else 10,  # between two moments at which all groups are needed
    }  # fmt: skip


def show(name: str, rows: dict[str, tuple[list[float], list[float]]], unit: str) -> None:
    for way, (quiet, beside) in rows.items():
        one, two = statistics.median(quiet), statistics.median(beside)
        kept = two / one if unit != "seconds" else one / two
        spread = f"({min(quiet):.3g} to {max(quiet):.3g}; {min(beside):.3g} to {max(beside):.3g})"
        print(f"{name:34} {way:12} {one:8.3g} {two:8.3g} {unit:16} kept {100 * kept:4.0f}%  {spread}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument(
        "--parts", nargs="+", choices=["many", "evaluation", "one"], default=["many", "evaluation", "one"]
    )
    parser.add_argument("--methods", nargs="+", default=["iql", "wide", "rebrac", "rvs", "dt"], help="of the part one")
    parser.add_argument("--run", help="be a run: print a figure for each line of input")
    arguments = parser.parse_args()
    if arguments.run:
        return be_run(json.loads(arguments.run))
    print(
        f"{CORES} cores, load {os.getloadavg()[0]:.1f} before; quiet, beside {CORES} busy processes, medians of",
        end=" ",
    )
    print(f"{arguments.rounds} rounds (lowest and highest)")
    if "many" in arguments.parts:
        for seeds, compiled in ((2, True), (3, True), (5, True), (8, True), (3, False), (5, False)):
            ways = {
                way: measure(settings_of("iql", seeds, compiled, way), arguments.rounds) for way in ("before", "now")
            }
            show(f"IQL, {seeds} seeds, {'compiled' if compiled else 'eager'}", ways, "seed-updates/s")
    if "evaluation" in arguments.parts:
        for seeds in (2, 5):
            ways = {
                way: measure(settings_of("iql", seeds, False, way, evaluate=True), arguments.rounds)
                for way in ("before", "now")
            }
            ways = {"one batch": ways["before"], "in workers": ways["now"]}
            show(f"{EVALUATED}, {seeds} seeds x 20 episodes", ways, "seconds")
    if "one" in arguments.parts:
        for name in arguments.methods:
            method, config = ("iql", {"hidden": (1024, 1024)}) if name == "wide" else (name, {})
            ways = {
                f"{threads} threads": measure(settings_of(method, 1, True, str(threads), **config), arguments.rounds)
                for threads in sorted({1, CORES})
            }
            show(f"{method}, one seed {'-'.join(map(str, config.get('hidden', ())))}", ways, "updates/s")


if __name__ == "__main__":
    main()
