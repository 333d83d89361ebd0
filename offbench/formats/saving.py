"""Saving what was loaded or made, as a native file."""

from __future__ import annotations

from pathlib import Path

from offbench.basis.tensors import is_native
from offbench.data.preferences import Preferences
from offbench.data.trajectories import Trajectories
from offbench.errors import OffbenchError
from offbench.formats import native, preferences

SUFFIXES = (native.SUFFIX, ".safetensors")


def save(data: Trajectories | Preferences, path: Path | str) -> None:
    """Write trajectories or preferences as one native file, which is mapped when it is loaded.

    Args:
        data: what is written.
        path: the file, called ``.offbench`` or ``.safetensors``. One that is there is replaced if it is a native file.

    Raises:
        DataError: a column has a dtype that the format lacks.
        OffbenchError: the name is that of another format, another file has it, or it cannot be written; ``data`` is
            neither trajectories nor preferences.
    """
    path = Path(path).expanduser()
    check_target(path)
    if isinstance(data, Trajectories):
        native.save(data, path)
    elif isinstance(data, Preferences):
        preferences.save(data, path)
    else:
        raise OffbenchError(f"save takes Trajectories or Preferences, not {type(data).__name__}")


def check_target(path: Path) -> None:
    """Refuse a file that `save` does not write, with an OffbenchError."""
    if path.suffix not in SUFFIXES:
        raise OffbenchError(f"{path} would be a native file under another name; call it {path.stem}{native.SUFFIX}")
    if path.exists() and not is_native(path):
        raise OffbenchError(f"{path} exists and is no native file of offbench; name another file, or remove it")
