"""Tables that people write."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from offbench.errors import OffbenchError


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The table of a TOML file, which is called ``what`` where it cannot be read.

    Raises:
        OffbenchError: it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OffbenchError(f"cannot read {what} {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of a number with too many digits
        raise OffbenchError(f"{path} is no valid TOML: {error}") from error
