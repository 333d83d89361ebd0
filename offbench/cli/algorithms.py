"""``offbench algorithms``: what can be trained, with sources, hyperparameters, presets and published scores."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
import textwrap
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from offbench.algorithms import registry
from offbench.algorithms.published import PublishedScore, published_scores
from offbench.basis.plain import plain
from offbench.errors import OffbenchError
from offbench.training.views import learns_from


def list_algorithms() -> None:
    """List the algorithms by name.

    Example: offbench algorithms list
    """
    table = Table("name", "algorithm", "learns from")
    for name in sorted(registry.names()):
        try:
            found = registry.find(name)
        except OffbenchError as error:  # of somebody's package, which must not hide the others
            table.add_row(Text(plain(name)), Text(plain(error)), "")
            continue
        title = _description(found).split("\n", 1)[0]
        table.add_row(Text(plain(name)), Text(plain(title)), learns_from(found))
    Console().print(table)


def show_algorithm(name: Annotated[str, tyro.conf.Positional]) -> None:
    """Show an algorithm: the paper's idea, its hyperparameters, the presets of datasets, and published scores.

    Example: offbench algorithms show iql

    Args:
        name: Registered name or module:Class.
    """
    found = registry.find(name)
    console = Console(highlight=False)
    paragraphs = plain(_description(found), lines=True).split("\n\n")
    console.print("\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs), markup=False)
    if registry.is_algorithm(found):
        console.print(f"\nEquations: {found.__module__}, class {found.__name__}\n", markup=False)
    else:
        console.print(f"\nDefined as: {registry.title(found)}, learns from {learns_from(found)}\n", markup=False)
    console.print(_hyperparameters(found) if registry.hyperparameters(found) else "It has no hyperparameters.")
    if registry.is_algorithm(found) and found.presets:
        presets = _table("presets", "datasets", "values", "source")
        for preset in found.presets:
            values = ", ".join(f"{key} {value}" for key, value in preset.values.items())
            presets.add_row(", ".join(preset.datasets), values, preset.source)
        console.print(presets)
    scores = published_scores(registry.name_of(name))
    if scores:
        console.print(_published(scores))


def _description(found: Any) -> str:
    """The docstring of an algorithm's module, which names the paper; of a learner, its own or that of its module."""
    named = found if inspect.isclass(found) or inspect.ismodule(found) else type(found)
    own = "" if registry.is_algorithm(found) else inspect.getdoc(named) or ""
    if own.startswith(f"{named.__name__}("):  # which dataclasses write themselves
        own = ""
    return own or inspect.getdoc(sys.modules.get(getattr(named, "__module__", ""))) or ""


def _hyperparameters(found: Any) -> Table:
    table = _table("hyperparameters", "flag", "default", "meaning")
    meanings = field_docstrings(registry.config_type(found))
    for field in registry.hyperparameters(found):
        factory: Any = field.default_factory
        default = field.default if factory is dataclasses.MISSING else factory()
        shown = "none" if default is dataclasses.MISSING else str(default)
        flag, meaning = f"--{field.name.replace('_', '-')}", meanings.get(field.name, "")
        table.add_row(flag, Text(plain(shown)), Text(plain(meaning, lines=True)))
    return table


def _published(scores: list[PublishedScore]) -> Table:
    title = "published scores of the last evaluation, mean and standard deviation over seeds"
    table = _table(title, "dataset", "settings", "score", "seeds", "source")
    for score in scores:
        shown = f"{score.mean:.1f} ± {score.std:.1f}"
        table.add_row(score.dataset, score.settings, shown, str(score.seeds), score.source)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")  # names of datasets are copied from here
    return table


def field_docstrings(config: type) -> dict[str, str]:
    """The string below each field of a dataclass, its bases' included, by the field's name; empty without source."""
    found: dict[str, str] = {}
    for part in reversed(config.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(part)))
        except (OSError, TypeError):
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for statement, below in pairwise(body):
            if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
                continue
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                found[statement.target.id] = inspect.cleandoc(str(below.value.value))
    return found


commands: dict[str, Callable[..., Any]] = {"list": list_algorithms, "show": show_algorithm}
