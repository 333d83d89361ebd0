"""What is fitted once for a seed and kept in the cache folder, whatever learns from it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeVar

from offbench.basis.files import clear_unfinished
from offbench.basis.locks import locked
from offbench.errors import UnwritableError

Kept = TypeVar("Kept")


def read_or_made(
    name: str,
    paths: Mapping[int, Path],
    read: Callable[[Path], Kept | None],
    make: Callable[[Sequence[int]], Sequence[Kept]],
    write: Callable[[int, Kept], None],
    say: Callable[[str], None],
) -> dict[int, Kept]:
    """What belongs to each seed, from its file or made now, those that are missing together.

    Args:
        name: of what it is, with which begins what is said.
        paths: of the files, by seed.
        read: what a file holds, None where there is none that is whole.
        make: what belongs to some seeds, in their order.
        write: keeps what belongs to a seed.
        say: hears what is done.

    Two processes that want the same make it once. What cannot be written is given all the same, and ``say`` hears it.
    """
    with ExitStack() as held:
        for _, path in sorted(paths.items()):  # in one order, so that no two processes wait for each other
            with suppress(OSError):  # a folder that cannot be written to; what it holds can still be read
                path.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(locked(path.with_suffix(".lock")))
                clear_unfinished(path)
        known = {seed: found for seed, path in paths.items() if (found := read(path)) is not None}
        missing = [seed for seed in paths if seed not in known]
        if known:
            folder = next(iter(paths.values())).parent
            say(f"{name}: seeds {', '.join(map(str, sorted(known)))} lie in {folder}")
        if missing:
            for seed, one in zip(missing, make(missing), strict=True):
                known[seed] = one
                try:
                    write(seed, one)
                except UnwritableError as error:
                    say(f"{name}: seed {seed} is not kept for the next run: {error}")
    return known
