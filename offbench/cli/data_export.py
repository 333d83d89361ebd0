"""``offbench data`` export and publish: a dataset for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from offbench.basis.plain import plain
from offbench.catalog.cards import cards
from offbench.catalog.loading import load_card
from offbench.cli.data_sources import Id, card_named, whole
from offbench.environments.task import task
from offbench.errors import UnknownNameError
from offbench.formats.table import written

To = Annotated[str, tyro.conf.arg(metavar="{" + ",".join(each.name for each in written()) + "}")]


def export_dataset(source: Id, /, to: To, output: str | None = None) -> None:
    """Write a dataset in another format.

    Examples:
        offbench data export offbench/pendulum/swingup-v0 --to d4rl
        offbench data export offbench/pendulum/swingup-v0 --to native --output swingup.offbench
        offbench data export offbench/pendulum/swingup-v0 --to minari --output pendulum/swingup-v0

    Args:
        source: Dataset id, or a file or folder of data.
        to: The format: an HDF5 file as D4RL has them, a Minari dataset, or a native file of memory-mapped safetensors.
        output: The file; for Minari the id, whose folder lies among Minari's. By default the dataset's name.
    """
    formats = {each.name: each for each in written()}
    if to not in formats:
        raise UnknownNameError("format to write", to, formats)
    chosen, trajectories = formats[to], whole(source)
    given = source.partition("?")[0]
    name = Path(given).name if given in cards() else Path(given).stem
    environment = task(trajectories.provenance.task).environment if trajectories.provenance.task else None
    where, notes = chosen.write(trajectories, output or chosen.target.format(name), environment)
    print(f"{plain(where)}: {len(trajectories):,} episodes, {trajectories.steps:,} steps")
    for note in notes:
        print(f"  note      {plain(note)}")


def publish_dataset(
    id: Id, repository: Annotated[str, tyro.conf.Positional], /, output: Path = Path("."), private: bool = False
) -> None:
    """Upload a dataset to the Hugging Face Hub, and write a card that points to it.

    Needs the extra hub and a login ('hf auth login', or HF_TOKEN).

    Examples:
        offbench data publish offbench/pendulum/swingup-v0 me/swingup

    Args:
        id: Dataset id, or a TOML file with one card.
        repository: OWNER/NAME of the dataset repository, which is made if there is none.
        output: Folder for the native file and the card.
        private: Make the repository private, if it is made.
    """
    from offbench.catalog.publishing import publish

    chosen = card_named(id)
    pinned = publish(load_card(chosen), chosen, repository, output, private)
    print(f"{plain(chosen.id)} is published; offbench.load({str(pinned)!r}) loads it from there")
