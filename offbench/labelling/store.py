"""Models that label data, kept in the cache folder: fitted once for data, config and seed, whatever uses them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from offbench.basis.code import LABELLING, package_digest
from offbench.basis.files import cache_folder
from offbench.basis.kept import read_or_made
from offbench.basis.tensors import map_tensors, write_tensors
from offbench.errors import DataError
from offbench.nn.mlp import Parameters

KIND, VERSION = "offbench-labelling-model", "1"
Say = Callable[[str], None]


class Fitted(NamedTuple):
    """Models of several seeds.

    Attributes:
        parameters: (seeds, ...), by name.
        losses: what each member was chosen by, on what it was not fitted to.
        seconds: all of it.
    """

    parameters: Parameters
    losses: Float[Tensor, "seeds members"]
    seconds: float


def stored(
    name: str,
    facts: Sequence[Any],
    seeds: Sequence[int],
    fit: Callable[[Sequence[int]], Fitted],
    say: Say = lambda line: None,
) -> Fitted:
    """The models of all seeds, from the cache folder or fitted now, those that are missing together.

    Args:
        name: the kind of model, which names its folder and begins what is said.
        facts: all that a model depends on besides its seed and the code of the package, as JSON holds it.
        seeds: of the models.
        fit: makes those of some seeds.
        say: hears what is done.

    What cannot be written to the cache folder is used all the same, and ``say`` hears of it.
    """
    paths = {seed: path_of(name, facts, seed) for seed in seeds}

    def make(missing: Sequence[int]) -> list[Fitted]:
        made = fit(missing)
        return [_seed_of(made, row, len(missing)) for row in range(len(missing))]

    known = read_or_made(name, paths, read, make, lambda seed, one: _write(paths[seed], one, facts, seed), say)
    parts = [known[seed] for seed in seeds]
    return Fitted(
        {key: torch.cat([part.parameters[key] for part in parts]) for key in parts[0].parameters},
        torch.cat([part.losses for part in parts]),
        sum(part.seconds for part in parts),
    )


def path_of(name: str, facts: Sequence[Any], seed: int) -> Path:
    """Where the model of a seed lies: named by its kind, what it depends on and the code."""
    identity = json.dumps([name, list(facts), seed, package_digest(LABELLING)], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:32]
    return cache_folder() / "labelling" / name.replace(" ", "-") / f"{digest}.safetensors"


def read(path: Path) -> Fitted | None:
    """The model in a file of the cache, None where there is none that is whole."""
    try:
        tensors, metadata = map_tensors(path, KIND, VERSION, "a labelling model")
        losses = torch.from_numpy(np.array(tensors.pop("losses")))
        parameters = {name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}
        return Fitted(parameters, losses, float(json.loads(metadata["about"])["seconds"]))
    except (DataError, KeyError, ValueError):
        return None


def _write(path: Path, one: Fitted, facts: Sequence[Any], seed: int) -> None:
    about = json.dumps({"seconds": one.seconds, "facts": list(facts), "seed": seed})
    tensors = {name: value.numpy() for name, value in one.parameters.items()} | {"losses": one.losses.numpy()}
    write_tensors(path, tensors, {"format": KIND, "version": VERSION, "about": about})


def _seed_of(made: Fitted, row: int, count: int) -> Fitted:
    parameters = {name: value[row : row + 1].cpu() for name, value in made.parameters.items()}
    return Fitted(parameters, made.losses[row : row + 1].cpu(), made.seconds / count)
