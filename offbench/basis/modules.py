"""What a user names as ``module:Class``: imported because the user named it, and for no other reason."""

from __future__ import annotations

import sys
from pathlib import Path


def search_current_folder() -> None:
    """Look for modules in the current folder first, as ``python -m`` does and installed commands do not."""
    folder = str(Path.cwd())
    if not {"", folder} & set(sys.path):
        sys.path.insert(0, folder)


def names_object(name: str) -> bool:
    """Whether a name is ``module:Class``, both Python's names; ``module:Env-v0`` is an id of Gymnasium."""
    module, colon, attribute = name.partition(":")
    return bool(colon) and attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))
