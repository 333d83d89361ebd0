"""``offbench data render``: an episode of a dataset as a GIF or MP4."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from offbench.basis.plain import plain
from offbench.cli.data_sources import whole
from offbench.environments.own_tasks import chosen_task
from offbench.errors import OffbenchError


def render_episode(
    id: Annotated[str, tyro.conf.Positional],
    /,
    episode: int = 0,
    output: Path | None = None,
    task: str | None = None,
    every: int | None = None,
    frames: int = 100,
) -> None:
    """Draw an episode of a dataset whose observations tell the simulator's state: MuJoCo's robots, PointMaze, Pendulum.

    Examples:
        offbench data render offbench/pointmaze/stitch-v0 --episode 900
        offbench data render hopper.hdf5 --task hopper-v4 --output hopper.mp4

    Args:
        id: Dataset id, or a file or folder of data.
        episode: Number of the episode, from 0.
        output: A .gif or, with the extra video, a .mp4; NAME-episode-N.gif by default.
        task: Task that the data come from; by default the dataset's own.
        every: Steps from one picture to the next; by default as many as take 0.08 simulated seconds.
        frames: Pictures at most; what is left of the episode is not drawn.
    """
    # Imported here because it pulls in the simulators, which the other commands on data do without.
    from offbench.environments.pictures import check_output, film

    where = output or Path(f"{Path(id.partition('?')[0]).stem}-episode-{episode}.gif")
    if where.exists():
        raise OffbenchError(f"{where} exists; name another file with --output, or remove it")
    check_output(where)
    data = whole(id)
    if not 0 <= episode < len(data):
        raise OffbenchError(f"{id} has no episode {episode}; it has {len(data):,}, from 0")
    name = task or data.provenance.task
    if name is None:
        raise OffbenchError(f"the task that {id} comes from is not known; name it with --task")
    chosen = data[episode]
    drawn = film(chosen_task(name), chosen, every, frames)
    drawn.save(where)
    earned = "" if chosen.rewards is None else f", return {chosen.returns[0]:,.1f}"
    print(f"episode {episode} of {plain(id)}: {chosen.steps:,} steps{earned}")
    print(f"written: {plain(where)}, {len(drawn.frames)} pictures, one every {drawn.every} steps")
