"""``offbench data`` list and show: which datasets there are, and what is in one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from rich.text import Text

from offbench.basis.plain import plain
from offbench.catalog import store
from offbench.catalog.cards import Card, cards
from offbench.catalog.listing import found_cards
from offbench.catalog.loading import find, load, load_card
from offbench.catalog.progress import size_text
from offbench.cli.data_sources import Id
from offbench.data.trajectories import Trajectories
from offbench.environments.task import Task, task
from offbench.formats import shards


def list_datasets(filter: str = "") -> None:
    """List the datasets: id, task, size of the download, whether cached, description.

    Examples:
        offbench data list
        offbench data list --filter "hopper medium"

    Args:
        filter: Show only datasets that all of these words name, in id, task or description.
    """
    rows = [
        (each.id, each.task or "", _origin(each), "yes" if store.is_cached(each) else "no", each.description)
        for each in found_cards(filter)
    ]
    if rows:
        _print_table(("id", "task", "download", "cached", "description"), rows)
    else:
        print(f"no dataset is named by all words of {filter!r}; offbench data list shows all {len(cards())}")


def show_dataset(id: Id, /) -> None:
    """Show what is in a file, or a dataset's card and, when cached, its statistics and a histogram of returns.

    Examples:
        offbench data show offbench/pointmaze/stitch-v0
        offbench data show d4rl/hopper-medium-v2
        offbench data show recorded.hdf5

    Args:
        id: Dataset id, a TOML file with one card, or a file or folder of data.
    """
    found = find(id)
    if isinstance(found, Path):
        trajectories = load(found)
        size = f" of {found.stat().st_size:,} bytes" if found.is_file() else ""
        print(f"{plain(found)}\n  format    {shards.title(found)}{size}\n\n{_statistics(trajectories)}")
        return
    print(f"{plain(found.id)} (revision {found.revision})\n  {plain(found.description)}")
    for name, text in _facts(found):
        print(f"  {name:<9} {plain(text)}")
    if store.is_cached(found):
        print(f"  cached    yes\n\n{_statistics(load_card(found))}")
    else:
        print(f"  cached    no; offbench data fetch {plain(id)} gets it, and so does the first use")


def _statistics(trajectories: Trajectories) -> str:
    if trajectories.rewards is None or not len(trajectories):
        return plain(trajectories.summary(), lines=True)
    return f"{plain(trajectories.summary(), lines=True)}\n\n  episodes by return\n{histogram(trajectories.returns)}"


def histogram(values: npt.NDArray[Any], bins: int = 10, width: int = 40) -> str:
    """Text lines: the range of each bin, a bar whose longest is ``width`` characters, and the count."""
    counts, edges = np.histogram(values, bins=bins)
    places = max(0, 2 - int(np.floor(np.log10(max(edges[-1] - edges[0], 1e-6)))))
    lines = []
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        # A bin that holds anything shows at least one mark.
        bar = "#" * max(int(count > 0), round(width * count / max(counts.max(), 1)))
        lines.append(f"  {low:10.{places}f} to {high:10.{places}f}  {bar:<{width}} {count}")
    return "\n".join(lines)


# -------------------------------------------------------------------- helpers


def _origin(chosen: Card) -> str:
    if chosen.recipe is not None:
        return "generated"
    if chosen.minari is not None:
        return "by minari"
    sizes = [file.size for file in chosen.files]
    return size_text(None if None in sizes else sum(size or 0 for size in sizes))


def _facts(chosen: Card) -> list[tuple[str, str]]:
    """(name, text) of every line of a card below its description."""
    known = task(chosen.task) if chosen.task else None
    lines = [("task", _task_text(known))] if known else []
    lines += [("differs", difference) for difference in known.known_differences] if known else []
    if chosen.environment:
        lines.append(("recorded", f"in {chosen.environment}"))
    if recipe := chosen.recipe:
        arguments = "".join(f", {name} {value}" for name, value in recipe.arguments.items())
        episodes = f"{chosen.steps:,} in {recipe.episodes:,} episodes" if recipe.episodes and chosen.steps else ""
        lines.append(("steps", episodes or f"at least {recipe.transitions:,}, in whole episodes"))
        lines.append(("recipe", f"{recipe.name}, seed {recipe.seed}{arguments}"))
        if e := recipe.expected:
            returns, lengths = f"{e.mean_return:g} +- {e.return_error:g}", f"{e.mean_length:g} +- {e.length_error:g}"
            lines.append(("expected", f"mean return {returns}, mean length {lengths} (standard errors)"))
    elif chosen.steps:
        lines.append(("steps", f"{chosen.steps:,}"))
    if chosen.mean_return is not None:
        lines.append(("return", f"mean {chosen.mean_return:,.1f}"))
    if chosen.minari:
        lines.append(("minari", chosen.minari))
    for file, path in zip(chosen.files, store.source_paths(chosen), strict=True):
        lines += [("file", f"{url} ({size_text(file.size)})") for url in file.urls]
        lines.append(("checksum", _checksum_text(file.sha256, file.md5, store.recorded_checksum(path))))
    lines += [("licence", chosen.licence)] if chosen.licence else []
    lines += [("cite", chosen.citation)] if chosen.citation else []
    return lines + [("defect", defect) for defect in chosen.known_defects]


def _task_text(known: Task) -> str:
    scores = f"score 0 at {known.low.mean:g}, 100 at {known.high.mean:g}"
    where = known.environment + (" in D4RL's dynamics" if known.dynamics == "d4rl" else "")
    return f"{known.name} ({where}, at most {known.episode_limit} steps; {scores}; {known.low.source})"


def _checksum_text(sha256: str | None, md5: str | None, recorded: str | None) -> str:
    if sha256 or md5:
        return f"sha256 {sha256}" if sha256 else f"md5 {md5}"
    return "none was published; " + (f"recorded: sha256 {recorded}" if recorded else "the first download's is recorded")


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal, plain aligned columns elsewhere."""
    console = Console()
    if console.is_terminal:
        table = Table(*header)
        for row in rows:
            table.add_row(*(Text(plain(cell)) for cell in row))  # no markup: a description may hold brackets
        console.print(table)
        return
    rows = [[plain(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
