"""``offbench behaviours``: the policies that the standard datasets are made with, and training new ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from offbench.behaviours import ladder
from offbench.environments.task import task

Task = Annotated[str, tyro.conf.Positional]


def list_behaviours(name: Annotated[str, tyro.conf.Positional] = "", /) -> None:
    """List the rungs of all ladders, or of one task's: training behind them, return, length and score.

    Examples:
        offbench behaviours list
        offbench behaviours list hopper-v4

    Args:
        name: Task whose ladder is shown.
    """
    chosen = {name: ladder.ladder(task(name).name)} if name else ladder.ladders()
    for known, found in chosen.items():
        print(f"{known}: {found.trained}")
        header = f"{'rung':<14}{'updates':>10}{'steps':>12}{'return':>9}{'s.e.':>7}{'length':>8}{'score':>7}{'mode':>8}"
        print(header)
        for rung in found.rungs:
            own = rung.sampled
            marks = [mark for mark in ("medium", "expert") if found.rung(mark) == rung]
            mode = f"{rung.deterministic.mean:8.0f}" if rung.deterministic else " " * 8
            print(
                f"{rung.name:<14}{rung.updates:>10,}{rung.transitions:>12,}{own.mean:>9.1f}{own.standard_error:>7.1f}"
                f"{own.length:>8.0f}{float(task(known).score(own.mean)):>7.1f}{mode}  {', '.join(marks)}".rstrip()
            )


def train_behaviour(
    name: Task, /, output: Path | None = None, updates: int = 1_000_000, seed: int = 0, environments: int = 16
) -> None:
    """Train a behaviour by soft actor-critic; the same command goes on after an interruption.

    Examples:
        offbench behaviours train hopper-v4 --updates 500000

    Args:
        name: Task.
        output: Folder of checkpoint and rungs; by default runs/behaviours/TASK.
        updates: Updates of the policy in all.
        seed: Of everything that is drawn.
        environments: Environments stepped together.
    """
    from offbench.online.training import BehaviourTraining, Plan

    plan = Plan(task=task(name).name, seed=seed, updates=updates, environments=environments)
    folder = output or Path("runs/behaviours") / plan.task
    BehaviourTraining(plan, folder, lambda line: print(line, flush=True)).run()


def select_rungs(folder: Task, /, output: Path, rungs: int = 12, episodes: int = 100) -> None:
    """Choose rungs of a training, from its first to its best, measure them and write them as a ladder.

    Examples:
        offbench behaviours select runs/behaviours/hopper-v4 --output datasets/behaviours/hopper-v4

    Args:
        folder: Folder of the training.
        output: Folder of the ladder, whose content is replaced.
        rungs: At most so many.
        episodes: Measured of each.
    """
    from offbench.online.selection import select
    from offbench.online.training import finished_rungs

    plan, found = finished_rungs(Path(folder))
    trained = (
        f"soft actor-critic, seed {plan['seed']}, one update every {plan['transitions_per_update']} steps of "
        f"{plan['environments']} environments"
    )
    select(Path(folder), found, plan["task"], output, rungs, episodes, trained, lambda line: print(line, flush=True))


commands: dict[str, Callable[..., Any]] = {
    "list": list_behaviours,
    "train": train_behaviour,
    "select": select_rungs,
}
