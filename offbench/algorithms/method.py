"""Methods: an algorithm with the hyperparameters that differ from its defaults and presets, written as one word."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from offbench.algorithms import registry
from offbench.catalog.identify import published
from offbench.errors import OffbenchError

LONGEST_NAME = 120  # characters of a folder; file systems have room for 255 bytes, and files lie within


@dataclass(frozen=True)
class Method:
    """An algorithm with what differs from its defaults and presets.

    Attributes:
        algorithm: registered name or ``module:Class``.
        changes: hyperparameters by name.
    """

    algorithm: str
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As `method` reads it."""
        return ",".join([self.algorithm, *(f"{key}={_written(value)}" for key, value in self.changes.items())])

    @property
    def slug(self) -> str:
        """As the name of a folder; a long one ends with a digest of the whole."""
        plain = re.sub(r"[^A-Za-z0-9_.=-]+", "-", self.name)
        if len(plain) <= LONGEST_NAME:
            return plain
        return f"{plain[: LONGEST_NAME - 9]}-{hashlib.sha256(self.name.encode()).hexdigest()[:8]}"


def method(text: str) -> Method:
    """The method that is written as ``bc``, ``bc,top_fraction=0.1`` or ``iql,hidden=[64,64]``; values: JSON or text.

    Raises:
        UnknownNameError: no such algorithm, or no such hyperparameter of it.
        OffbenchError: a part is no ``name=value``, or the algorithm does not take the value.
    """
    name, *parts = re.split(r",(?![^\[]*\])", text)  # commas in a list are the list's
    changes: dict[str, Any] = {}
    for part in parts:
        key, is_given, value = part.partition("=")
        if not is_given or key in changes:
            raise OffbenchError(f"{part!r} in the method {text!r} is no name=value of its own; bc,top_fraction=0.1 is")
        changes[key] = read_value(value)
    return made(name, changes)


def made(algorithm: str, changes: Mapping[str, Any]) -> Method:
    """The method of an algorithm and hyperparameters, once the algorithm is known to take them.

    Raises:
        UnknownNameError: no such algorithm, or no such hyperparameter of it.
        OffbenchError: the algorithm does not take the value.
    """
    changes = {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}
    registry.configure(registry.find(algorithm), "", changes)
    return Method(registry.name_of(algorithm), changes)


def with_preset(method: Method, dataset: str) -> Method:
    """The method with what it publishes for a dataset written out, for data whose name does not tell.

    Args:
        method: whose own changes stand before the preset.
        dataset: the visible dataset's id.
    """
    found = registry.find(method.algorithm)
    preset = registry.preset(found, published(dataset)) if registry.is_algorithm(found) else None
    return Method(method.algorithm, {**(preset.values if preset else {}), **method.changes})


def read_value(text: str) -> Any:
    """The value of a hyperparameter as it is written on a command line: JSON, and otherwise the text itself."""
    try:
        read = json.loads(text)
    except ValueError:
        return text
    return tuple(read) if isinstance(read, list) else read


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
