"""`offbench.d4rl` under a second name: importing it registers D4RL's names with Gymnasium.

The drop-in needs the catalogue, which modules of this folder do not know. So it lives beside both, and is found by
name.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_DROP_IN = import_module("offbench.d4rl")


def __getattr__(name: str) -> Any:
    return getattr(_DROP_IN, name)


def __dir__() -> list[str]:
    return sorted(_DROP_IN.__all__)
