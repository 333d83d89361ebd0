"""``offbench data``: which datasets there are, what is in them, and generating them ahead of use."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import tyro
from rich.console import Console
from rich.table import Table

from offbench.catalog.cards import card, cards
from offbench.catalog.loading import cached_path, load_card
from offbench.data import native
from offbench.errors import OffbenchError

Progress = Callable[[int, int], None]


def list_datasets(text: Annotated[str, tyro.conf.Positional] = "", /) -> None:
    """List the datasets: id, task, steps, whether cached, description.

    Examples:
        offbench data list
        offbench data list pointmaze

    Args:
        text: Show only datasets whose id, task or description contains this.
    """
    rows = [
        (each.id, each.task, f"{each.steps:,}", "yes" if cached_path(each).is_file() else "no", each.description)
        for each in cards().values()
        if text.lower() in f"{each.id} {each.task} {each.description}".lower()
    ]
    if rows:
        _print_table(("id", "task", "steps", "cached", "description"), rows)
    else:
        print(f"no dataset contains {text!r}; offbench data list shows all {len(cards())}")


def show_dataset(id: Annotated[str, tyro.conf.Positional], /) -> None:
    """Show a dataset's card and, when cached, its statistics and a histogram of returns.

    Examples:
        offbench data show offbench/pointmaze/stitch-v0

    Args:
        id: Dataset id.
    """
    chosen = card(id)
    recipe = chosen.recipe
    arguments = "".join(f", {name} {value}" for name, value in recipe.arguments.items())
    path = cached_path(chosen)
    print(f"{chosen.id} (revision {chosen.revision})")
    print(f"  {chosen.description}")
    print(f"  task      {chosen.task}")
    print(f"  steps     {chosen.steps:,} in {recipe.episodes:,} episodes")
    print(f"  recipe    {recipe.name}, seed {recipe.seed}{arguments}")
    if not path.is_file():
        print(f"  cached    no; offbench data generate {chosen.id} makes it, and so does the first use")
        return
    print(f"  cached    {path}\n")
    trajectories = native.load(path)
    print(trajectories.summary())
    if trajectories.rewards is not None:
        print("\n  episodes by return\n" + histogram(trajectories.returns))


def generate_datasets(
    ids: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="ID [ID ...]")],
    /,
    again: bool = False,
) -> None:
    """Generate datasets into the cache, the folder OFFBENCH_CACHE where that is set.

    Examples:
        offbench data generate offbench/pointmaze/stitch-v0 offbench/pendulum/swingup-v0

    Args:
        ids: Dataset ids.
        again: Generate also what is cached already.
    """
    if not ids:
        raise OffbenchError("name at least one dataset to generate; offbench data list shows all")
    for chosen in [card(id) for id in ids]:
        path = cached_path(chosen)
        if again:
            path.unlink(missing_ok=True)
        existed, start = path.is_file(), time.perf_counter()
        with _progress(chosen.id) as progress:
            load_card(chosen, progress=progress)
        what = "was cached" if existed else f"generated in {time.perf_counter() - start:.1f} s"
        print(f"{chosen.id}: {what}, {path}")


commands: dict[str, Callable[..., Any]] = {
    "list": list_datasets,
    "show": show_dataset,
    "generate": generate_datasets,
}


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


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal, plain aligned columns elsewhere."""
    console = Console()
    if console.is_terminal:
        table = Table(*header)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def _progress(name: str) -> Iterator[Progress]:
    """Progress in episodes on stderr: a bar on a terminal, a line for every quarter elsewhere."""
    if sys.stderr.isatty():
        from rich.progress import Progress as Bar

        with Bar(console=Console(stderr=True), transient=True) as bar:
            line = bar.add_task(name, total=None)
            yield lambda done, total: bar.update(line, completed=done, total=total)
        return

    shown = 0

    def tell(done: int, total: int) -> None:
        nonlocal shown
        if 4 * done // total > shown:
            shown = 4 * done // total
            print(f"{name}: {done} of {total} episodes", file=sys.stderr)

    yield tell
