"""Where people have published files already: the folders in which D4RL and OGBench keep what they downloaded.

What Minari has downloaded is found by `offbench.catalog.minari_remote`, in Minari's own folder.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from offbench.catalog.cards import Card, File, cards
from offbench.catalog.content import Content
from offbench.errors import OffbenchError

D4RL_VARIABLE = "D4RL_DATASET_DIR"
# Family of cards: the variable that names a folder, and the folder where there is none.
_FOLDERS = {"d4rl": (D4RL_VARIABLE, "~/.d4rl/datasets"), "ogbench": ("OGBENCH_DATASET_DIR", "~/.ogbench/data")}
# Files that hold the policy that made them (`offbench.formats.d4rl_policy`).
_STORES_ITS_POLICY = re.compile(r"d4rl/(hopper|halfcheetah|walker2d|ant)-(random|medium|expert)-v2")
# Robots that are called otherwise here.
_KIN = {"maze2d": "pointmaze"}


def find(card: Card, file: File) -> Path | None:
    """The file of a card where another library keeps it, if its content is the published one.

    Where no checksum was published, the name decides. A file of another content in the library's usual folder is named
    on stderr and passed over.

    Raises:
        OffbenchError: the folder that a variable names has another file of that name.
    """
    variable, usual = _FOLDERS.get(card.id.partition("/")[0], ("", ""))
    if not usual or card.own:
        return None
    for folder, asked_for in ((os.environ.get(variable, ""), True), (usual, False)):
        path = Path(folder).expanduser() / file.name
        if folder and path.is_file():
            wrong = Content(file.size, file.sha256, file.md5).wrong(path)
            if not wrong:
                return path.resolve()
            told = f"{path} is not the published file ({wrong})"
            if asked_for:
                raise OffbenchError(f"{told}; delete it, unset {variable}, or {_as_it_is(card, path)}")
            print(f"{told}, and is passed over; to {_as_it_is(card, path)}", file=sys.stderr)
    return None


def _as_it_is(card: Card, path: Path) -> str:
    """How to use a file that is another than the published one."""
    family, _, name = card.id.partition("/")
    script = f", and a script of D4RL by --data {name}={path}" if family == "d4rl" else ""
    return f"use it as it is: offbench.load({str(path)!r}) reads it{script}"


def ways_out(card: Card, file: File, place: Path) -> str:
    """What somebody can do who cannot download a file: where to put it by hand, and which data stand near."""
    usual = _FOLDERS.get(card.id.partition("/")[0], ("", ""))[1]
    where = f"{place}" + (f" or {usual}/{file.name}" if usual and not card.own else "")
    found = [f"a copy of {file.name} from elsewhere is found as {where}"]
    if _STORES_ITS_POLICY.fullmatch(card.id):
        found.append("offbench data regenerate makes new data of its policy from any part of the file")
    if near := nearest(card):
        found.append(f"the generated dataset {near} stands nearest and needs no network")
    return "without it: " + "; ".join(found)


def nearest(card: Card) -> str:
    """Id of a generated dataset made after a card's, else of its robot and most alike by name; empty for none."""
    made = [each for each in cards().values() if each.recipe is not None]
    family, *kind = card.id.partition("/")[2].split("-")[:-1] or [""]
    kin = [each for each in made if each.id.split("/")[1] == _KIN.get(family, family)]

    def likeness(each: Card) -> tuple[bool, int, int]:
        words = each.id.rpartition("/")[2].split("-")
        return each.like == card.id, len(set(kind) & set(words)), -len(words)

    return max(kin, key=likeness).id if kin else ""
