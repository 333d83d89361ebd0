"""Fitted dynamics, kept in the cache folder: fitted once for data and seed, whatever learns from them afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from offbench.basis.code import DYNAMICS, package_digest
from offbench.basis.files import cache_folder
from offbench.basis.kept import read_or_made
from offbench.basis.tensors import map_tensors, write_tensors
from offbench.data.transitions import Transitions
from offbench.dynamics.fitting import DynamicsConfig, Fitted, Say, described, fit
from offbench.errors import DataError
from offbench.nn.mlp import Parameters

KIND, VERSION = "offbench-dynamics", "1"


def fitted(
    view: Transitions,
    config: DynamicsConfig,
    seeds: Sequence[int],
    say: Say = lambda line: None,
    gradients: Float[Tensor, "rows functions observation"] | None = None,
) -> Fitted:
    """The ensembles of all seeds, from the cache folder or fitted now, those that are missing together.

    Args:
        view: what is learned from.
        config: hyperparameters.
        seeds: of the ensembles.
        say: hears what is done.
        gradients: of values, for the losses that need them; see `offbench.dynamics.fitting.fit`.

    What cannot be written to the cache folder is used all the same, and ``say`` hears of it.

    Raises:
        OffbenchError: they cannot be fitted.
    """
    paths = {seed: path_of(view, config, seed, gradients) for seed in seeds}

    def make(missing: Sequence[int]) -> list[Fitted]:
        made = fit(view, config, missing, say, gradients)
        return [_seed_of(made, row) for row in range(len(missing))]

    def write(seed: int, one: Fitted) -> None:
        _write(paths[seed], one, view, config, seed)

    known = read_or_made("dynamics", paths, read, make, write, say)
    parts = [known[seed] for seed in seeds]
    return Fitted(
        {name: torch.cat([part.parameters[name].to(view.device) for part in parts]) for name in parts[0].parameters},
        torch.cat([part.errors for part in parts]),
        torch.cat([part.epochs for part in parts]),
        sum(part.seconds for part in parts),
    )


def path_of(
    view: Transitions,
    config: DynamicsConfig,
    seed: int,
    gradients: Float[Tensor, "rows functions observation"] | None = None,
) -> Path:
    """Where the ensemble of a seed lies: named by the data, what batches make of them, the config and the code.

    And by the gradients of values, where it is fitted to them.
    """
    scaling = [np.asarray(part).tolist() for part in vars(view.scaling).values()]
    facts = [view.digest, len(view), scaling, str(view.dtype), described(config), seed, package_digest(DYNAMICS)]
    if gradients is not None:
        facts.append(hashlib.sha256(gradients.cpu().numpy().tobytes()).hexdigest())
    name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
    return cache_folder() / "dynamics" / f"{name}.safetensors"


def read(path: Path) -> Fitted | None:
    """The ensemble in a file of the cache, None where there is none that is whole."""
    try:
        tensors, metadata = map_tensors(path, KIND, VERSION, "a dynamics ensemble")
        facts = json.loads(metadata["facts"])
        errors = torch.from_numpy(np.array(tensors.pop("errors")))
        parameters: Parameters = {name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}
        return Fitted(parameters, errors, torch.tensor([facts["epochs"]]), float(facts["seconds"]))
    except (DataError, KeyError, ValueError):
        return None


def _write(path: Path, one: Fitted, view: Transitions, config: DynamicsConfig, seed: int) -> None:
    facts = {
        "epochs": int(one.epochs[0]), "seconds": one.seconds, "config": described(config), "seed": seed,
        "data": view.digest, "observation": view.observation_size, "action": view.action_size,
    }  # fmt: skip
    tensors = {name: value.cpu().numpy() for name, value in one.parameters.items()}
    metadata = {"format": KIND, "version": VERSION, "facts": json.dumps(facts)}
    write_tensors(path, tensors | {"errors": one.errors.cpu().numpy()}, metadata)


def _seed_of(made: Fitted, row: int) -> Fitted:
    parameters = {name: value[row : row + 1] for name, value in made.parameters.items()}
    seconds = made.seconds / len(made.epochs)
    return Fitted(parameters, made.errors[row : row + 1].cpu(), made.epochs[row : row + 1].cpu(), seconds)
