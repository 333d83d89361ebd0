"""``offbench data`` fetch, generate and rm: what the cache holds."""

from __future__ import annotations

import time
from pathlib import Path

from offbench.basis.files import cache_folder
from offbench.basis.plain import plain
from offbench.catalog import store
from offbench.catalog.cards import Card
from offbench.catalog.loading import fetch_shown, load_card
from offbench.catalog.progress import shown
from offbench.cli.data_sources import Ids, cards_named
from offbench.errors import OffbenchError
from offbench.formats import native


def fetch_datasets(ids: Ids, /) -> None:
    """Download or generate datasets ahead of use, and check the files that are there against their checksums.

    Examples:
        offbench data fetch offbench/pendulum/swingup-v0
        offbench data fetch d4rl/hopper-medium-v2 minari/mujoco/hopper/expert-v0

    Args:
        ids: Dataset ids.
    """
    for chosen in cards_named(ids, "fetch"):
        if chosen.recipe is not None:
            _generate(chosen, again=False)
            continue
        for file in chosen.files:
            path = fetch_shown(chosen, file, verify=True)
            known = "published" if file.sha256 or file.md5 else "recorded at the first download"
            print(f"{plain(path)}: checksum is right ({known})")
        trajectories = load_card(chosen)
        print(f"{plain(chosen.id)}: {len(trajectories):,} episodes, {trajectories.steps:,} steps")


def generate_datasets(
    ids: Ids, /, again: bool = False, transitions: int | None = None, output: Path | None = None
) -> None:
    """Generate datasets into the cache, the folder OFFBENCH_CACHE where that is set; or a smaller one into a file.

    Examples:
        offbench data generate offbench/pointmaze/stitch-v0 offbench/pendulum/swingup-v0
        offbench data generate offbench/hopper/medium-v0 --transitions 50000 --output small.offbench

    Args:
        ids: Dataset ids.
        again: Generate also what is cached already.
        transitions: Another number of transitions than the card's; needs --output, since it is another dataset.
        output: The native file to write, instead of into the cache.
    """
    chosen = cards_named(ids, "generate")
    for each in chosen:
        if each.recipe is None:
            raise OffbenchError(f"{each.id} is not generated; offbench data fetch {each.id} downloads it")
    if transitions is None and output is None:
        for each in chosen:
            _generate(each, again)
        return
    if output is None or len(chosen) != 1:
        raise OffbenchError("a dataset of another size is no standard one: name one id, and its file with --output")
    _generate_file(chosen[0], transitions, output, again)


def remove_datasets(ids: Ids, /) -> None:
    """Delete what the cache holds of datasets, without asking; recorded checksums stay.

    Examples:
        offbench data rm offbench/pendulum/swingup-v0

    Args:
        ids: Dataset ids.
    """
    for chosen in cards_named(ids, "remove"):
        removed = store.remove(chosen)
        for path in removed:
            print(f"removed {plain(path)}")
        if not removed:
            print(plain(f"{chosen.id}: the cache {cache_folder()} holds nothing of it"))
        if chosen.minari is not None:
            print(plain(f"{chosen.id}: Minari keeps its own files; 'minari delete {chosen.minari}' deletes them"))


def _generate(chosen: Card, again: bool) -> None:
    path = store.generated_path(chosen)
    if again:
        path.unlink(missing_ok=True)
    existed, start = path.is_file(), time.perf_counter()
    with shown(chosen.id, "episodes" if chosen.recipe and chosen.recipe.episodes else "steps") as progress:
        load_card(chosen, progress=progress)
    what = "was cached" if existed else f"generated in {time.perf_counter() - start:.1f} s"
    print(plain(f"{chosen.id}: {what}, {path}"))


def _generate_file(chosen: Card, transitions: int | None, output: Path, again: bool) -> None:
    from offbench.catalog.generated import generate, resized

    if output.exists() and not again:
        raise OffbenchError(f"{output} exists; name another file with --output, or overwrite it with --again")
    card = chosen if transitions is None else resized(chosen, transitions)
    start = time.perf_counter()
    with shown(chosen.id, "episodes" if card.recipe and card.recipe.episodes else "steps") as progress:
        trajectories = generate(card, progress)
    native.save(trajectories, output)
    print(
        f"{plain(output)}: {len(trajectories):,} episodes, {trajectories.steps:,} steps, "
        f"{time.perf_counter() - start:.1f} s"
    )
