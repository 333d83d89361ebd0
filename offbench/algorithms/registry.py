"""Algorithms by name: ours, those of installed packages (entry points), and ``module:Class``."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import sys
from collections.abc import Mapping
from fnmatch import fnmatch
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from offbench.algorithms.base import Algorithm, Preset
from offbench.errors import OffbenchError, UnknownNameError

OURS = {
    "awac": "offbench.algorithms.awac:AWAC",
    "bc": "offbench.algorithms.bc:BC",
    "cql": "offbench.algorithms.cql:CQL",
    "dt": "offbench.algorithms.decision_transformer:DecisionTransformer",
    "edac": "offbench.algorithms.edac:EDAC",
    "iql": "offbench.algorithms.iql:IQL",
    "rebrac": "offbench.algorithms.rebrac:ReBRAC",
    "rvs": "offbench.algorithms.rvs:RvS",
    "sac_n": "offbench.algorithms.sac_n:SACN",
    "td3_bc": "offbench.algorithms.td3_bc:TD3BC",
    "xql": "offbench.algorithms.xql:XQL",
}
GROUP = "offbench.algorithms"


def names() -> dict[str, str]:
    """Every registered name with the ``module:Class`` behind it."""
    return OURS | {point.name: point.value for point in entry_points(group=GROUP)}


def algorithm(name: str) -> type[Algorithm]:
    """The class of a registered name or of ``module:Class``.

    Raises:
        UnknownNameError: the name is not registered.
        OffbenchError: the class cannot be imported or is no Algorithm.
    """
    known = names()
    target = name if ":" in name else known.get(name)
    if target is None:
        raise UnknownNameError("algorithm", name, known, "a class of your own is named as module:Class")
    module, _, attribute = target.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:  # ValueError: an empty name of a module
        raise OffbenchError(f"the algorithm {target} cannot be imported: {error}") from error
    if not (inspect.isclass(found) and issubclass(found, Algorithm)):
        raise OffbenchError(f"{target} is no algorithm; it must be a subclass of offbench.algorithms.base.Algorithm")
    return found


def preset(found: type[Algorithm], dataset: str) -> Preset | None:
    """The hyperparameters published for a dataset; None where there are none.

    Patterns are compared with the id's last part and with its last two, joined by a hyphen: what was published for
    ``hopper-medium-v*`` serves d4rl/hopper-medium-v2 as well as offbench/hopper/medium-v0.
    """
    parts = dataset.split("/")
    names = parts[-1], "-".join(parts[-2:])
    return next((p for p in found.presets if any(fnmatch(n, pattern) for n in names for pattern in p.datasets)), None)


def configure(found: type[Algorithm], dataset: str, changes: Mapping[str, Any]) -> Any:
    """The algorithm's config: its defaults, then the dataset's preset, then ``changes``.

    Raises:
        UnknownNameError: a change names no field of the config.
    """
    fields = {field.name for field in dataclasses.fields(found.Config)}
    for name in changes:
        if name not in fields:
            raise UnknownNameError(f"hyperparameter of {found.__name__}", name, fields)
    published = preset(found, dataset)
    return found.Config(**{**(published.values if published else {}), **changes})


def source_digest(found: type[Algorithm]) -> str:
    """SHA-256 of the file that defines the algorithm, so that a record says which code it measured."""
    module = sys.modules[found.__module__]
    return hashlib.sha256(inspect.getsource(module).encode()).hexdigest()
