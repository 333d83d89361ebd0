"""What a page says of a dataset's content: statistics, and pictures of an episode.

Both are made once from the data and kept in the cache folder, under the dataset's revision and its origin. Nothing is
downloaded or generated for them unless that is asked for: datasets are looked at where they are cached.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from offbench.basis.files import atomic, cache_folder
from offbench.catalog import store
from offbench.catalog.cards import Card
from offbench.catalog.loading import load_card
from offbench.data.trajectories import Trajectories
from offbench.environments.task import task
from offbench.errors import OffbenchError
from offbench.leaderboard.charts import counted

VERSION = 1  # rises when the same data would give other facts or pictures
COLUMNS, ROWS, SIZE = 3, 2, (240, 180)  # pictures side by side and below each other; width and height of each


class Statistics(BaseModel):
    """Numbers of a dataset.

    Attributes:
        version: of this layout and of what is computed.
        episodes: how many.
        steps: of all episodes together.
        observation: shape of one.
        action: shape of one; None where there are none.
        lengths: least, mean and most steps of an episode.
        returns: least, mean and most undiscounted return; None where there are no rewards.
        scores: the same on the scale of the task; None where it has no references.
        terminated: share of episodes that end in a termination.
        counts: episodes by return, between the edges.
        edges: returns (counts + 1).
        picture: what is to be seen; None where nothing could be drawn.
        not_drawn: why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = VERSION
    episodes: int
    steps: int
    observation: tuple[int, ...]
    action: tuple[int, ...] | None
    lengths: tuple[float, float, float]
    returns: tuple[float, float, float] | None
    scores: tuple[float, float, float] | None
    terminated: float
    counts: tuple[int, ...] = ()
    edges: tuple[float, ...] = ()
    picture: str | None = None
    not_drawn: str | None = None


@dataclass(frozen=True)
class Facts:
    """Statistics and where the pictures lie.

    Attributes:
        statistics: of the data; None where these are not here.
        missing: why there are none.
        strip: a PNG of several pictures side by side; None where nothing was drawn.
        film: a GIF of the same episode.
    """

    statistics: Statistics | None
    missing: str | None = None
    strip: Path | None = None
    film: Path | None = None


def facts(card: Card, cache: Path | None = None, *, generate: bool = False) -> Facts:
    """Statistics and pictures of a dataset, from the cache or made now and kept there.

    Args:
        card: of the dataset.
        cache: cache folder, the usual one if None.
        generate: whether a built-in dataset is generated where the cache lacks it.
    """
    folder = (cache or cache_folder()) / "leaderboard"
    identity = hashlib.sha256(card.model_dump_json().encode()).hexdigest()[:12]
    base = folder / f"{card.id.replace('/', '--')}-r{card.revision}-{identity}"
    found = _kept(base)
    if found is None:
        if not store.is_cached(card, cache) and not (generate and card.recipe is not None):
            reason = f"The data were not on the machine that built this page: offbench data fetch {card.id} gets them."
            return Facts(None, missing=reason)
        found = _made(card, load_card(card, cache), base)
    drawn = found.picture is not None
    return Facts(found, None, _beside(base, ".png") if drawn else None, _beside(base, ".gif") if drawn else None)


def _kept(base: Path) -> Statistics | None:
    """What the cache has; None where anything is missing, old or broken."""
    try:
        found = Statistics.model_validate_json(_beside(base, ".json").read_bytes(), strict=True)
    except (OSError, ValidationError):
        return None
    pictures = found.picture is None or all(_beside(base, suffix).is_file() for suffix in (".png", ".gif"))
    return found if found.version == VERSION and pictures else None


def _made(card: Card, data: Trajectories, base: Path) -> Statistics:
    numbers = measured(data, card.task)
    try:
        described = _draw(card, data, base)
        numbers = numbers.model_copy(update={"picture": described})
    except OffbenchError as error:
        numbers = numbers.model_copy(update={"not_drawn": str(error)})
    with atomic(_beside(base, ".json")) as temporary:
        temporary.write_text(json.dumps(numbers.model_dump(mode="json"), indent=1), encoding="utf-8")
    return numbers


def measured(data: Trajectories, task_name: str | None) -> Statistics:
    """The numbers of a dataset; scores where a task is named that has references."""
    returns = None if data.rewards is None or not len(data) else np.asarray(data.returns)
    counts, edges = counted(returns) if returns is not None else ([], [])
    scores = None if returns is None or task_name is None else task(task_name).score(returns)
    ends = data.terminations[data.offsets[1:] - 1]
    return Statistics(
        episodes=len(data),
        steps=int(data.steps),
        observation=data.observations.shape[1:],
        action=None if data.actions is None else data.actions.shape[1:],
        lengths=_spread(data.lengths),
        returns=None if returns is None else _spread(returns),
        scores=None if scores is None else _spread(scores),
        terminated=float(np.mean(ends)) if len(data) else 0.0,
        counts=tuple(counts),
        edges=tuple(edges),
    )


def _draw(card: Card, data: Trajectories, base: Path) -> str:
    """Write the pictures of the episode with the median return, and say what they show."""
    from PIL import Image

    from offbench.environments.pictures import film

    if card.task is None:
        raise OffbenchError(f"{card.id} names no task, so its episodes cannot be drawn")
    chosen = 0 if data.rewards is None else int(np.argsort(data.returns, kind="stable")[len(data) // 2])
    episode = data[chosen]
    # As many pictures as fit the whole episode, so that its end is seen.
    every = max(1, int(episode.lengths[0]) // 30)
    drawn = film(task(card.task), episode, every=every, most=31, size=SIZE)
    last, count = len(drawn.frames) - 1, COLUMNS * ROWS
    frames = [drawn.frames[round(i * last / (count - 1))] for i in range(count)]
    drawn.save(_beside(base, ".gif"))
    content = io.BytesIO()
    rows = [np.concatenate(frames[row * COLUMNS : (row + 1) * COLUMNS], axis=1) for row in range(ROWS)]
    strip = Image.fromarray(np.concatenate(rows))
    # A palette of 128 colours takes a third of the room.
    strip.quantize(128, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    with atomic(_beside(base, ".png")) as temporary:
        temporary.write_bytes(content.getvalue())
    earned = "" if data.rewards is None else f", whose return of {episode.returns[0]:,.1f} is the median"
    return f"Episode {chosen:,}{earned}: {count} pictures from its first to its last step, {episode.steps:,} steps."


def copy_pictures(found: Facts, folder: Path, name: str) -> None:
    """Copy the pictures beside a page, as NAME.png and NAME.gif."""
    for path in (found.strip, found.film):
        if path is not None:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / f"{name}{path.suffix}")


def _beside(base: Path, suffix: str) -> Path:
    return base.with_name(base.name + suffix)  # ids have dots of their own


def _spread(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    if not len(values):
        return 0.0, 0.0, 0.0
    return float(np.min(values)), float(np.mean(values)), float(np.max(values))
