"""Hidden tasks: datasets made as a suite's own are, from seeds that a secret gives, under names that say nothing.

What a dataset is called is drawn from the secret, too, so that a method cannot know which one it was given by its name.
Nothing in the data says which one they are like: presets of the visible dataset are given to a method as any other
hyperparameters (`offbench.algorithms.method.with_preset`). No seed is written anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from offbench.basis.files import atomic
from offbench.catalog.cards import Card, card
from offbench.catalog.generated import generate
from offbench.data.trajectories import Provenance, Trajectories
from offbench.environments.task import first_error
from offbench.errors import OffbenchError
from offbench.formats import native
from offbench.leaderboard.secret import Secret, check_commitment
from offbench.leaderboard.suite import Suite, SuiteTask

LIST = "hidden.json"
Progress = Callable[[str, int, int], None]
"""Called with the visible dataset, and episodes or steps done and all."""


class HiddenTask(BaseModel):
    """A hidden dataset in a folder.

    Attributes:
        dataset: its id, which says nothing.
        like: the visible dataset that it is made as.
        file: its name within the folder.
        digest: of the trajectories.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    like: str
    file: str
    digest: str


class HiddenTasks(BaseModel):
    """Contents of ``hidden.json``, which the organiser keeps beside the datasets.

    Attributes:
        suite: its name.
        suite_version: its version.
        commitment: of the suite, which the seeds belong to.
        tasks: one a dataset, in the order of the suite.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str
    suite_version: int
    commitment: str
    tasks: tuple[HiddenTask, ...]


@dataclass(frozen=True)
class Drawn:
    """What the secret gives for one dataset of a suite."""

    dataset: str
    seed: int


def drawn(suite: Suite, like: str, secret: Secret) -> Drawn:
    """Name and seed of the hidden dataset that is made as ``like``; every version of a suite has others."""
    version = str(suite.version)
    name = secret.derived("name", suite.name, version, like)[:8]
    # 63 bits, as whole numbers of files may have.
    return Drawn(f"hidden/{name}", int(secret.derived("seed", suite.name, version, like)[:16], 16) >> 1)


def make_hidden(suite: Suite, secret: Secret, folder: Path, progress: Progress | None = None) -> HiddenTasks:
    """Make the hidden datasets of a suite as native files in a folder; those that are there already stay.

    Raises:
        OffbenchError: the suite has none, has committed to no secret or to another one, names a dataset that is not
            generated, or the folder cannot be written.
    """
    if not suite.hidden:
        raise OffbenchError(f"the suite {suite.name} has no hidden tasks")
    check_commitment(suite, secret)
    assert suite.commitment is not None  # which was just checked
    made = []
    for like in suite.hidden:
        found = card(like)
        if found.recipe is None:
            raise OffbenchError(f"{like} is not generated, so the suite {suite.name} can have no hidden task like it")
        chosen = drawn(suite, like, secret)
        path = folder / f"{chosen.dataset.rpartition('/')[2]}{native.SUFFIX}"
        if not path.exists():
            native.save(_made(found, chosen, progress), path)
        digest = native.load(path).digest
        made.append(HiddenTask(dataset=chosen.dataset, like=like, file=path.name, digest=digest))
    listed = HiddenTasks(suite=suite.name, suite_version=suite.version, commitment=suite.commitment, tasks=tuple(made))
    with atomic(folder / LIST) as temporary:
        temporary.write_text(json.dumps(listed.model_dump(), indent=1) + "\n", encoding="utf-8")
    return listed


def _made(like: Card, chosen: Drawn, progress: Progress | None) -> Trajectories:
    """The dataset of a card from another seed, whose provenance names neither the card's family nor the seed."""
    assert like.recipe is not None
    other = like.model_copy(update={"recipe": like.recipe.model_copy(update={"seed": chosen.seed})})
    told = None if progress is None else lambda done, total: progress(like.id, done, total)
    return replace(generate(other, told), provenance=Provenance(chosen.dataset, like.revision, like.task))


@dataclass(frozen=True)
class Found:
    """A hidden task as it is run: steps and episodes are those of the visible one."""

    task: SuiteTask
    like: str
    file: Path


def read_hidden(suite: Suite, folder: Path) -> list[Found]:
    """The hidden tasks in a folder.

    Raises:
        OffbenchError: the folder holds none, or those of another suite, version or secret.
    """
    path = folder / LIST
    try:
        listed = HiddenTasks.model_validate_json(path.read_bytes())
    except OSError as error:
        raise OffbenchError(f"{folder} has no hidden tasks; offbench leaderboard hidden makes them") from error
    except ValidationError as error:
        raise OffbenchError(f"{path} lists no hidden tasks: {first_error(error)}") from error
    wanted = (suite.name, suite.version, suite.commitment)
    if (listed.suite, listed.suite_version, listed.commitment) != wanted:
        raise OffbenchError(
            f"the hidden tasks in {folder} are those of {listed.suite} version {listed.suite_version}, and not of "
            f"{suite.name} version {suite.version} with its commitment; make them anew"
        )
    visible = {each.dataset: each for each in suite.tasks}
    return [
        Found(visible[each.like].model_copy(update={"dataset": each.dataset}), each.like, folder / each.file)
        for each in listed.tasks
    ]
