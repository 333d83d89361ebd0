"""``offbench algorithms``: what can be trained, with sources, hyperparameters and presets."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from offbench.algorithms import registry


def list_algorithms() -> None:
    """List the algorithms by name.

    Example: offbench algorithms list
    """
    table = Table("name", "algorithm", "learns from")
    for name in sorted(registry.names()):
        found = registry.algorithm(name)
        title = (inspect.getdoc(sys.modules[found.__module__]) or "").split("\n", 1)[0]
        table.add_row(name, title, ", ".join(found.requires))
    Console().print(table)


def show_algorithm(name: Annotated[str, tyro.conf.Positional]) -> None:
    """Show an algorithm: the paper's idea, its hyperparameters, and the presets of datasets with their source.

    Example: offbench algorithms show iql

    Args:
        name: Registered name or module:Class.
    """
    found = registry.algorithm(name)
    console = Console(highlight=False)
    console.print(inspect.getdoc(sys.modules[found.__module__]), markup=False)
    hyperparameters = Table("flag", "default", title="hyperparameters", title_justify="left")
    for field in dataclasses.fields(found.Config):
        hyperparameters.add_row(f"--{field.name.replace('_', '-')}", str(field.default))
    console.print(hyperparameters)
    if found.presets:
        presets = Table("datasets", "values", "source", title="presets", title_justify="left")
        for preset in found.presets:
            values = ", ".join(f"{key} {value}" for key, value in preset.values.items())
            presets.add_row(", ".join(preset.datasets), values, preset.source)
        console.print(presets)


commands: dict[str, Callable[..., Any]] = {"list": list_algorithms, "show": show_algorithm}
