"""``offbench leaderboard build`` and ``serve``: the site of a folder of results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from offbench.basis.plain import plain


def build(results: Path | None = None, output: Path = Path("site"), generate: bool = False) -> None:
    """Make the site of all suites, entries and datasets: static pages that need no server.

    Examples:
        offbench leaderboard build --results leaderboards/results --output site

    Args:
        results: Folder of results, SUITE/ENTRY/entry.json; by default the one that comes with offbench.
        output: Folder of the site; it is replaced as a whole, if it is one, and else has to be new or empty.
        generate: Generate built-in datasets that are not cached, for their statistics and a picture of each.
    """
    from offbench.basis.resources import resources
    from offbench.leaderboard.site import build_site

    built = build_site(results or resources("leaderboards") / "results", output, generate=generate)
    entries = "1 entry" if built.entries == 1 else f"{built.entries:,} entries"
    print(f"{plain(built.folder)}: {built.pages:,} pages of {entries}; open {plain(built.folder / 'index.html')}")
    if built.without_data:
        print(
            f"{built.without_data} datasets are not cached, so their pages have neither statistics nor pictures; "
            "--generate makes those that are built in, offbench data fetch gets the others"
        )


def serve(folder: Annotated[Path, tyro.conf.Positional] = Path("site"), /, port: int = 8000) -> None:
    """Show a built site in a browser of this machine; nobody else's can reach it.

    Examples:
        offbench leaderboard serve site --port 8000

    Args:
        folder: A site that offbench leaderboard build made.
        port: Where to listen; 0 has the system choose.
    """
    from offbench.leaderboard.serving import ADDRESS, server

    with server(folder, port) as running:
        print(f"{plain(folder)} is at http://{ADDRESS}:{running.server_port}/ until this is interrupted", flush=True)
        running.serve_forever()
