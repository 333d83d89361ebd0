"""``offbench leaderboard retrain``: training an entry's algorithm anew, in a sandbox."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from offbench.basis.plain import plain
from offbench.cli.leaderboard_submit import REFUSED, seed_of, show
from offbench.leaderboard.retraining import Retraining, retrain
from offbench.leaderboard.suite import suite as find_suite
from offbench.leaderboard.verification import Settings, write_verdict


def retrain_entry(
    entry: Annotated[Path, tyro.conf.Positional],
    results: Path | None = None,
    code: Path | None = None,
    seeds: int | None = None,
    hidden: Path | None = None,
    image: str | None = None,
    engine: Literal["podman", "docker"] = "podman",
    seed_file: Path | None = None,
    output: Path | None = None,
    suite: str | None = None,
    again: bool = False,
    trust: bool = False,
) -> int:
    """Verify an entry, train its algorithm anew with seeds that nobody knew, and compare the scores with its claims.

    Ends with 2 where it is refused, after saying why.

    Examples:
        offbench leaderboard retrain leaderboards/results/starter/iql --results leaderboards/results --again

    Args:
        entry: Folder or archive.
        results: Folder of a leaderboard's results; where the entry lies in it, the verdict is written beside it.
        code: File or folder of the module, for an algorithm that is named as module:Class.
        seeds: How many seeds of each task; twice those of the entry if not given.
        hidden: Folder of hidden tasks, which offbench leaderboard hidden made, to train on as well.
        image: Image of a container that has offbench, to train in; a sandbox of the machine's own if not given.
        engine: What runs the container.
        seed_file: File with one number, with which seeds and starts are drawn; secret ones are drawn if not given.
        output: File for the verdict.
        suite: Name or TOML file of the suite, where it is none that comes with offbench, such as one that committed to
            hidden tasks; that of the entry if not given.
        again: Pass over a verdict that lies in the folder, and write it anew.
        trust: Train code of others without a sandbox, where the machine has none.
    """
    secret = seed_of(seed_file)
    how = Retraining(seeds=seeds, code=code, hidden=hidden, trust=trust, image=image, engine=engine, seed=secret)
    verdict = retrain(
        entry,
        results,
        Settings(start_seed=secret, suite=None if suite is None else find_suite(suite)),
        how,
        again=again,
        say=lambda text: print(plain(text), file=sys.stderr),
    )
    show(verdict)
    if output is not None:
        print(f"verdict: {plain(write_verdict(verdict, output))}")
    if results is not None and entry.is_dir() and entry.resolve().is_relative_to(results.resolve()):
        print(f"verdict: {plain(write_verdict(verdict, entry))}")
    return 0 if verdict.accepted else REFUSED
