"""From a training to a ladder: a few rungs between the first and the best, each measured over many episodes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from offbench.behaviours.ladder import Ladder, Measured, Rung, read_rung, write_ladder
from offbench.environments.protocol import Simulator
from offbench.environments.simulator import make_simulator
from offbench.environments.task import task
from offbench.errors import OffbenchError
from offbench.evaluation.rollout import returns

FINALISTS = 5  # of few episodes each, the best is mostly the luckiest: so many of the best are measured again
SEED = 10_000_000  # of the first measured episode; training draws its own below 2^31 at random


def choose(rungs: Sequence[Rung], count: int) -> list[Rung]:
    """At most ``count`` rungs up to the best, whose returns climb in steps as even as they come; in training's order.

    The best one is among them, and of each step the earliest rung that is nearest to it.
    """
    if not rungs:
        raise OffbenchError("the training has no rung yet; let it go on until it reports its first return")
    best = max(range(len(rungs)), key=lambda i: rungs[i].sampled.mean)
    climb = rungs[: best + 1]
    means = np.array([rung.sampled.mean for rung in climb])
    levels = np.linspace(means[0], means[-1], count)
    chosen = {int(np.argmin(np.abs(means - level))) for level in levels}
    return [climb[i] for i in sorted(chosen)]


def select(
    source: Path,
    rungs: Sequence[Rung],
    name: str,
    output: Path,
    count: int = 12,
    episodes: int = 100,
    trained: str = "",
    report: Callable[[str], None] = lambda line: None,
) -> Ladder:
    """Copy chosen rungs of a training in the folder ``source`` to ``output`` and measure them there.

    Args:
        source: the training's folder.
        rungs: of the training, with the returns of a few episodes each.
        name: of the task.
        output: folder of the ladder; anything in it is replaced.
        count: at most so many rungs.
        episodes: measured of each, sampling and deterministic.
        trained: how, in one sentence.
        report: hears of each rung.

    Raises:
        OffbenchError: a file is missing, or the task cannot be simulated.
    """
    simulator = make_simulator(task(name), episodes)
    by_return = sorted(rungs, key=lambda rung: rung.sampled.mean)
    again = {
        rung.name: rung.model_copy(update={"sampled": measure(source / f"{rung.name}.safetensors", simulator, True)})
        for rung in by_return[-FINALISTS:]
    }
    measured = []
    for rung in choose([again.get(rung.name, rung) for rung in rungs], count):
        path = source / f"{rung.name}.safetensors"
        sampled, deterministic = (measure(path, simulator, sampling) for sampling in (True, False))
        measured.append(rung.model_copy(update={"sampled": sampled, "deterministic": deterministic}))
        report(f"{rung.name}: {sampled.mean:.1f} +- {sampled.standard_error:.1f}, {sampled.length:.0f} steps")
    simulator.close()
    found = Ladder(task=name, trained=trained, rungs=tuple(measured))
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    for rung in measured:
        shutil.copyfile(source / f"{rung.name}.safetensors", output / f"{rung.name}.safetensors")
    write_ladder(found, output)
    return found


def measure(path: Path, simulator: Simulator, sampling: bool) -> Measured:
    """Returns of one episode an environment of a kept policy, from the same starts for every policy."""
    starts = list(range(SEED, SEED + simulator.count))
    noise = [SEED + seed for seed in starts] if sampling else None
    policy = read_rung(path, simulator.action_low, simulator.action_high, noise)
    return Measured.of(*returns(simulator, policy, starts))
