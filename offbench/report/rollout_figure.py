"""A sample of rollouts: episodes of a dataset or of a run's policy as strips of pictures, worst to best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.report.canvas import WIDTHS, Drawn, Size, blank, print_style

PIXELS = (240, 180)  # width and height of a picture


@dataclass(frozen=True, eq=False)
class Rollouts:
    """Episodes of one task, and what each is called.

    Attributes:
        task: they were played in.
        episodes: one trajectory each.
        names: a short text each.
    """

    task: Task
    episodes: Sequence[Trajectories]
    names: Sequence[str]


def draw(rollouts: Rollouts, size: Size = "two-column", *, frames: int = 8) -> Drawn:
    """A strip of ``frames`` pictures for each episode, evenly from first to last state, and a row for each picture.

    The last picture is as near the end as whole steps between pictures allow.

    Raises:
        OffbenchError: fewer than two pictures are asked for, the episodes do not tell the simulator's state, or nothing
            here can draw.
    """
    from offbench.environments.pictures import film

    if frames < 2:
        raise OffbenchError(f"a strip has two pictures at least, the first and the last; got {frames}")
    width = WIDTHS[size]
    height = len(rollouts.episodes) * (width / frames * PIXELS[1] / PIXELS[0] + 0.24)
    rows: list[dict[str, object]] = []
    with print_style():
        figure = blank(width, height)
        for line, (episode, name) in enumerate(zip(rollouts.episodes, rollouts.names, strict=True)):
            every = max(1, episode.steps // (frames - 1))
            shown = film(rollouts.task, episode, every=every, most=frames, size=PIXELS).frames
            for column, picture in enumerate(shown):
                step = column * every
                axes = figure.add_subplot(len(rollouts.episodes), frames, line * frames + column + 1)
                axes.imshow(picture)
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                axes.set_title(
                    f"step {step}" if column else name, pad=2, fontsize=7, loc="center" if column else "left"
                )
                rows.append({"episode": name, "step": step, "return": float(episode.returns[0])})
    return Drawn(figure, rows)


def of_dataset(name: str, count: int = 3) -> Rollouts:
    """Episodes of a dataset, evenly from the worst to the best by their returns.

    Raises:
        OffbenchError: the dataset is not known or is no dataset of a task, or has no rewards.
    """
    import offbench
    from offbench.environments.own_tasks import chosen_task

    data = offbench.load(name)
    if not isinstance(data, Trajectories) or data.rewards is None or data.provenance.task is None:
        raise OffbenchError(f"{name} names no task or has no rewards, so that its episodes cannot be shown by return")
    chosen = evenly(np.asarray(data.returns), count)
    return Rollouts(
        chosen_task(data.provenance.task),
        [data[int(number)] for number in chosen],
        [f"return {data.returns[number]:.1f}" for number in chosen],
    )


def of_run(folder: Path, count: int = 3) -> Rollouts:
    """Episodes of the last evaluation of a run's first seed, played again, evenly from the worst to the best.

    Raises:
        OffbenchError: the folder holds no finished run, or its policies are not kept.
    """
    from offbench.environments.simulator import make_simulator
    from offbench.generation.recording import record as record_episodes
    from offbench.training.finished import Run

    run = Run(folder)
    task, record = run.manifest.plan.whole_task, run.records[0]
    if task is None or not record.evaluations:
        raise OffbenchError(f"the run {folder} has no task, so that its policies cannot be played")
    last = record.evaluations[-1]
    chosen = evenly(np.array(last.returns), count)
    simulator = make_simulator(task, len(chosen))
    try:
        seeds = [last.environment_seeds[number] for number in chosen]
        played = record_episodes(simulator, run.policy(record.seed), seeds)
        goals = getattr(simulator, "goals", None)
    finally:
        simulator.close()
    episodes = [played[number] for number in range(len(chosen))]
    if goals is not None:
        episodes = [
            replace(one, extras={"goal": np.repeat(goals[number : number + 1], one.steps, axis=0)})
            for number, one in enumerate(episodes)
        ]
    return Rollouts(task, episodes, [f"return {one.returns[0]:.1f}" for one in episodes])


def evenly(returns: Array, count: int) -> Array:
    """(count,) numbers of the episodes whose returns (episodes,) have ranks evenly from the least to the greatest."""
    if count < 1 or not len(returns):
        raise OffbenchError(f"{count} of {len(returns)} episodes cannot be shown; one at least is needed")
    order = np.argsort(returns, kind="stable")
    return np.asarray(order[np.unique(np.linspace(0, len(order) - 1, count).round().astype(int))])
