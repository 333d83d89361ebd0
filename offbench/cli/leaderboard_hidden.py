"""``offbench leaderboard`` commit, hidden and renamed: tasks that only the organiser has."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import Annotated

import tyro

from offbench.basis.plain import plain
from offbench.basis.streams import tell
from offbench.cli.data_sources import whole
from offbench.leaderboard.hidden import make_hidden
from offbench.leaderboard.secret import new_secret, read_secret
from offbench.leaderboard.suite import suite

SuiteName = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SUITE")]


def commit(secret: Path | None = None, new: bool = False) -> None:
    """Print the commitment to a secret, two lines to put into a suite before anybody is scored on its hidden tasks.

    Examples:
        offbench leaderboard commit --secret secret.txt --new

    Args:
        secret: File with the secret; the variable OFFBENCH_SECRET holds the text itself if not given.
        new: Write a random secret into that file, which must not exist.
    """
    found = new_secret(secret) if new and secret is not None else read_secret(secret)
    salt = secrets.token_hex(16)
    print(f'salt = "{salt}"\ncommitment = "{found.commitment(salt)}"')


def hidden(name: SuiteName, /, output: Path, secret: Path | None = None) -> None:
    """Make the hidden datasets of a suite from the organiser's secret.

    Methods are run on them with: offbench leaderboard run SUITE --algorithms iql --hidden FOLDER

    Examples:
        offbench leaderboard hidden starter --secret secret.txt --output hidden-starter

    Args:
        name: Suite, or a TOML file with one.
        output: Folder for the datasets, and for the list of them.
        secret: File with the secret; the variable OFFBENCH_SECRET holds the text itself if not given.
    """
    made = make_hidden(suite(name), read_secret(secret), output, lambda like, done, total: _tell(like, done, total))
    for each in made.tasks:
        print(f"{plain(each.dataset)}: like {plain(each.like)}, {plain(output / each.file)}")


def _tell(like: str, done: int, total: int) -> None:
    if done >= total:
        tell(f"made one like {plain(like)}")


def renamed(
    algorithm: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="METHOD")],
    dataset: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATASET")],
    /,
    steps: int = 200,
    seeds: int = 2,
    episodes: int = 5,
) -> None:
    """Check that a method does not go by what a dataset is called: trained under two names, all numbers must be equal.

    Examples:
        offbench leaderboard renamed iql offbench/pendulum/swingup-v0

    Args:
        algorithm: Registered name or module:Class, with hyperparameters that differ from its defaults.
        dataset: Dataset id, or a file of data.
        steps: Gradient updates of each seed.
        seeds: How many seeds.
        episodes: Episodes of an evaluation.
    """
    from offbench.algorithms.method import method
    from offbench.leaderboard.renaming import OTHER, check_renaming

    with tempfile.TemporaryDirectory() as folder:
        check_renaming(
            method(algorithm), whole(dataset), steps=steps, seeds=seeds, episodes=episodes, folder=Path(folder)
        )
    print(f"{plain(algorithm)} on {plain(dataset)}: every number is the same where it is called {OTHER}")
