"""Flags that are made of the fields of dataclasses, some of which are known only once an algorithm is named."""

from __future__ import annotations

import dataclasses
from typing import Any

import tyro


def part(name: str, default: Any) -> tuple[str, Any, Any]:
    """A part of the flags, whose values are checked once they are read: what is wrong is then told in one sentence."""
    flat: Any = tyro.conf.OmitArgPrefixes
    kind: Any = type(default)
    unchecked = type(kind.__name__, (kind,), {"__post_init__": lambda self: None, "__module__": kind.__module__})
    values = {field.name: getattr(default, field.name) for field in dataclasses.fields(default) if field.init}
    return name, flat[unchecked], dataclasses.field(default_factory=lambda: unchecked(**values))
